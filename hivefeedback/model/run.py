"""One finished piece of work and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

__all__ = ["BLAMED", "OUTCOMES", "UNCOUNTED", "Outcome", "Run", "RunKind", "is_blamed", "is_counted"]

Outcome = Literal[
    "ok",
    "model_error",
    "rate_limited",
    "timeout",
    "refused",
    "truncated",
    "cancelled",
    "abandoned",
    "control_flow",
    "cache_hit",
    "internal",
]
"""How a run ended. Caller errors (401, other 4xx, context length) are ``internal``."""

RunKind = Literal["agent", "llm", "tool", "chain", "retriever", "evaluation"]
"""What kind of work a run was; only ``llm`` runs count for deployments."""

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
BLAMED: Final[frozenset[str]] = frozenset({"model_error", "rate_limited", "timeout"})
"""Outcomes that count against a deployment and its breaker."""
UNCOUNTED: Final[frozenset[str]] = frozenset({"cancelled", "abandoned", "control_flow", "cache_hit", "internal"})
"""Outcomes that enter no success statistics at all."""


def is_blamed(outcome: str) -> bool:
    """True where the outcome counts against the deployment."""
    return outcome in BLAMED


def is_counted(outcome: str) -> bool:
    """True where the run enters success statistics."""
    return outcome not in UNCOUNTED


class Run(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="run"):
    """One finished piece of work.

    ``Run("gpt-x", "text-to-text/medical", "ok", 0.8)`` is enough: ``record()`` fills the ids and
    the start, and returns the run's id.

    Args:
        deployment: Id of the deployment that served it.
        operation: What kind of work, a path ``conversation type/domain/task``.
        outcome: How it ended; see ``Outcome``.
        duration_s: Wall time in seconds, ≥ 0; None where unknown.
        kind: Only ``llm`` runs count for deployments.
        run_id: Unique id; empty: filled from (producer, epoch, seq).
        started_at_s: Start, seconds since 1970 UTC; None: filled from the loop's clock.
        trace_id, span_id, parent_id, response_id, decision_id: What feedback may join by.
        decided_deployment: What ``decide()`` had answered, where another one served.
        attempt: 1 for the first try, 2 … for retries of the same decision.
        retry_of: run_id of the attempt before.
        ttft_s: Seconds to the first token, for streams.
        tokens_in, tokens_out: Token counts.
        cost_usd: Cost in USD.
        memory_mb: Peak memory in MB.
        agent_id, session_id: Whose run it was.
        user_id: Stored as an HMAC only.
        attributes: Small extra facts.
        input, output, reference: Texts that scorers see; dropped before the commit unless
            ``store_content`` is set.
        error: Class name of the exception, where there was one; never its text.
        prompts: Names of the prompts that it was served with; ``record()`` adds those that its
            decision was asked for, while a rollout of prompts is open.
    """

    deployment: str
    operation: str = ""
    outcome: str = "ok"
    duration_s: float | None = None
    kind: str = "llm"
    run_id: str = ""
    started_at_s: float | None = None
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    response_id: str = ""
    decision_id: str = ""
    decided_deployment: str = ""
    attempt: int = 1
    retry_of: str = ""
    ttft_s: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    memory_mb: float | None = None
    agent_id: str = ""
    session_id: str = ""
    user_id: str = ""
    attributes: Mapping[str, str | int | float | bool] = {}
    input: str | None = None
    output: str | None = None
    reference: str | None = None
    error: str = ""
    prompts: tuple[str, ...] = ()

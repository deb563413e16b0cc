"""``loop.log_run()``: queries as LLMHive told them, one flag and one latency for all models used.

A flag and a latency of a query are not those of each model that had a part in it. So a query becomes
one run of kind ``agent`` at the root, which holds the latency and gets the flag as feedback, with one
llm run per model below it: what is said of the query is stored once, and each model is counted by
what it did itself (C25).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hivefeedback.model import Feedback, Run

__all__ = ["ROOT_AGENT", "LoggedQuery", "operation_of_domain", "query_runs"]

ROOT_AGENT = "query"
"""Under this name the root runs are counted among the agents."""
_MS = 1000.0


class LoggedQuery(NamedTuple):
    """What a query becomes: record the runs in this order, then give the feedback."""

    runs: tuple[Run, ...]
    feedback: Feedback


def operation_of_domain(domain: str) -> str:
    """The operation of a domain; one that is a path already stays.

    >>> operation_of_domain("medical"), operation_of_domain("text-to-image/art"), operation_of_domain("")
    ('text-to-text/medical', 'text-to-image/art', 'text-to-text')
    """
    if "/" in domain:
        return domain
    return f"text-to-text/{domain}" if domain else "text-to-text"


def query_runs(
    run_id: str, models_used: Iterable[str], success_flag: bool, latency_ms: float | None, domain: str
) -> LoggedQuery:
    """The runs and the feedback of a query.

    Args:
        run_id: Id of the root, and of the trace.
        models_used: Deployments; one that is named twice was used once.
        success_flag: Whether the answer passed the fact check or the quality assessment.
        latency_ms: Of the whole query, in milliseconds.
        domain: Such as ``medical``.
    """
    operation = operation_of_domain(domain or "")  # LLMHive's callers pass None where they know none
    names = (models_used,) if isinstance(models_used, str) else tuple(dict.fromkeys(models_used))
    duration_s = latency_ms / _MS if isinstance(latency_ms, int | float) else None
    root = Run(
        ROOT_AGENT, operation, "ok", duration_s, kind="agent", run_id=run_id, trace_id=run_id, agent_id=ROOT_AGENT
    )
    below = tuple(
        Run(name, operation, "ok", run_id=f"{run_id}.{i}", trace_id=run_id, parent_id=run_id)
        for i, name in enumerate(names, start=1)
    )
    said = Feedback(name="success", value=success_flag, trace_id=run_id, idempotency_key=f"{run_id}:success")
    return LoggedQuery((*below, root), said)

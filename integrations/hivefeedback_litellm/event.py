"""LiteLLM's events as runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from hivefeedback.model import Outcome, Run
from hivefeedback_litellm.request import Json, deployment_id, hops, metadata_of, session_of, stamp_of, text

__all__ = ["attempt_key", "run_of_event", "run_of_failed_attempt", "served_by"]


def served_by(params: Json, payload: Json) -> str:
    """Id of the deployment that an event is about, or empty."""
    return text(payload.get("model_id")) or deployment_id(params) or deployment_id(metadata_of(params))


def attempt_key(call_id: str, deployment: str, metadata: Json) -> tuple[str, str, int, int]:
    """What tells one attempt from all others: the SDK makes a call id for each attempt, the proxy
    one for each request, so the number of the attempt belongs to it."""
    return (call_id, deployment, *hops(metadata))


def run_of_event(kwargs: Json, answer: Any, outcome: Outcome, operation: str) -> Run:
    """A run from the arguments of a success or failure event.

    ``response_time`` of the payload is the time to the first token on streams, so the times are
    taken from the payload's own clock readings. The cost is the one that LiteLLM knows; else the recorder
    works it out, as it does for all runs.
    """
    payload: Json = kwargs.get("standard_logging_object") or {}
    params: Json = kwargs.get("litellm_params") or {}
    metadata = metadata_of(params)
    started, ended = _number(payload.get("startTime")), _number(payload.get("endTime"))
    first = _number(payload.get("completionStartTime"))
    is_answer = outcome in ("ok", "truncated", "refused", "cache_hit") and answer is not None
    call_id = text(payload.get("litellm_call_id")) or text(kwargs.get("litellm_call_id"))
    tokens_in, tokens_out = _tokens(payload.get("prompt_tokens")), _tokens(payload.get("completion_tokens"))
    return _described(
        metadata,
        Run(
            served_by(params, payload),
            operation,
            outcome,
            _between(started, ended),
            run_id=call_id if is_answer else "",
            started_at_s=started,
            trace_id=stamp_of(metadata).trace_id or _hex(text(kwargs.get("litellm_trace_id"))),
            response_id=text(payload.get("id")) if is_answer else "",
            ttft_s=_between(started, first) if is_answer and payload.get("stream") else None,
            tokens_in=tokens_in if is_answer else None,
            tokens_out=tokens_out if is_answer else None,
            cost_usd=_cost(payload) if is_answer else None,
            session_id=session_of(params, metadata) or "",
            attributes=_attributes(call_id, payload, metadata),
            error=text((payload.get("error_information") or {}).get("error_class")),
        ),
    )


def run_of_failed_attempt(request: Json, error: BaseException, outcome: Outcome, operation: str) -> Run:
    """A run from the hook that LiteLLM calls once for each failed attempt; it has no times."""
    metadata = metadata_of(request)
    run = Run(
        served_by(request, {}),
        operation,
        outcome,
        trace_id=stamp_of(metadata).trace_id or _hex(text(request.get("litellm_trace_id"))),
        session_id=session_of(request, metadata) or "",
        attributes=_attributes(text(request.get("litellm_call_id")), {}, metadata),
        error=type(error).__name__,
    )
    return _described(metadata, run)


def _described(metadata: Json, run: Run) -> Run:
    stamp = stamp_of(metadata)
    return replace(
        run,
        decision_id=stamp.decision_id,
        decided_deployment=stamp.deployment if stamp.deployment != run.deployment else "",
        attempt=stamp.attempt + sum(hops(metadata)),
    )


def _attributes(call_id: str, payload: Json, metadata: Json) -> Mapping[str, str | int | float | bool]:
    found = {
        "litellm.call_id": call_id,
        "litellm.model_group": text(metadata.get("model_group")),
        "litellm.model": text(payload.get("model")),
    }
    return {name: value for name, value in found.items() if value}


def _cost(payload: Json) -> float | None:
    """LiteLLM answers 0 for a model whose price it does not know; that is not "free"."""
    return _number(payload.get("response_cost")) or None


def _hex(trace: str) -> str:
    """LiteLLM's trace id is a UUID; without dashes it is what OpenTelemetry takes for a trace id."""
    return trace.replace("-", "")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _between(start: float | None, end: float | None) -> float | None:
    return max(0.0, end - start) if start is not None and end is not None else None

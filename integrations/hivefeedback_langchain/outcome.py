"""How a LangChain run ended, in hivefeedback's words.

Errors are told apart by HTTP status, by class names up the inheritance and by error codes, never
by their text, and without importing any provider or LangGraph.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Mapping
from typing import Final

from hivefeedback.model import Outcome

__all__ = ["is_interrupt", "outcome_of_error", "outcome_of_finish"]

_CANCELLED: Final = (asyncio.CancelledError, concurrent.futures.CancelledError, KeyboardInterrupt, SystemExit)
_PROGRAMMING: Final = (TypeError, AttributeError, NameError, NotImplementedError, ImportError, AssertionError)

_BY_NAME: Final[dict[str, Outcome]] = {
    "GraphBubbleUp": "control_flow",
    "ContentFilterFinishReasonError": "refused",
    "ContentPolicyViolationError": "refused",
    "OpenAIRefusalError": "refused",
    "ResponsibleAIPolicyViolation": "refused",
    "LengthFinishReasonError": "truncated",
    "ContextOverflowError": "internal",
    "ContextWindowExceededError": "internal",
    "RateLimitError": "rate_limited",
    "ResourceExhausted": "rate_limited",
    "ThrottlingException": "rate_limited",
    "TooManyRequests": "rate_limited",
    "TooManyRequestsError": "rate_limited",
    "AuthenticationError": "internal",
    "PermissionDeniedError": "internal",
    "NotFoundError": "internal",
    "Timeout": "timeout",
    "TimeoutException": "timeout",
    "APITimeoutError": "timeout",
    "ConnectTimeoutError": "timeout",
    "ReadTimeoutError": "timeout",
    "NodeTimeoutError": "timeout",
    "DeadlineExceeded": "timeout",
}
_BY_CODE: Final[dict[str, Outcome]] = {
    "content_filter": "refused",
    "content_policy_violation": "refused",
    "context_length_exceeded": "internal",
    "rate_limit_exceeded": "rate_limited",
}
_REFUSED: Final = frozenset(
    {
        "content_filter",
        "content_filtered",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "guardrail_intervened",
    }
)
_TRUNCATED: Final = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
_INTERRUPTS: Final = frozenset({"GraphInterrupt", "NodeInterrupt"})
_DEPTH: Final = 4
"""How far wrapped errors are followed; providers' packages wrap once or twice."""


def outcome_of_finish(reason: str) -> Outcome:
    """The outcome that a provider's finish reason stands for.

    >>> outcome_of_finish("MAX_TOKENS"), outcome_of_finish("content_filter"), outcome_of_finish("stop")
    ('truncated', 'refused', 'ok')
    """
    if not reason or reason == "stop":
        return "ok"
    word = reason.lower()
    if word in _TRUNCATED:
        return "truncated"
    if word in _REFUSED:
        return "refused"
    return "model_error" if word in ("error", "failed") else "ok"


def is_interrupt(error: BaseException) -> bool:
    """True for LangGraph's way to wait for a person, which is no error."""
    return any(kind.__name__ in _INTERRUPTS for kind in type(error).__mro__)


def outcome_of_error(error: BaseException) -> Outcome:
    """The outcome that an exception stands for; what nobody knows is the model's error."""
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if isinstance(error, _CANCELLED):
        return "cancelled"
    seen: BaseException | None = error
    for _ in range(_DEPTH):
        if seen is None:
            break
        outcome = _known(seen)
        if outcome is not None:
            return outcome
        seen = seen.__cause__
    return "internal" if isinstance(error, _PROGRAMMING) else "model_error"


def _known(error: BaseException) -> Outcome | None:
    code = _BY_CODE.get(str(getattr(error, "code", "")))
    if code is not None:
        return code
    named = next((_BY_NAME[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _BY_NAME), None)
    if named is not None:
        return named
    if isinstance(error, TimeoutError):
        return "timeout"
    return _of_status(_status(error))


def _status(error: BaseException) -> int:
    """HTTP status of an error of openai, anthropic, httpx, google or botocore; 0 where there is none."""
    response = getattr(error, "response", None)
    places = [getattr(error, "status_code", None), getattr(error, "code", None), getattr(response, "status_code", None)]
    if isinstance(response, Mapping):
        meta = response.get("ResponseMetadata")
        places.append(meta.get("HTTPStatusCode") if isinstance(meta, Mapping) else None)
    return next((place for place in places if isinstance(place, int) and 400 <= place < 600), 0)


def _of_status(status: int) -> Outcome | None:
    if status == 429:
        return "rate_limited"
    if status in (408, 504):
        return "timeout"
    if 400 <= status < 500:
        return "internal"
    return "model_error" if status else None

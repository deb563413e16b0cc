"""Which outcome an exception stands for, without importing any vendor."""

from __future__ import annotations

import asyncio

from hivefeedback.model import Outcome

__all__ = ["outcome_of"]

_RATE_LIMITED = frozenset({"RateLimitError", "TooManyRequests", "ResourceExhausted"})
_INTERNAL = frozenset(
    {"AuthenticationError", "PermissionDeniedError", "BadRequestError", "NotFoundError", "ContextWindowExceededError",
     "UnprocessableEntityError", "InvalidRequestError"}
)  # fmt: skip
_REFUSED = frozenset({"ContentPolicyViolationError", "ContentFilterFinishReasonError"})


def outcome_of(error: BaseException) -> Outcome:
    """The outcome of a run that raised: by type, by HTTP status, else a model error. Raises nothing itself.

    >>> outcome_of(TimeoutError()), outcome_of(ValueError("x"))
    ('timeout', 'model_error')
    """
    names = {c.__name__ for c in type(error).__mro__}
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        return "cancelled"
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if "GraphBubbleUp" in names:
        return "control_flow"
    if names & _REFUSED:
        return "refused"
    status = _status_of(error)
    if status == 429 or names & _RATE_LIMITED:
        return "rate_limited"
    if isinstance(error, TimeoutError) or status == 408 or any("Timeout" in n for n in names):
        return "timeout"
    if names & _INTERNAL or (status is not None and 400 <= status < 500):
        return "internal"
    return "model_error"


def _status_of(error: BaseException) -> int | None:
    """The HTTP status that the error carries; a property of the host's may raise, and its own error must come out."""
    try:
        status = getattr(error, "status_code", None)
    except Exception:  # noqa: BLE001  # the host's code, on the host's thread
        return None
    return status if isinstance(status, int) else None

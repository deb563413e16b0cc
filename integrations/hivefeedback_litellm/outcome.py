"""How an attempt ended, in the words of hivefeedback."""

from __future__ import annotations

from typing import Any

from hivefeedback.model import Outcome

__all__ = ["outcome_of_answer", "outcome_of_error"]

_FINISHED: dict[str, Outcome] = {"length": "truncated", "max_tokens": "truncated", "content_filter": "refused"}
_CONNECTION = ("Connection", "Connect", "ReadError", "WriteError", "RemoteProtocolError")


def outcome_of_answer(answer: Any, *, cache_hit: bool) -> Outcome:
    """The outcome of a call that returned: what any of its choices says about its end.

    Args:
        answer: LiteLLM's response object, or None where it has none.
        cache_hit: True where no model was asked.
    """
    if cache_hit:
        return "cache_hit"
    for choice in getattr(answer, "choices", None) or ():
        found = _FINISHED.get(str(getattr(choice, "finish_reason", "") or ""))
        if found:
            return found
    return "ok"


def outcome_of_error(name: str, status: int | None) -> Outcome:
    """The outcome of a call that raised.

    What the caller did wrong (key, unknown model, too long a context, any other 4xx) is not the
    deployment's fault, and neither is an exception that no provider sends, such as a missing
    package: both are ``internal``.

    Args:
        name: Class name of the exception.
        status: HTTP status that it carries, or None.

    >>> outcome_of_error("RateLimitError", 429), outcome_of_error("ContextWindowExceededError", 400)
    ('rate_limited', 'internal')
    """
    if name == "CancelledError":
        return "cancelled"
    if "Timeout" in name or status in (408, 504):
        return "timeout"
    if "ContentPolicy" in name or "ContentFilter" in name:
        return "refused"
    if "RateLimit" in name or status == 429:
        return "rate_limited"
    if status is not None:
        return "internal" if 400 <= status < 500 else "model_error"
    return "model_error" if any(part in name for part in _CONNECTION) else "internal"

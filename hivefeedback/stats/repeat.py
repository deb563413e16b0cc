"""The same thing said again and again."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Repeat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A correction that an agent was given more than once, by different feedbacks.

    Args:
        agent: Who was corrected.
        key: Alike for the same words; says nothing else.
        n: How often, since it was last proposed to be remembered.
        event_ids: The newest of these feedback events, at most 16, newest first.
        last_at_s: When it was given last, seconds since 1970 UTC.
    """

    agent: str
    key: str
    n: int
    event_ids: tuple[str, ...] = ()
    last_at_s: float = 0.0

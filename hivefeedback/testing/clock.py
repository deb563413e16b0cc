"""A clock that moves only when it is told to."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """Seconds since 1970 UTC, as a callable; give it to ``FeedbackLoop(clock=...)``.

    >>> clock = FakeClock(100.0)
    >>> clock.advance(2.5)
    >>> clock()
    102.5
    """

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass; negative values turn the clock back, as hosts' clocks do."""
        self.now_s += seconds

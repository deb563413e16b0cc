"""What the ring carries from the application's threads to the recorder."""

from __future__ import annotations

__all__ = ["Item"]

Item = tuple[int, float, object]
"""(seq, event time in seconds since 1970 UTC, what happened)."""

"""The current snapshot: one reference, swapped whole."""

from __future__ import annotations

from hivefeedback.model import Snapshot

__all__ = ["Live"]


class Live:
    """What all threads share of the serving side.

    Args:
        snapshot: What is served; the recorder swaps it.
        refreshed_at_s: When the configuration was last known to be current, by the loop's clock;
            canaries are not served when that is too long ago.
    """

    __slots__ = ("refreshed_at_s", "snapshot")

    def __init__(self, snapshot: Snapshot, refreshed_at_s: float) -> None:
        self.snapshot = snapshot
        self.refreshed_at_s = refreshed_at_s

"""Who may write the turn's entries: a heartbeat counter, judged by each observer's own clock.

Hosts' wall clocks differ and jump, so nobody compares times of different machines: an observer
takes the lease over only when it has itself seen the counter stand still for the lease's length.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["Heartbeat", "Observer"]


class Heartbeat(Struct, frozen=True):
    """What the store keeps of the lease; ``holder`` is empty after a release."""

    holder: str = ""
    token: int = 0
    beat: int = 0
    length_s: float = 0.0


class Observer:
    """Remembers since when one store object has seen a heartbeat unmoved.

    Args:
        monotonic: Seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: tuple[str, int, int] | None = None
        self._since_s = 0.0

    def judge(self, present: Heartbeat, holder: str, length_s: float) -> Heartbeat | None:
        """The heartbeat to write for ``holder``, or None while another holder's still moves."""
        if present.holder == holder:
            return replace(present, beat=present.beat + 1, length_s=length_s)
        if present.holder and not self._stands_still(present):
            return None
        return Heartbeat(holder, present.token + 1, present.beat + 1, length_s)

    def _stands_still(self, present: Heartbeat) -> bool:
        now_s, seen = self._monotonic(), (present.holder, present.token, present.beat)
        if seen != self._seen:
            self._seen, self._since_s = seen, now_s
        return now_s - self._since_s >= present.length_s

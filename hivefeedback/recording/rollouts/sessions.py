"""Which sessions of a rollout this process saw, as lists that grow at their end only."""

from __future__ import annotations

from hivefeedback.hooks import Record
from hivefeedback.stats import CHUNK, SEEN_SESSIONS, seen_sessions

__all__ = ["SessionLists"]


class SessionLists:
    """Sessions by the step and arm in which they were first seen here.

    Args:
        size: Sessions of one step that are listed; the others are no units, whatever their arm, so
            that the comparison stays fair.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lists: dict[tuple[float, bool], list[int]] = {}
        self._told: dict[tuple[float, bool], int] = {}

    def add(self, unit: int, share: float, is_canary: bool) -> bool:
        """List a session; False where the step's lists are full."""
        lists = self._lists
        if len(lists.get((share, True), ())) + len(lists.get((share, False), ())) >= self._size:
            return False
        lists.setdefault((share, is_canary), []).append(unit)
        return True

    def records(self, process_key: str) -> list[Record]:
        """The records that changed since the last call: the last one of each list, and new ones."""
        records = []
        for (share, is_canary), units in self._lists.items():
            told = self._told.get((share, is_canary), 0)
            for start in range(told - told % CHUNK, len(units), CHUNK) if told < len(units) else ():
                chunk = units[start : start + CHUNK]
                said = seen_sessions(process_key, chunk, start // CHUNK, share=share, is_canary=is_canary)
                records.append(Record(SEEN_SESSIONS, *said))
            self._told[share, is_canary] = len(units)
        return records

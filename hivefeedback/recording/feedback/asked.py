"""Feedback whose run the log is asked for: it stays known as not settled, whoever dies meanwhile.

Feedback is in the log at once, and its run is found, or handed to the run's owner, a commit later. In
between a record says so, written in one commit with the feedback and taken away in one with what was
learnt from it. So a process that reads from the log what a run had earned knows that this feedback is no
part of it yet, and where the asker dies, who claims its origin asks in its place.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from hivefeedback.hooks import Record
from hivefeedback.recording.feedback.join import Recent
from hivefeedback.recording.feedback.owners import ASKED, COUNTED, Owners
from hivefeedback.recording.outbox import Outbox

__all__ = ["Asked"]

_MOST: Final = 1000
"""Of so many at a time others are told; a flood about runs that never come must not fill the store."""
_KEPT_S: Final = 86400.0
"""After that nobody asks any more for what a process that died had asked for."""
_REMEMBERED: Final = 10_000


class Asked:
    """What this process asks for.

    Args:
        outbox: Where records go, with the events of the same slice.
        owners: Which origins this process owns.
    """

    def __init__(self, outbox: Outbox, owners: Owners) -> None:
        self._outbox, self._owners = outbox, owners
        self._open: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._over: Recent[bool] = Recent(_REMEMBERED)

    @property
    def open(self) -> tuple[str, ...]:
        """Ids of the feedback that it asks for."""
        return tuple(self._open)

    def note(self, feedback_id: str, name: str, *, is_counted: bool = False) -> None:
        """The log is asked for the run of this feedback, which goes into the log with the same commit.

        Args:
            feedback_id: Its event.
            name: Of the run, under which it waits.
            is_counted: It is counted as about no known run, in the same commit.
        """
        own = self._owners.own
        if feedback_id in self._open or len(self._open) >= _MOST:
            return
        self._names[feedback_id] = name
        if not self._owners.is_signed:
            self._outbox.put(self._owners.sign(own))
        self._open[feedback_id] = own
        self._put(own, feedback_id, COUNTED if is_counted else b"1")

    def _put(self, origin: str, feedback_id: str, value: bytes) -> None:
        self._outbox.put(Record(ASKED, f"{origin}/{feedback_id}", value, expires_at_s=self._owners.now() + _KEPT_S))

    def count(self, feedback_id: str) -> None:
        """It is counted as about no known run, in the same commit: whoever asks in its place counts it no more."""
        origin = self._open.get(feedback_id)
        if origin is not None:
            self._put(origin, feedback_id, COUNTED)

    def call(self, feedback_id: str, name: str) -> None:
        """What was taken over waits under that name."""
        if feedback_id in self._open:
            self._names[feedback_id] = name

    def take_over(self, origin: str, feedback_id: str) -> bool:
        """A process that is gone had asked; False where this one asks in its place already."""
        if feedback_id in self._open or feedback_id in self._over:
            return False
        self._open[feedback_id] = origin
        return True

    def settle(self, feedback_id: str) -> None:
        """It was learnt, or handed to the owner of its run, or nothing can come of it any more."""
        origin = self._open.pop(feedback_id, None)
        if origin is not None:
            self._names.pop(feedback_id, None)
            self._over.add(feedback_id, True)
            self._outbox.put(Record(ASKED, f"{origin}/{feedback_id}", b"", expires_at_s=0.0))

    def lose(self, origins: Collection[str]) -> list[tuple[str, str]]:
        """Other processes claimed these origins and ask from now on; answers what for, with its name."""
        gone = [feedback_id for feedback_id, origin in self._open.items() if origin in origins]
        for feedback_id in gone:
            del self._open[feedback_id]
        return [(feedback_id, self._names.pop(feedback_id, "")) for feedback_id in gone]

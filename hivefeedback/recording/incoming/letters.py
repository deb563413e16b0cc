"""Dead letters: what could not be taken in is noted with its reason, in the store, a bounded number of times.

Noting costs nothing where all goes well. What is noted goes to the store with the next commit.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hivefeedback.hooks import Record
from hivefeedback.model import DEAD_LETTER, DEAD_LETTER_KEPT_S, Cause, DeadLetter, Event, Feedback, Run, kind_of
from hivefeedback.model.ids import clean_id
from hivefeedback.recording.counters import Counters

__all__ = ["Letters", "body_of", "letter_key"]

_SLOTS: Final = 1000
"""Letters that one start of a process may have in the store; beyond that the newest replace the oldest."""
_PER_COMMIT: Final = 20
"""A flood of bad items must not become a flood of writes."""
_MOST_WAITING: Final = 100
_MOST_EXPECTED: Final = 10_000
"""Feedback whose run is awaited; as much as may wait for the log's second answer."""
_LEFT_OUT: Final = ("input", "output", "reference", "user_id", "attributes", "prompts")
_LARGEST: Final = 1 << 53
_LOST: Final[Mapping[str, str]] = {
    "bad_item": "items could not be taken in; the log of the application names the first",
    "events_dropped": "the ring was full; record less at once, or raise ring_size",
    "events_uncommitted": "the store was too slow or gone; their sums are kept",
    "events_unwritable": "they hold text or numbers that no store can write",
    "feedback_not_kept": "too much feedback waited for runs that do not come",
}
"""Counters that say how many were lost and nothing else."""


class Letters:
    """Notes what could not be taken in.

    Args:
        producer, epoch: Who.
        counters: Where losses are counted.
        clock: Seconds since 1970 UTC, of the loop.
        horizon_s: How long feedback waits for its run.
        now: Seconds since 1970 UTC by the machine's clock, by which stores forget.
    """

    def __init__(
        self,
        producer: str,
        epoch: int,
        counters: Counters,
        *,
        clock: Callable[[], float],
        horizon_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._prefix, self._counters = f"{producer}-{epoch}", counters
        self._clock, self._now = clock, now
        self._horizon_s = horizon_s
        self._waiting: deque[DeadLetter] = deque()
        self._expected: deque[tuple[float, Event]] = deque(maxlen=_MOST_EXPECTED)
        self._is_waiting: Callable[[Event], bool] = lambda event: False
        self._told: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def watch(self, is_waiting: Callable[[Event], bool]) -> None:
        """What says whether feedback still waits for its run."""
        self._is_waiting = is_waiting

    # --- what went wrong --------------------------------------------------------------------------

    def refuse(self, thing: Run | Feedback, reason: str) -> None:
        """Something that cannot be used was told."""
        self._note("refused", type(thing).__name__.lower(), reason, body=body_of(thing))

    def failed(self, subscriber: str, event: Event, reason: str) -> None:
        """A subscriber failed on an event; safe to call from any thread."""
        self._note("subscriber", kind_of(event), reason, event_id=event.event_id, subscriber=subscriber)

    def expect(self, event: Event) -> None:
        """Feedback waits for its run."""
        self._expected.append((self._clock() + self._horizon_s, event))

    def unmatched(self, event: Event, reason: str) -> None:
        """Feedback belongs to no run that is known."""
        body = body_of(replace(event.body, comment="", correction="")) if isinstance(event.body, Feedback) else None
        self._note("unmatched", "feedback", reason, event_id=event.event_id, body=body)

    def _note(self, cause: Cause, kind: str, reason: str, **more: Any) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._counters.note("dead_letters_left_out", "too many at once; the newest are only counted")
            return
        name = f"{self._prefix}-{next(self._numbers)}"
        self._waiting.append(
            DeadLetter(letter_id=name, at_s=self._clock(), cause=cause, kind=kind, reason=reason[:500], **more)
        )

    # --- what is written --------------------------------------------------------------------------

    def take(self, *, is_final: bool = False) -> list[Record]:
        """What goes to the store with the next commit; at the end also the feedback that still waits.
        Called on the thread that learns."""
        self._note_overdue(is_final=is_final)
        self._note_lost()
        n = len(self._waiting) if is_final else min(_PER_COMMIT, len(self._waiting))
        return [self._record(self._waiting.popleft()) for _ in range(n)]

    def _note_overdue(self, *, is_final: bool) -> None:
        if not self._expected:
            return
        now_s = self._clock()
        while self._expected and (is_final or self._expected[0][0] <= now_s):
            _, event = self._expected.popleft()
            if self._is_waiting(event):
                self.unmatched(event, _ENDED if is_final else f"its run did not come within {self._horizon_s:g} s")

    def _note_lost(self) -> None:
        """One letter for all that a counter grew by."""
        for name, reason in _LOST.items():
            n = self._counters.get(name, 0)
            if n > self._told.get(name, 0):
                self._note("lost", name, reason, n_events=n - self._told.get(name, 0))
                self._told[name] = n

    def _record(self, letter: DeadLetter) -> Record:
        expires_at_s = self._now() + DEAD_LETTER_KEPT_S
        return Record(DEAD_LETTER, letter_key(letter.letter_id), msgspec.json.encode(letter), expires_at_s=expires_at_s)


_ENDED: Final = "its run had not come when the process ended"


def letter_key(letter_id: str) -> str:
    """Where a letter of that name lies; after a thousand another one takes its place.

    >>> letter_key("p-1-1002")
    'p-1-0002'
    """
    origin, _, number = letter_id.rpartition("-")
    return f"{origin}-{int(number) % _SLOTS:04d}" if number.isdecimal() else letter_id


def body_of(thing: Run | Feedback) -> dict[str, Any]:
    """What may be kept of something that was told: nothing that the log would not keep.

    Prompts and answers go, whatever is stored of good runs, and so does the user: who erases a person's
    data by the user's id would not find them here.
    """
    kept: dict[str, Any] = {}
    for name in thing.__struct_fields__:
        value = getattr(thing, name)
        if not (name in _LEFT_OUT or value is None or (isinstance(value, str) and not value)):
            kept[name] = _small(value)
    return kept


def _small(value: object) -> str | float:
    if isinstance(value, float | int) and -_LARGEST < value < _LARGEST:
        return value
    return clean_id(value if isinstance(value, str) else repr(value)[:100])

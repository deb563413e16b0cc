"""What waits for the store, as commits of one producer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from hivefeedback.hooks import Breath, Commit, Record
from hivefeedback.model import Event, Feedback, Run
from hivefeedback.stats import CellKey, Delta, Tally

__all__ = ["Outbox", "Send"]

_MAX_TEXT = 262_144
"""Longest text of a run that is stored, in characters: as long as the longest prompt."""


class Send(Protocol):
    """Takes a finished commit; False where it is written with the one before, and its number is free again."""

    def __call__(self, commit: Commit, given: Sequence[str] = (), n_bytes: int = 0) -> bool: ...


class Outbox:
    """Gathers batches into commits: all that wait go together.

    Args:
        producer, epoch: Who.
        send: Takes a finished commit.
        store_content: Keep prompts and answers.
    """

    def __init__(self, producer: str, epoch: int, send: Send, *, store_content: bool) -> None:
        self._producer, self._epoch, self._send, self._store_content = producer, epoch, send, store_content
        self._number = 0
        self._events: list[Event] = []
        self._records: list[Record] = []
        self._given: list[str] = []
        self._n_bytes = 0
        self.delta = Delta()
        self._tally = Tally()
        self._breath = Breath()

    def breathe(self) -> None:
        """Call it between the steps of long work: other threads get a turn now and then."""
        self._breath()

    @property
    def is_empty(self) -> bool:
        """True where nothing waits."""
        return not (self._events or self._records or self.delta or len(self._tally))

    def add(self, events: Sequence[Event]) -> None:
        """Events of a batch, in order of their numbers."""
        self._events += [self._without_texts(event) for event in events] if any(map(_has_texts, events)) else events

    def _without_texts(self, event: Event) -> Event:
        body = event.body
        return replace(event, body=self._stored(body)) if isinstance(body, Run) and _has_texts(event) else event

    def _stored(self, run: Run) -> Run:
        """The run with what may be stored of its texts; anything but a text could not be read back."""
        texts = [run.input, run.output, run.reference]
        kept = [_text(text[:_MAX_TEXT]) if self._store_content and isinstance(text, str) else None for text in texts]
        self._n_bytes += sum(len(text) for text in kept if text)
        return replace(run, input=kept[0], output=kept[1], reference=kept[2])

    def count(
        self, keys: tuple[CellKey, ...], bucket: int, run: Run, reward: float | None, query: float | None
    ) -> None:
        """Count a run and its reward, if known, into the cells of those keys in that minute; and its
        success, where it is a query of its own."""
        tally = self._tally
        for key in keys:
            tally.add(key, bucket, run, reward, query)
        if tally.is_long:
            tally.count_into(self.delta, self._breath)

    def count_all(
        self, key: CellKey, bucket: int, runs: Sequence[Run], reward: float | None, query: float | None
    ) -> None:
        """Count runs of one cell that ended alike, with the same reward; each a query of its own."""
        self._tally.add_all(key, bucket, runs, reward, query)
        if self._tally.is_long:
            self._tally.count_into(self.delta, self._breath)

    def add_plain(self, events: Sequence[Event]) -> None:
        """Events of a batch that have no texts."""
        self._events += events

    def note_given(self, run_id: str) -> None:
        """A run has an id that the application gave: the log may hold it already."""
        self._given.append(run_id)

    def note_text(self, feedback: Feedback) -> None:
        """Feedback has words, which take more room than all else of an event."""
        self._n_bytes += len(feedback.comment) + len(feedback.correction)

    def put(self, record: Record) -> None:
        """A small record of state."""
        self._records.append(record)

    def hand_over(self, *, has_more: bool = False) -> None:
        """Send everything that waits as one commit; an empty one only where more will go along with it."""
        if self.is_empty and not has_more:
            return
        self._tally.count_into(self.delta, self._breath)
        commit = Commit(self._producer, self._epoch, self._number + 1, self._events, self.delta, self._records)
        given, n_bytes = self._given, self._n_bytes
        self._events, self._records, self.delta, self._given, self._n_bytes = [], [], Delta(), [], 0
        if self._send(commit, given, n_bytes):
            self._number += 1


def _has_texts(event: Event) -> bool:
    body = event.body
    return body.__class__ is Run and not (body.input is body.output is body.reference is None)


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")

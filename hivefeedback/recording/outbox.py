"""What waits for the store, as commits of one producer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from hivefeedback.hooks import Breath, Commit, Record
from hivefeedback.model import Event, Run
from hivefeedback.stats import CellKey, Delta, Tally

__all__ = ["Outbox"]


class Outbox:
    """Gathers batches into commits: all that wait go together.

    Args:
        producer, epoch: Who.
        send: Takes a finished commit.
        store_content: Keep prompts and answers.
    """

    def __init__(self, producer: str, epoch: int, send: Callable[[Commit], None], *, store_content: bool) -> None:
        self._producer, self._epoch, self._send, self._store_content = producer, epoch, send, store_content
        self._number = 0
        self._events: list[Event] = []
        self._records: list[Record] = []
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
        kept = [_text(text) if self._store_content and isinstance(text, str) else None for text in texts]
        return replace(run, input=kept[0], output=kept[1], reference=kept[2])

    def count(self, keys: tuple[CellKey, ...], bucket: int, run: Run, reward: float | None) -> None:
        """Count a run and its reward, if known, into the cells of those keys in that minute."""
        tally = self._tally
        for key in keys:
            tally.add(key, bucket, run, reward)
        if tally.is_long:
            tally.count_into(self.delta, self._breath)

    def put(self, record: Record) -> None:
        """A small record of state."""
        self._records.append(record)

    def hand_over(self) -> None:
        """Send everything that waits as one commit."""
        if self.is_empty:
            return
        self._number += 1
        self._tally.count_into(self.delta, self._breath)
        commit = Commit(self._producer, self._epoch, self._number, self._events, self.delta, self._records)
        self._events, self._records, self.delta = [], [], Delta()
        self._send(commit)


def _has_texts(event: Event) -> bool:
    body = event.body
    return body.__class__ is Run and not (body.input is body.output is body.reference is None)


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")

"""Makes events of one (producer, epoch), and those that the loop writes about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hivefeedback.model import Alarm, Body, Control, Event, What

__all__ = ["EventMaker"]


class EventMaker:
    """Numbers and envelopes.

    Args:
        producer, epoch: Who.
        numbers: The sequence that the application's threads take their numbers from.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, producer: str, epoch: int, numbers: Iterator[int], clock: Callable[[], float]) -> None:
        self.producer, self.epoch = producer, epoch
        self._numbers, self._clock = numbers, clock
        self._prefix = f"{producer}-{epoch}-"
        self._own: list[Event] = []

    def name(self, letter: str, seq: int) -> str:
        """The id of a thing of that number: ``r`` runs, ``f`` feedback, ``s`` scores, ``c`` control."""
        return f"{letter}{self._prefix}{seq}"

    def is_own_name(self, letter: str, name: str) -> bool:
        """True for an id of that letter that was made here."""
        return name.startswith(self._prefix, 1) and name[0] == letter

    def make(self, seq: int, event_id: str, at_s: float, now_s: float, body: Body) -> Event:
        """An event of a number that was taken already."""
        return Event(self.producer, self.epoch, seq, event_id, at_s, now_s, body)

    def next(self, letter: str, now_s: float, body: Body) -> Event:
        """An event of the next number."""
        seq = next(self._numbers)
        return self.make(seq, self.name(letter, seq), now_s, now_s, body)

    def tell(self, what: What, now_s: float | None = None) -> None:
        """Something that the loop did itself; logged with the batch."""
        self._own.append(self.next("c", self._clock() if now_s is None else now_s, Control(what)))

    def alarm(self, name: str, subject: str, operation: str = "", numbers: dict[str, float] | None = None) -> None:
        """A detector, a breaker or a harm test spoke."""
        self.tell(Alarm(name=name, subject=subject, operation=operation, numbers=numbers or {}))

    @property
    def n_own(self) -> int:
        """How much was told and not taken."""
        return len(self._own)

    def take_own(self) -> list[Event]:
        """What was told since the last call."""
        own, self._own = self._own, []
        return own

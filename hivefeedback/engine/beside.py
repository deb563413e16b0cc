"""What goes on beside learning: samples of the system, subscribers, dead letters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from hivefeedback.engine.bus.bus import Bus
from hivefeedback.engine.desk import Desk
from hivefeedback.engine.sampling import Sampling
from hivefeedback.hooks import Store
from hivefeedback.model import Event, SystemSample, SystemState
from hivefeedback.recording import EventMaker, Letters, Outbox

__all__ = ["Beside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Nothing of it is done on the application's thread, but in a loop with a given clock.

    Args:
        bus: Tells subscribers.
        letters: Notes what could not be taken in.
        sampling: Asks how the system is.
        desk, outbox, events: The way to the store.
        store: For what is written when the threads have ended.
        lock: Of a loop with a given clock.
        is_inline: The loop has a given clock.
        clock: Seconds since 1970 UTC.
    """

    bus: Bus
    letters: Letters
    sampling: Sampling
    desk: Desk
    outbox: Outbox
    events: EventMaker
    store: Store
    lock: AbstractContextManager[object]
    is_inline: bool
    clock: Callable[[], float]

    def after_drain(self) -> None:
        """Of a loop without threads: sample what is due, and tell subscribers, on this thread."""
        state = self.sampling.sample_due(self.clock())
        if state is not None:
            self._tell(state)
        self.bus.deliver()

    def on_poll(self) -> None:
        """The committer's thread: sample what is due; it is logged where learning is done."""
        state = self.sampling.sample_due(self.clock())
        if state is not None:
            self.desk.post(partial(self._tell, state))

    def _tell(self, state: SystemState) -> None:
        """Log a sample; a process that records nothing leaves no trace."""
        if self.desk.has_sent:
            self.events.tell(SystemSample(dict(state.values)), state.at_s)

    def note_failed(self, subscriber: str, event: Event, reason: str) -> None:
        """A subscriber failed on an event: a dead letter, written by whoever learns."""
        self.letters.failed(subscriber, event, reason)
        if not self.is_inline:
            self.desk.post(self._put_letters)
            return
        with self.lock:
            self._put_letters()
            self.outbox.hand_over()

    def _put_letters(self) -> None:
        for record in self.letters.take():
            self.outbox.put(record)

    def put_last_letters(self) -> None:
        """The threads have ended and subscribers were told the last events: write what they failed on, and
        which feedback still waits for its run."""
        for record in self.letters.take(is_final=True):
            self.store.state.put(record)

"""What happens, for those who want to know: subscribers, the log again, dead letters, the system's state.

The bus is this process's and lives in memory: who subscribes hears what is learnt here from then on, once.
What was stored can be told again from the log: for as long as ``retain_events_s`` with SQLite, of the newest
events only with ``json://``, and of this process alone, gone with it, with ``memory://``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hivefeedback.engine.bus.bus import Bus
from hivefeedback.engine.bus.following import check_position, pages
from hivefeedback.engine.bus.stream import EventStream
from hivefeedback.engine.bus.subscription import Subscription
from hivefeedback.engine.bus.wanted import Where, wanted
from hivefeedback.engine.dead_letters import Doors, Retried, dead_letter, dead_letters, retry
from hivefeedback.engine.face import Face
from hivefeedback.model import DeadLetter, Event, SystemState

__all__ = ["Listening"]


class Listening(Face):
    """Subscribes, replays, lists what failed.

    All raise ClosedError after ``close``, and StoreError where the store could not be read.
    """

    _bus: Bus

    # --- events -----------------------------------------------------------------------------------

    def subscribe(
        self,
        fn: Callable[[Event], object],
        *,
        kinds: Iterable[str] = (),
        deployment: str | None = None,
        operation: str | None = None,
        where: Where | None = None,
        since: int | None = None,
        name: str = "",
    ) -> Subscription:
        """Have ``fn(event)`` called for what happens, on a thread of its own, until ``close``.

        Events come as they are stored, within a tenth of a second: user ids hashed, prompts and answers
        only with ``store_content``. Who is slow loses events, who raises is told three times, then the
        event is a dead letter; who fails on five events in a row is quarantined (``plugin_max_errors``).
        Nobody else is slowed down or silenced by that. In a loop with a given clock ``fn`` is called on
        the caller's thread.

        Args:
            fn: Called with each event, one at a time.
            kinds: Words of ``hivefeedback.model.KINDS`` such as ``run``, ``feedback``, ``alarm``; empty: all.
            deployment: Only events that name this deployment.
            operation: Only events of this operation and those below it.
            where: Only events for which this is true; asked on the subscriber's thread.
            since: A position in the log, 0 for its beginning: what is stored behind it is told first, then
                what is stored from then on, by all processes of the store, without hole or repeat. Keep
                the subscription's ``position`` to go on after a restart. None: only what happens here.
            name: By which it is known in counters and dead letters; default: the function's.

        Raises:
            InvalidInputError: An argument cannot be used.
        """
        self._check_open()
        choice = wanted(kinds, deployment, operation, where)
        after = None if since is None else check_position(since)
        return self._bus.subscribe(fn, choice, name=name, store=lambda: self.store, since=after)

    def events(
        self,
        *,
        kinds: Iterable[str] = (),
        deployment: str | None = None,
        operation: str | None = None,
        where: Where | None = None,
    ) -> EventStream:
        """The same for coroutines: ``async with loop.events() as events: async for event in events``.

        Raises:
            InvalidInputError: An argument cannot be used.
        """
        self._check_open()
        choice = wanted(kinds, deployment, operation, where)
        return EventStream(self._bus, choice, self.counters, size=self._bus.size)

    def replay_events(
        self,
        after: int = 0,
        *,
        kinds: Iterable[str] = (),
        deployment: str | None = None,
        operation: str | None = None,
        where: Where | None = None,
    ) -> Iterator[tuple[int, Event]]:
        """What the log holds behind a position, of all processes, each event with its own position.

        Raises:
            InvalidInputError: An argument cannot be used.
        """
        self._check_open()
        self.flush(5.0)
        choice = wanted(kinds, deployment, operation, where)
        found = pages(self.store, check_position(after))
        return ((position, event) for position, event in found if choice.has(event))

    # --- the system -------------------------------------------------------------------------------

    def system(self) -> SystemState | None:
        """How process and host were when they were last looked at, every 10 s; None where nobody measures.

        What this machine does not have, such as a GPU, is absent.
        """
        self._check_open()
        if self._engine is None:
            return None
        sampling = self._engine.beside.sampling
        return sampling.latest or sampling.sample(self._clock())

    # --- dead letters -----------------------------------------------------------------------------

    def dead_letters(self) -> list[DeadLetter]:
        """What could not be taken in within the last 30 days, by all processes, the oldest first: what was
        refused, feedback whose run never came, events that a subscriber failed on, and how many were lost."""
        self._check_open()
        self.flush(5.0)
        return dead_letters(self.store.state)

    def retry_dead_letter(self, letter_id: str) -> Retried:
        """Try one again through the normal door; where it is still bad, it stays and the answer says why.

        It counts once however often it is tried.

        Raises:
            UnknownNameError: There is none of that name.
        """
        self._check_open()
        self.flush(5.0)
        doors = Doors(record=self.record, feedback=self.feedback, flush=self.flush, bus=self._bus, now_s=self._clock())
        return retry(self.store, dead_letter(self.store.state, letter_id), doors)

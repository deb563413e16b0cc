"""The event bus of a process: what is learnt is told to subscribers, off the application's thread.

The thread that learns hands each commit's events on as one list and looks at none of them; each
subscriber has a thread and a bounded queue of its own. In a loop with a given clock there is no
thread: subscribers are told on the caller's, before ``record`` returns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from hivefeedback.engine.bus.following import Following
from hivefeedback.engine.bus.subscription import Failed, Subscription, Waiting, name_of
from hivefeedback.engine.bus.wanted import Wanted
from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Store
from hivefeedback.model import Event
from hivefeedback.recording import Counters

__all__ = ["Bus", "Listens"]

_MOST = 100
"""Subscribers of a process: each has a thread."""


class Listens(Protocol):
    """Whoever is handed what is learnt."""

    def put(self, events: Sequence[Event]) -> None:
        """Events of a commit, on the thread that learns: keep them, do nothing else."""

    def finish(self, timeout_s: float, /) -> None:
        """The loop is closed: nothing more comes."""


class Bus:
    """Hands events to those who listen. Anybody may come and go on any thread; who publishes waits for nobody.

    Args:
        counters: Where what subscribers lose and fail on is counted.
        is_inline: The loop has no threads.
        size: Events that may wait for one subscriber.
        max_errors: Events in a row that a subscriber may fail on.
        poll_every_s: How often those that follow the log look into it.
    """

    def __init__(self, counters: Counters, *, is_inline: bool, size: int, max_errors: int, poll_every_s: float) -> None:
        self._counters, self._is_inline, self.size = counters, is_inline, size
        self._max_errors, self._poll_every_s = max_errors, poll_every_s
        self._listening: tuple[Listens, ...] = ()
        self._changing = threading.Lock()
        self.on_failed: Failed = _nobody

    @property
    def subscriptions(self) -> list[Subscription]:
        """Those that were not closed, the quarantined ones too."""
        return [s for s in self._listening if isinstance(s, Subscription) and s.state != "closed"]

    def named(self, name: str) -> Subscription | None:
        """The subscriber of that name."""
        return next((s for s in self.subscriptions if s.name == name), None)

    def subscribe(
        self, fn: Callable[[Event], object], wanted: Wanted, *, name: str, store: Callable[[], Store], since: int | None
    ) -> Subscription:
        """Tell ``fn`` of what comes; with ``since`` of what the log holds behind it, and then of what comes.

        Raises:
            InvalidInputError: It cannot be called, its name is taken, or there are too many.
        """
        name = name_of(fn, name)
        made = Subscription(
            fn,
            wanted,
            Waiting(self.size) if since is None else Following(store, since),
            name=name,
            max_errors=self._max_errors,
            on_failed=lambda *told: self.on_failed(*told),
            counters=self._counters,
        )
        made.position, made.follows_log = since or 0, since is not None
        with self._changing:
            self._check_room(name)
            self._listening = (*(s for s in self._listening if not _is_over(s, name)), made)
        if self._is_inline:
            made.deliver()
        else:
            made.start(self._poll_every_s if made.follows_log else None)
        return made

    def _check_room(self, name: str) -> None:
        known = self.subscriptions
        if any(s.name == name and s.state == "open" for s in known):
            raise InvalidInputError(f"a subscriber called {name!r} is there already; close it, or give another name")
        if len(known) >= _MOST:
            raise InvalidInputError(f"there are {_MOST} subscribers already; close those that are not needed")

    def listen(self, listener: Listens) -> None:
        """Hand events to somebody until ``leave``."""
        with self._changing:
            self._listening = (*self._listening, listener)

    def leave(self, listener: Listens) -> None:
        """Hand it nothing more."""
        with self._changing:
            self._listening = tuple(one for one in self._listening if one is not listener)

    def publish(self, events: Sequence[Event]) -> None:
        """Events of a commit, on the thread that learns."""
        for listener in self._listening:
            listener.put(events)

    def deliver(self) -> None:
        """Tell everybody what waits, on this thread; for a loop with a given clock."""
        for listener in self._listening:
            if isinstance(listener, Subscription) and listener.state == "open":
                listener.deliver()

    def renew(self) -> None:
        """In a forked child: threads are gone. Those that follow the log stay with the parent, so that
        each stored event is told once; the others go on here with what this process does."""
        self._changing = threading.Lock()  # a thread that is gone may have held the other one
        for subscription in self.subscriptions:
            if subscription.follows_log:
                subscription.state = "closed"
            elif subscription.state == "open":
                subscription.renew()
        self._listening = tuple(s for s in self.subscriptions)

    def close(self, timeout_s: float) -> None:
        """Tell what waits, then end; a subscriber that hangs is left to itself."""
        end_s = time.monotonic() + timeout_s
        while listening := self._listening:  # again for those who came meanwhile
            for listener in listening:
                listener.finish(max(0.0, end_s - time.monotonic()))
            with self._changing:
                self._listening = tuple(one for one in self._listening if one not in listening)


def _is_over(listener: Listens, name: str) -> bool:
    """Whether it was closed, or makes room for one of the same name."""
    return isinstance(listener, Subscription) and (listener.state == "closed" or listener.name == name)


def _nobody(name: str, event: Event, reason: str) -> None:
    """Nobody wants to know."""

"""Being told by Redis that the journal has grown, instead of asking.

Whoever appends publishes the new head in the same Lua call. One thread of the store's own listens, for
everybody in the process who watches; it begins with the first of them. Redis forgets a word that nobody
was connected to hear, so that after each (re)connection everybody is called once, and the poll stays as
the net under it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hivefeedback.errors import HiveFeedbackError
from hivefeedback_stores.redis_errors import translated

__all__ = ["PUBLISH", "Watcher"]

log = logging.getLogger(__name__)

PUBLISH = """
local function publish(head) redis.pcall('PUBLISH', string.match(KEYS[1], '^(.*:)') .. 'news', head) end
"""
"""Lua: ``publish`` tells the head; a user who may not publish still appends, and is found by the poll."""
_WAIT_S = 5.0
"""How long one look at the connection lasts; a word that comes meanwhile ends it at once."""
_PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between tries to connect again."""


class _Listening(Protocol):
    """What is used of redis-py's ``PubSub``."""

    def subscribe(self, channel: str) -> Any: ...
    def get_message(self, *, timeout: float) -> Any: ...
    def close(self) -> None: ...


class Watcher:
    """Calls those who watch, on a thread of its own.

    Args:
        shown: The server, for messages.
        channel: Where the word comes.
        connect: Opens a connection for listening alone; called on the thread.
    """

    def __init__(self, shown: str, channel: str, connect: Callable[[], _Listening]) -> None:
        self._shown, self._channel, self._connect = shown, channel, connect
        self._renew()

    def _renew(self) -> None:
        """Nobody watches; in a forked child neither thread nor connection of the parent is touched."""
        self._pid, self._guard = os.getpid(), threading.Lock()
        self._watching: dict[object, Callable[[], None]] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._listening: _Listening | None = None

    def watch(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """As ``WatchedJournal.watch``."""
        if self._pid != os.getpid():
            self._renew()
        mark = object()
        with self._guard:
            self._watching[mark] = on_change
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(
                    target=self._run, args=(self._ended,), name="hivefeedback-redis-watch", daemon=True
                )
                self._thread.start()
        return lambda: self._forget(mark)

    def _forget(self, mark: object) -> None:
        self._watching.pop(mark, None)

    def close(self) -> None:
        """End the thread."""
        if self._pid != os.getpid():
            return
        with self._guard:
            self._ended.set()
            listening, thread = self._listening, self._thread
        if listening is not None:
            _hang_up(listening)
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _run(self, ended: threading.Event) -> None:
        n_failed = 0
        while not ended.is_set():
            try:
                with translated(self._shown):
                    for _ in self._words(ended):
                        n_failed = 0
                        self._tell()
            except Exception as error:  # noqa: BLE001  # background thread: it must go on; ours are of the server
                if ended.is_set():
                    return
                is_ours = isinstance(error, HiveFeedbackError)
                log.log(logging.DEBUG if n_failed else logging.INFO, "%s; changes are found by asking until then",
                        error if is_ours else f"{self._shown}: {type(error).__name__}: {error}")  # fmt: skip
            ended.wait(_PAUSES_S[min(n_failed, len(_PAUSES_S) - 1)])
            n_failed += 1

    def _words(self, ended: threading.Event) -> Iterator[object]:
        """Yield when connected, and for each word that comes; ends or raises with the connection."""
        listening = self._connect()
        with self._guard:
            self._listening = listening
        try:
            listening.subscribe(self._channel)
            while not ended.is_set():
                word = listening.get_message(timeout=_WAIT_S)
                if word is not None and word["type"] in ("subscribe", "message"):
                    yield word
        finally:
            with self._guard:
                self._listening = None
            listening.close()

    def _tell(self) -> None:
        for on_change in list(self._watching.values()):
            on_change()


def _hang_up(listening: Any) -> None:
    """Wake whoever waits for an answer: the socket is shut down under it."""
    connection = getattr(listening, "connection", None)
    if connection is not None:
        try:
            connection.disconnect()
        except Exception as error:  # noqa: BLE001  # two threads end one connection: either may find it half gone
            log.debug("while hanging up: %s", error)

"""A loop through the life of its process: forks and the interpreter's exit."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Lifetime"]

_PRIORITY = 100
"""Before the finalizers of queues and managers, which have at most 20."""


class _Closable(Protocol):
    def close(self, timeout_s: float = ...) -> None: ...


class Lifetime:
    """Closes a loop at exit within a bound, and wakes it in a forked child.

    Only weak references are kept here; a loop's own threads hold it until it is closed.

    Args:
        loop: What to close.
        after_fork: Called in the child: its threads are gone and its ids would repeat.
        flush_s: How long exit waits for the last commit.
    """

    def __init__(self, loop: _Closable, after_fork: Callable[[], None], *, flush_s: float) -> None:
        self._loop = weakref.ref(loop)
        self._after_fork = weakref.WeakMethod(after_fork)
        self._flush_s = flush_s
        self._is_over = False
        self._pid = os.getpid()
        atexit.register(self._at_exit)
        process: Any = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:  # made in such a process
            sys.modules["multiprocessing.util"].Finalize(None, self._at_exit, exitpriority=_PRIORITY)
        _watch(self)

    def end(self) -> None:
        """The loop was closed: nothing is left to do."""
        self._is_over = True
        atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        loop = self._loop()
        if loop is not None and not self._is_over and self._pid == os.getpid():
            loop.close(self._flush_s)

    def forked(self) -> None:
        """In the child."""
        self._pid = os.getpid()
        wake = self._after_fork()
        if wake is not None and not self._is_over:
            wake()
        self._end_with_multiprocessing()

    def _end_with_multiprocessing(self) -> None:
        """Processes of ``multiprocessing`` end without the interpreter's exit handlers, but with their own
        finalizers. They forget those of their parent first, so ours is registered after that. A child that
        ends by ``os._exit`` runs neither: who forks by hand calls ``flush()``."""
        util: Any = sys.modules.get("multiprocessing.util")
        if util is not None and not self._is_over:
            util.register_after_fork(self, lambda me: util.Finalize(None, me._at_exit, exitpriority=_PRIORITY))


_watched: weakref.WeakSet[Lifetime] = weakref.WeakSet()
_is_hooked: list[bool] = []


def _watch(lifetime: Lifetime) -> None:
    _watched.add(lifetime)
    if not _is_hooked and hasattr(os, "register_at_fork"):
        _is_hooked.append(True)
        os.register_at_fork(after_in_child=_all_forked)


def _all_forked() -> None:
    for lifetime in list(_watched):
        lifetime.forked()

"""No database connection lives across a fork.

SQLite keeps its file locks per process but remembers them in memory that a child inherits, so a
child could believe that it holds locks it does not. Connections are therefore closed before a
fork and opened again by whoever needs them after it.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

__all__ = ["Pausable", "close_before_fork"]


class Pausable(Protocol):
    """What can be closed for a fork."""

    def pause(self) -> None:
        """Close connections and hold the locks; gives up after a short while."""

    def resume(self) -> None:
        """Release the locks."""

    def renew(self) -> None:
        """Start anew in the child."""


_open: WeakSet[Pausable] = WeakSet()
_guard = threading.Lock()
_is_registered = False


def close_before_fork(database: Pausable) -> None:
    """Pause a database around each fork, as long as it lives. Does nothing where there is no fork."""
    global _is_registered
    with _guard:
        _open.add(database)
        if _is_registered or not hasattr(os, "register_at_fork"):
            return
        os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_renew)
        _is_registered = True


def _pause() -> None:
    _guard.acquire()  # nobody opens a database meanwhile
    for database in list(_open):
        database.pause()


def _resume() -> None:
    for database in list(_open):
        database.resume()
    _guard.release()


def _renew() -> None:
    for database in list(_open):
        database.renew()
    _guard.release()

"""Whether a process of this machine is gone for certain, so that nobody has to wait until it was silent long enough."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache

__all__ = ["here", "is_gone"]


def here() -> str:
    """Where this process runs: start of the machine, namespace of process ids, own id; empty where that
    cannot be told, so that nothing is concluded from it."""
    place = _place()
    return f"{place} {os.getpid()}" if place else ""


@lru_cache(maxsize=1)
def _place() -> str:
    with suppress(OSError):  # not Linux, or a sandbox that hides it
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        return f"{boot_id} {os.readlink('/proc/self/ns/pid')}"
    return ""


def is_gone(there: str) -> bool:
    """True where the process that ``here()`` was asked in has ended. False where it lives, where its id
    was given to another one, and where it ran elsewhere.

    >>> is_gone(here()), is_gone(""), is_gone("another machine 1")
    (False, False, False)
    """
    place, _, pid = there.rpartition(" ")
    if not place or place != _place() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False

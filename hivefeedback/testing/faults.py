"""A store that fails when it is told to: gone, slow, full, locked, or failing now and then.

::

    stores = FaultyStores(lambda url, *, read_only=False: MyStore("mine://x", read_only=read_only))
    loop = FeedbackLoop("faulty://x", ["a"], plugins=[stores])
    stores.faults.gone()          # from now on every call of the store fails
    loop.record(Run("a"))         # and the application goes on
    stores.faults.back()
"""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Plugin, Store, StoreFactory, hookimpl

__all__ = ["Faults", "FaultyStores"]


class Faults:
    """What is wrong with the store now.

    ``error`` is raised by calls whose name is in ``of`` (empty: by all), or by each ``every``-th of them;
    with ``is_late`` only after they were done, as when the answer is lost on the way. ``slow_s`` is how long
    each of them takes. ``gate`` makes commits wait until it is set. ``calls`` counts by name.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.of: tuple[str, ...] = ()
        self.every = 1
        self.is_late = False
        self.slow_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.calls: Counter[str] = Counter()
        self._awake = threading.Event()

    def gone(self, *names: str) -> None:
        """Fail from now on; only the named calls where some are named."""
        self.fail(StoreUnreachableError("the disk is gone; mount it again"), *names)

    def full(self, *names: str) -> None:
        """Fail as a store does whose disk is full."""
        error = StoreUnreachableError("the disk is full; make room")
        error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
        self.fail(error, *names)

    def locked(self, *names: str) -> None:
        """Fail as a store does that another program has locked."""
        self.fail(StoreUnreachableError("the file is locked by another program; end it"), *names)

    def fail(self, error: Exception, *names: str, every: int = 1, is_late: bool = False) -> None:
        """Raise any error.

        Args:
            error: What is raised.
            names: Of the calls that raise it; none: all.
            every: Only each so-many-th of these calls raises it, from 1.
            is_late: The call is done, and raises then.
        """
        self.error, self.of, self.every, self.is_late = error, names, every, is_late

    def slow(self, seconds: float, *names: str) -> None:
        """Let calls take so long from now on."""
        self.slow_s, self.of = seconds, names
        self._awake.clear()

    def back(self) -> None:
        """Work again, and let slow calls end."""
        self.error, self.slow_s = None, 0.0
        self._awake.set()

    def meet(self, name: str, *, is_done: bool = False) -> None:
        """Called before each call of the store, and after it."""
        is_meant = not self.of or name in self.of
        if not is_done:
            self.calls[name] += 1
            if name == "commit":
                self.gate.wait(30.0)
            if self.slow_s and is_meant:
                self._awake.wait(self.slow_s)
        error = self.error
        if error is not None and is_meant and is_done == self.is_late and self.calls[name] % self.every == 0:
            raise error


class _Part:
    """A part of the store whose calls meet the faults first."""

    def __init__(self, part: object, faults: Faults) -> None:
        self._part, self._faults = part, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._faults.meet(name)
            answer = found(*args, **named)
            self._faults.meet(name, is_done=True)
            return answer

        return call


class _Faulty(_Part):
    def __init__(self, store: Store, faults: Faults) -> None:
        super().__init__(store, faults)
        self.url, self.commit_every_s = "faulty://", 0.01
        for name in ("log", "aggregates", "journal", "config", "state"):
            setattr(self, name, _Part(getattr(store, name), faults))


class FaultyStores(Plugin):
    """Offers ``faulty://name``: a store behind faults.

    Args:
        open_store: Opens the store behind; it is given the URL that the loop was given.
    """

    name = "faulty"

    def __init__(self, open_store: StoreFactory) -> None:
        self.faults = Faults()
        self._open_store = open_store

    @hookimpl
    def hive_stores(self) -> Mapping[str, StoreFactory]:
        """The one scheme."""
        return {"faulty": self.open}

    def open(self, url: str, *, read_only: bool = False) -> Store:
        """Open it; meets the fault of ``open``."""
        self.faults.meet("open")
        return cast(Store, _Faulty(self._open_store(url, read_only=read_only), self.faults))

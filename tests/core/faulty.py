"""A store that fails when it is told to: gone, slow, full, read-only or corrupt."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Plugin, Store, StoreFactory, hookimpl
from hivefeedback_stores.memory import MemoryStore

__all__ = ["Faults", "FaultyStores"]

WRITES = ("commit", "put", "append", "put_body", "save", "acquire", "erase", "delete", "compact", "retain")


class Faults:
    """What is wrong with the store now.

    ``error`` is raised by calls whose name is in ``of`` (empty: by all); ``gate`` makes commits
    wait until it is set. ``calls`` counts by name.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.of: tuple[str, ...] = ()
        self.gate = threading.Event()
        self.gate.set()
        self.calls: Counter[str] = Counter()

    def gone(self, *names: str) -> None:
        """Fail from now on; only the named calls where some are named."""
        self.error, self.of = StoreUnreachableError("the disk is gone; mount it again"), names

    def back(self) -> None:
        """Work again."""
        self.error = None

    def meet(self, name: str) -> None:
        """Called by each call of the store."""
        self.calls[name] += 1
        if name == "commit":
            self.gate.wait(30.0)
        if self.error is not None and (not self.of or name in self.of):
            raise self.error


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
            return found(*args, **named)

        return call


class _Faulty(_Part):
    def __init__(self, store: Store, faults: Faults) -> None:
        super().__init__(store, faults)
        self.url, self.commit_every_s = "faulty://", 0.01
        for name in ("log", "aggregates", "journal", "config", "state"):
            setattr(self, name, _Part(getattr(store, name), faults))


class FaultyStores(Plugin):
    """Offers ``faulty://name``: a memory store of that name behind faults."""

    name = "faulty"

    def __init__(self) -> None:
        self.faults = Faults()

    @hookimpl
    def hive_stores(self) -> Mapping[str, StoreFactory]:
        return {"faulty": self.open}

    def open(self, url: str, *, read_only: bool = False) -> Store:
        """Open it; meets the fault of ``open``."""
        self.faults.meet("open")
        return cast(Store, _Faulty(MemoryStore(url.replace("faulty", "memory"), read_only=read_only), self.faults))

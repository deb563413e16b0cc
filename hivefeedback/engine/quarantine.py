"""Which plugins are out of service, shared by all processes of a store."""

from __future__ import annotations

from typing import Final

from hivefeedback.hooks import Record, Store
from hivefeedback.hooks.registry import Registry

__all__ = ["QUARANTINE", "Quarantine"]

QUARANTINE: Final = "quarantine"
"""Namespace of the records, one for each plugin that is out of service."""


class Quarantine:
    """Tells the other processes of what this one found broken, and follows what they say."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry, self._store = registry, store
        self._known: set[str] = set()

    def follow(self) -> None:
        """Put what is new here into the store, and what is new there into the registry."""
        shared = {r.key: r.value.decode("utf-8", "replace") for r in self._store.state.list(QUARANTINE)}
        for info in self._registry.plugins():
            if info.state != "quarantined" or info.name in shared:
                continue
            if info.name in self._known:
                self._known.discard(info.name)
                self._registry.enable(info.name)  # somebody put it back into service
            else:
                self._known.add(info.name)
                self._store.state.put(Record(QUARANTINE, info.name, info.last_error.encode()))
        for name, reason in shared.items():
            self._known.add(name)
            self._registry.quarantine(name, reason)

    def end(self, name: str) -> None:
        """Put a plugin back into service, here and in every other process.

        Raises:
            UnknownNameError: No such plugin.
        """
        self._registry.enable(name)
        self._store.state.delete(QUARANTINE, name)

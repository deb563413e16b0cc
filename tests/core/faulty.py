"""Memory stores that fail when they are told to."""

from __future__ import annotations

from hivefeedback import testing
from hivefeedback.hooks import Store
from hivefeedback_stores.memory import MemoryStore

__all__ = ["WRITES", "FaultyStores"]

WRITES = ("commit", "put", "append", "put_body", "save", "acquire", "erase", "delete", "compact", "retain")


class FaultyStores(testing.FaultyStores):
    """Offers ``faulty://name``: the memory store of that name behind faults."""

    def __init__(self) -> None:
        super().__init__(_memory)


def _memory(url: str, *, read_only: bool = False) -> Store:
    return MemoryStore(url.replace("faulty", "memory"), read_only=read_only)

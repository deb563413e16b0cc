"""Where memory items lie in the store: those that are remembered, and those put aside."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record, State
from hivefeedback.model import (
    MEMORY,
    PRUNED,
    MemoryItem,
    PrunedItem,
    agent_prefix,
    importance_at,
    read_item,
    read_pruned,
)

__all__ = ["Shelves"]

_ASIDE: Final = 1000
"""Items of an agent that are kept aside for an undo; the oldest go beyond that."""


class Shelves:
    """Reads and moves items. An item is written before it is removed elsewhere, so that a crash in
    between leaves it twice and never not at all; what is remembered counts then."""

    def __init__(self, state: State) -> None:
        self._state = state

    def items(self, agent: str) -> list[MemoryItem]:
        """What an agent remembers, in order of the items' ids."""
        return [read_item(r.value) for r in self._state.list(MEMORY, prefix=agent_prefix(agent))]

    def by_importance(self, agent: str, now_s: float) -> list[MemoryItem]:
        """The same, the most important first; of equals the newer first."""
        return sorted(self.items(agent), key=lambda i: (-importance_at(i, now_s), -i.created_at_s, i.item_id))

    def aside(self, agent: str) -> list[PrunedItem]:
        """What is kept for an undo."""
        return [read_pruned(r.value) for r in self._state.list(PRUNED, prefix=agent_prefix(agent))]

    def put(self, item: MemoryItem) -> None:
        """Remember an item; one that is there already stays as it is."""
        with suppress(ConflictError):
            self._state.put(Record(MEMORY, item.key, msgspec.json.encode(item)), expected=0)

    def put_aside(self, pruned: PrunedItem) -> None:
        """Take an item out of the memory, or change what it had to give way to."""
        key = pruned.item.key
        self._state.put(Record(PRUNED, key, msgspec.json.encode(pruned)))
        self._state.delete(MEMORY, key)
        kept = self.aside(pruned.item.agent)
        for oldest in sorted(kept, key=lambda p: p.at_s)[: max(0, len(kept) - _ASIDE)]:
            self._state.delete(PRUNED, oldest.item.key)

    def restore(self, pruned: PrunedItem) -> None:
        """Remember an item again, as it was."""
        self.put(pruned.item)
        self._state.delete(PRUNED, pruned.item.key)

    def forget(self, agent: str, item_id: str) -> None:
        """Remove an item from both shelves."""
        key = agent_prefix(agent) + item_id
        self._state.delete(MEMORY, key)
        self._state.delete(PRUNED, key)

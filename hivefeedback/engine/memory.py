"""``loop.memory(agent_id)``: what an agent remembers, and what of it fits a question."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from hivefeedback.engine.memory_index import FullText, Overlap, index_kind, make_index
from hivefeedback.errors import ConflictError, InvalidInputError
from hivefeedback.hooks import Record, Store
from hivefeedback.model import (
    MEMORY,
    PRUNED,
    MemoryItem,
    agent_prefix,
    importance_at,
    memory_text,
    read_item,
    read_pruned,
)

__all__ = ["AgentMemory", "Indices", "Recalled", "Remembered", "agents_with_memory"]

_INDICES: Final = 64
"""Agents whose index is kept in this process; making one anew takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One item of a memory.

    Args:
        item_id: Its id: that of the mutation that added it.
        text: What is remembered.
        importance: By now, 0–1; decays with age and grows with use.
        created_at_s: When it was added, seconds since 1970 UTC.
        n_used: How often it was recalled.
        used_at_s: When it was recalled last; None: never.
        sources: Ids of the feedback that it was made from.
    """

    item_id: str
    text: str
    importance: float
    created_at_s: float
    n_used: int = 0
    used_at_s: float | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """An item that fits a question; ``score`` = ``relevance`` × importance, each 0–1."""

    item: Remembered
    relevance: float
    score: float

    @property
    def text(self) -> str:
        """What is remembered."""
        return self.item.text


class Indices:
    """The indices of a process, one per agent, made anew when what is remembered changed."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[frozenset[str], FullText | Overlap]] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Something was erased: keep no words of it."""
        with self._lock:
            for _, index in self._known.values():
                index.close()
            self._known.clear()

    def relevance(self, agent: str, texts: Mapping[str, str], query: str) -> dict[str, float]:
        """Relevance of the texts that fit; an item's text never changes, so its id stands for it."""
        with self._lock:
            known = self._known.get(agent)
            if known is None or known[0] != texts.keys():
                if known is not None:
                    known[1].close()
                known = self._known[agent] = frozenset(texts), make_index(texts)
            self._known.move_to_end(agent)
            while len(self._known) > _INDICES:
                self._known.popitem(last=False)[1][1].close()
            return known[1].relevance(query)


class AgentMemory:
    """What one agent remembers. Reads the store at each call: milliseconds, for where a prompt is put
    together, not for the hot path.

    Args:
        agent: Whose.
        store: Where it lies.
        clock: Seconds since 1970 UTC.
        indices: Those of the process.
        is_read_only: Recalling leaves no trace.
    """

    def __init__(
        self, agent: str, store: Store, clock: Callable[[], float], indices: Indices, *, is_read_only: bool = False
    ) -> None:
        if not isinstance(agent, str) or not agent.strip():
            raise InvalidInputError(f"agent {agent!r} is no id; expected a text")
        self.agent = agent
        self._store, self._clock, self._indices, self._is_read_only = store, clock, indices, is_read_only

    @property
    def index(self) -> str:
        """What recalls: ``fts5``, or ``overlap`` of words where SQLite came without it."""
        return index_kind()

    def items(self) -> list[Remembered]:
        """Everything that is remembered, the most important first. Items whose text was erased are not.

        Raises:
            StoreError: The store could not be read.
        """
        found = self._shown([read_item(record.value) for record in self._records()])
        return sorted(found, key=lambda item: (-item.importance, -item.created_at_s, item.item_id))

    def pruned(self) -> list[Remembered]:
        """What had to give way or was taken out, and would come back by an undo; the newest first."""
        records = self._store.state.list(PRUNED, prefix=agent_prefix(self.agent))
        found = self._shown([read_pruned(record.value).item for record in records])
        return sorted(found, key=lambda item: (-item.created_at_s, item.item_id))

    def recall(self, query: str, k: int = 5, *, count_use: bool = True) -> list[Recalled]:
        """The items that fit best, by relevance × importance; at most ``k``.

        Args:
            query: What it is about, in words; without any, the most important items.
            k: How many, at least 1.
            count_use: What is recalled counts as used, and so stays important longer.

        Raises:
            InvalidInputError: The query is no text, or ``k`` is no number from 1.
            StoreError: The store could not be read.
        """
        if not isinstance(query, str):
            raise InvalidInputError(f"the query is {type(query).__name__}; expected a text")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise InvalidInputError(f"k is {k!r}; expected a number of items, at least 1")
        items = self.items()
        if query.strip():
            relevance = self._indices.relevance(self.agent, {item.item_id: item.text for item in items}, query)
        else:
            relevance = {item.item_id: 1.0 for item in items}
        found = [
            Recalled(item=item, relevance=relevance[item.item_id], score=relevance[item.item_id] * item.importance)
            for item in items
            if item.item_id in relevance
        ]
        found.sort(key=lambda one: -one.score)  # stable: of equals the more important
        if count_use and not self._is_read_only:
            self._count_use({one.item.item_id for one in found[:k]})
        return found[:k]

    def _records(self) -> Sequence[Record]:
        return self._store.state.list(MEMORY, prefix=agent_prefix(self.agent))

    def _count_use(self, item_ids: set[str]) -> None:
        """Note the use; two processes at once may count once, which hurts nobody."""
        now_s = self._clock()
        for record in self._records():
            item = read_item(record.value)
            if item.item_id in item_ids:
                used = msgspec.structs.replace(item, n_used=item.n_used + 1, used_at_s=now_s)
                with suppress(ConflictError):
                    self._store.state.put(
                        Record(MEMORY, record.key, msgspec.json.encode(used)), expected=record.version
                    )

    def _shown(self, items: Sequence[MemoryItem]) -> list[Remembered]:
        now_s = self._clock()
        found = []
        for item in items:
            body = self._store.journal.body(item.body)
            if body is not None:
                found.append(
                    Remembered(
                        item_id=item.item_id,
                        text=memory_text(body),
                        importance=importance_at(item, now_s),
                        created_at_s=item.created_at_s,
                        n_used=item.n_used,
                        used_at_s=item.used_at_s or None,
                        sources=item.sources,
                    )
                )
        return found


def agents_with_memory(store: Store) -> dict[str, int]:
    """Agents that remember something → how many items."""
    found: dict[str, int] = {}
    for record in store.state.list(MEMORY):
        agent = read_item(record.value).agent
        found[agent] = found.get(agent, 0) + 1
    return found

"""Executes MEMORY_UPDATE: what an agent remembers, kept across sessions and restarts.

No extra is needed. ``to`` is a text (core stores it beside the journal and names it by its hash
before this executor sees it), optionally with an importance; or an item to forget::

    loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to="Prices are in EUR."))
    loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to={"text": "…", "importance": 0.9}))
    loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to={"forget": "m-7"}))

An external executor: it writes items, named by their mutation, into the store's small records, so
doing it twice changes nothing. An agent remembers at most ``max_items``; beyond, the least
important by now goes (importance decays with age and grows with use) and the receipt says so. What
went is kept aside, so that an undo leads back to exactly what was remembered before. Options::

    options:
      memory: {max_items: 200}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hivefeedback.errors import InvalidInputError, PluginError
from hivefeedback.hooks import Executor, Plugin, State, hookimpl
from hivefeedback.model import Configuration, JsonValue, MemoryItem, Mutation, MutationKind, PrunedItem, Receipt
from hivefeedback_mutations.shelves import Shelves

__all__ = ["MemoryOptions", "MemoryPlugin", "MemoryUpdate"]

_IMPORTANCE: Final = 0.5
"""Where nobody says: in the middle, so that there is room on both sides."""


class MemoryUpdate:
    """Adds items to an agent's memory, and takes them out.

    Args:
        max_items: Items that an agent remembers at most.
    """

    kind = MutationKind.MEMORY_UPDATE
    is_external = True

    def __init__(self, *, max_items: int = 200) -> None:
        self._max_items = max_items
        self._opened: Shelves | None = None
        self._clock: Callable[[], float] = lambda: 0.0

    def open(self, state: State, clock: Callable[[], float]) -> None:
        """Keep the items there."""
        self._opened, self._clock = Shelves(state), clock

    @property
    def _shelves(self) -> Shelves:
        if self._opened is None:
            raise PluginError("the memory was not opened; it is, when a FeedbackLoop is made with this plugin")
        return self._opened

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check agent and value against what is remembered, fill ``undo``; ``from_`` stays None, since
        an item stands beside the others and replaces none."""
        agent = mutation.target
        if not agent.strip():
            raise InvalidInputError("MEMORY_UPDATE names no agent; its target is the agent's id")
        wanted = _Wanted.of(mutation)
        remembered = self._shelves.items(agent)
        if wanted.forget:
            if all(item.item_id != wanted.forget for item in remembered):
                known = ", ".join(sorted(item.item_id for item in remembered)) or "none"
                raise InvalidInputError(f"agent {agent!r} remembers no item {wanted.forget!r}; known: {known}")
            undo = f"agent {agent!r} remembers item {wanted.forget} again"
        else:
            same = next((item.item_id for item in remembered if item.body == wanted.body), "")
            if same:
                raise InvalidInputError(f"agent {agent!r} remembers this already, as item {same}")
            undo = f"agent {agent!r} forgets it, and remembers again what had to give way to it"
        return replace(mutation, undo=mutation.undo or undo)

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """Add or take out the item; again under the same id: nothing."""
        wanted, agent, mutation_id = _Wanted.of(mutation), mutation.target, mutation.mutation_id
        if not mutation_id:
            raise InvalidInputError(f"MEMORY_UPDATE of {agent!r} has no id yet; propose it")
        if self.verify(mutation, config):
            return self._did(mutation, f"agent {agent!r}: nothing to do, {mutation_id} is in its memory already")
        if wanted.forget:
            item = next((i for i in self._shelves.items(agent) if i.item_id == wanted.forget), None)
            if item is not None:
                self._shelves.put_aside(PrunedItem(item, mutation_id, self._clock()))
            return self._did(mutation, f"agent {agent!r} forgot item {wanted.forget}")
        pruned = self._make_room(agent, mutation_id)
        item = MemoryItem(
            mutation_id,
            agent,
            wanted.body,
            wanted.importance,
            self._clock(),
            sources=mutation.evidence,
        )
        self._shelves.put(item)
        gone = f"; gave way to it, as the least important of {self._max_items}: {', '.join(pruned)}" if pruned else ""
        return self._did(mutation, f"agent {agent!r} remembers item {mutation_id}{gone}")

    def _make_room(self, agent: str, mutation_id: str) -> list[str]:
        """Put aside what is least important by now, before the new item is added: a crash in between
        leaves a mutation that is not in force, and doing it again only goes on."""
        aside = [p.item.item_id for p in self._shelves.aside(agent) if p.by == mutation_id]
        kept = self._shelves.by_importance(agent, self._clock())
        while len(kept) >= self._max_items:
            least = kept.pop()
            self._shelves.put_aside(PrunedItem(least, mutation_id, self._clock()))
            aside.append(least.item_id)
        return aside

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the item was added (it may have given way to a later one), or is gone."""
        wanted, agent = _Wanted.of(mutation), mutation.target
        remembered = {item.item_id for item in self._shelves.items(agent)}
        aside = {p.item.item_id: p.by for p in self._shelves.aside(agent)}
        if wanted.forget:
            return wanted.forget not in remembered
        return mutation.mutation_id in remembered or mutation.mutation_id in aside

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """Back to what was remembered before; again: nothing.

        What had to give way to the item comes back. Where the item itself has given way to a later
        one meanwhile, there is no room for that: the later one owes its place to what comes back
        instead, as if the item had never been.
        """
        shelves, agent, mutation_id = self._shelves, mutation.target, mutation.mutation_id
        owed = [p for p in shelves.aside(agent) if p.by == mutation_id]
        mine = next((p for p in shelves.aside(agent) if p.item.item_id == mutation_id), None)
        n_free = self._max_items - len(shelves.items(agent))
        restored = []
        for pruned in sorted(owed, key=lambda p: -p.at_s):
            if mine is not None and n_free <= 0:
                shelves.put_aside(PrunedItem(pruned.item, mine.by, pruned.at_s))
                continue
            shelves.restore(pruned)
            restored.append(pruned.item.item_id)
            n_free -= 1
        if not _Wanted.of(mutation).forget:
            shelves.forget(agent, mutation_id)
        again = f" and remembers {', '.join(restored)} again" if restored else ""
        return self._did(mutation, f"agent {agent!r} is without {mutation_id}{again}")

    def _did(self, mutation: Mutation, message: str) -> Receipt:
        return Receipt(mutation_id=mutation.mutation_id, external=True, message=message)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What ``to`` says: a text's hash with an importance, or an item to forget."""

    body: str = ""
    importance: float = _IMPORTANCE
    forget: str = ""

    @classmethod
    def of(cls, mutation: Mutation) -> _Wanted:
        """Read it.

        Raises:
            InvalidInputError: It is neither.
        """
        to = mutation.to
        if isinstance(to, dict) and set(to) == {"forget"} and isinstance(to["forget"], str) and to["forget"]:
            return cls(forget=to["forget"])
        if isinstance(to, dict) and "body" in to and set(to) <= {"body", "importance"}:
            body, importance = to["body"], to.get("importance", _IMPORTANCE)
            if isinstance(body, str) and body:
                return cls(body, _checked(importance))
        raise InvalidInputError(
            f"MEMORY_UPDATE of {mutation.target!r} has to={_short(to)}; expected a text, "
            "{'text': …, 'importance': 0–1} or {'forget': item id}"
        )


def _checked(importance: JsonValue) -> float:
    if isinstance(importance, bool) or not isinstance(importance, int | float) or not 0.0 <= importance <= 1.0:
        raise InvalidInputError(f"the importance of a memory item is {importance!r}; expected a number from 0 to 1")
    return float(importance)


def _short(value: JsonValue) -> str:
    """A value by its form: free text of people has no place in an error that may be logged."""
    return f"a mapping with {sorted(value)}" if isinstance(value, dict) else f"a {type(value).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """How much is remembered.

    Args:
        max_items: Items of one agent. Two hundred are read from SQLite in some ten milliseconds, and
            few prompts have room for more than a handful of them.
    """

    max_items: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.max_items <= 10_000:
            raise ValueError(f"max_items is {self.max_items!r}; expected 1 to 10000")


class MemoryPlugin(Plugin):
    """Registers the executor."""

    name = "memory"
    Options = MemoryOptions

    def __init__(self) -> None:
        self._executor = MemoryUpdate()

    def configure(self, options: object) -> None:
        """Take the options."""
        assert isinstance(options, MemoryOptions)
        self._executor = MemoryUpdate(max_items=options.max_items)

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        """The executor of MEMORY_UPDATE."""
        return (self._executor,)

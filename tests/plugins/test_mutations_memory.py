"""MEMORY_UPDATE: items are added once, give way to more important ones, and every undo is exact."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivefeedback.errors import InvalidInputError, PluginError
from hivefeedback.hooks import Executor, Record, State
from hivefeedback.model import (
    HALF_LIFE_S,
    MEMORY,
    PRUNED,
    Configuration,
    JsonValue,
    Mutation,
    MutationKind,
    agent_prefix,
    read_item,
)
from hivefeedback.testing import ExternalExecutorContract, FakeClock
from hivefeedback_mutations import MemoryPlugin, MemoryUpdate
from hivefeedback_mutations.memory_update import MemoryOptions
from hivefeedback_stores.memory import MemoryStore

CONFIG = Configuration()


def _update(to: JsonValue, mutation_id: str = "m-1", agent: str = "x") -> Mutation:
    return Mutation(kind=MutationKind.MEMORY_UPDATE, target=agent, to=to, mutation_id=mutation_id)


def _add(n: int, importance: float = 0.5, agent: str = "x") -> Mutation:
    return _update({"body": f"hash-{n}", "importance": importance}, f"m-{n}", agent)


class _Rig:
    """An executor on an empty state, and what lies in it."""

    def __init__(self, max_items: int = 3) -> None:
        self.state: State = MemoryStore().state
        self.clock = FakeClock(1000.0)
        self.executor = MemoryUpdate(max_items=max_items)
        self.executor.open(self.state, self.clock)

    def apply(self, mutation: Mutation) -> str:
        return self.executor.apply(self.executor.prepare(mutation, CONFIG), CONFIG).message

    def undo(self, mutation: Mutation) -> str:
        return self.executor.undo(mutation, CONFIG).message

    def ids(self, namespace: str = MEMORY, agent: str = "x") -> list[str]:
        return [r.key.rpartition("/")[2] for r in self.state.list(namespace, prefix=agent_prefix(agent))]

    def remembered(self) -> dict[str, bytes]:
        return {r.key: r.value for r in self.state.list(MEMORY)}


class TestMemoryUpdateKeepsTheContract(ExternalExecutorContract):
    def make_executor(self) -> Executor:
        return MemoryUpdate()

    def make_state(self) -> State:
        return MemoryStore().state

    def make_mutation(self) -> Mutation:
        return _update({"body": "hash"}, "")

    def make_nonsense(self) -> Mutation:
        return _update(["text"])


class TestForgettingKeepsTheContract(ExternalExecutorContract):
    def make_executor(self) -> Executor:
        return MemoryUpdate()

    def make_state(self) -> State:
        state: State = MemoryStore().state
        executor = MemoryUpdate()
        executor.open(state, FakeClock())
        executor.apply(_update({"body": "old"}, "m-0"), CONFIG)
        return state

    def make_mutation(self) -> Mutation:
        return _update({"forget": "m-0"}, "")

    def make_nonsense(self) -> Mutation:
        return _update({"forget": 7})


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        (_update(None), "expected a text"),
        (_update({"body": ""}), "expected a text"),
        (_update({"body": "h", "secret": 1}), "a mapping with"),
        (_update({"body": "h", "importance": 1.5}), "importance of a memory item is 1.5"),
        (_update({"body": "h", "importance": True}), "importance of a memory item is True"),
        (_update({"forget": "m-9"}), "remembers no item 'm-9'; known: none"),
        (_update({"body": "h"}, agent=" "), "names no agent"),
    ],
)
def test_what_cannot_be_remembered_is_refused_with_a_sentence(mutation: Mutation, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        _Rig().executor.prepare(mutation, CONFIG)


def test_an_error_never_repeats_the_words_that_it_refuses() -> None:
    with pytest.raises(InvalidInputError) as error:
        _Rig().executor.prepare(_update("my password is 1234"), CONFIG)
    assert "1234" not in str(error.value)


def test_the_same_words_are_remembered_once() -> None:
    rig = _Rig()
    rig.apply(_add(1))
    with pytest.raises(InvalidInputError, match="remembers this already, as item m-1"):
        rig.apply(_update({"body": "hash-1"}, "m-2"))
    rig.apply(replace(_update({"body": "hash-1"}, "m-2"), target="y"))  # another agent's memory is its own


def test_an_agent_whose_name_begins_like_another_ones_has_its_own_memory() -> None:
    rig = _Rig(max_items=1)
    rig.apply(_add(1, agent="team"))
    rig.apply(_add(2, agent="team/ü x"))
    assert (rig.ids(agent="team"), rig.ids(agent="team/ü x")) == (["m-1"], ["m-2"])


def test_the_least_important_item_gives_way_and_the_receipt_tells_it() -> None:
    """S4.7: importance-based memory pruning."""
    rig = _Rig(max_items=2)
    rig.apply(_add(1, 0.2))
    rig.apply(_add(2, 0.9))
    assert rig.apply(_add(3, 0.5)) == ("agent 'x' remembers item m-3; gave way to it, as the least important of 2: m-1")
    assert (rig.ids(), rig.ids(PRUNED)) == (["m-2", "m-3"], ["m-1"])


def test_age_makes_an_item_give_way_and_use_keeps_it() -> None:
    """S4.7: importance-based memory pruning."""
    rig = _Rig(max_items=2)
    rig.apply(_add(1, 0.6))
    rig.apply(_add(2, 0.6))
    rig.clock.advance(2 * HALF_LIFE_S)
    record = rig.state.list(MEMORY)[0]
    item = read_item(record.value)
    used = msgspec.structs.replace(item, n_used=3, used_at_s=rig.clock())
    rig.state.put(Record(MEMORY, record.key, msgspec.json.encode(used)))
    rig.apply(_add(3, 0.1))
    assert rig.ids() == ["m-1", "m-3"]


def test_the_new_item_never_gives_way_to_itself() -> None:
    rig = _Rig(max_items=1)
    rig.apply(_add(1, 1.0))
    rig.apply(_add(2, 0.0))
    assert rig.ids() == ["m-2"]


def test_a_crash_between_making_room_and_adding_is_taken_up_where_it_was() -> None:
    rig = _Rig(max_items=1)
    rig.apply(_add(1))
    before = rig.remembered()
    mutation = _add(2)
    rig.executor._make_room("x", "m-2")  # the process dies here
    assert not rig.executor.verify(mutation, CONFIG)
    assert "gave way to it, as the least important of 1: m-1" in rig.apply(mutation)
    rig.undo(mutation)
    assert rig.remembered() == before


def test_a_crash_between_two_writes_leaves_an_item_twice_and_never_not_at_all() -> None:
    rig = _Rig()
    rig.apply(_add(1))
    record = rig.state.list(MEMORY)[0]
    rig.apply(_update({"forget": "m-1"}, "m-2"))
    rig.state.put(Record(MEMORY, record.key, record.value))  # the second write did not happen
    assert not rig.executor.verify(_update({"forget": "m-1"}, "m-2"), CONFIG)
    rig.undo(_update({"forget": "m-1"}, "m-2"))
    assert (rig.ids(), rig.ids(PRUNED)) == (["m-1"], [])


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 90 * 86400.0)), min_size=1, max_size=12),
)
def test_undoing_in_reverse_leads_through_exactly_the_same_memories(
    max_items: int, steps: list[tuple[float, float]]
) -> None:
    """S4.7: memory undo, also after pruning."""
    rig = _Rig(max_items)
    seen = []
    for n, (importance, wait_s) in enumerate(steps):
        seen.append(rig.remembered())
        rig.apply(_add(n, importance))
        rig.clock.advance(wait_s)
        assert len(rig.ids()) <= max_items
    for n in reversed(range(len(steps))):
        rig.undo(_add(n))
        assert rig.remembered() == seen[n]
    assert rig.ids(PRUNED) == []


@given(st.integers(1, 3), st.lists(st.floats(0, 1), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_undoing_in_any_order_ends_with_nothing_and_never_overfills(
    max_items: int, importances: list[float], rng: random.Random
) -> None:
    rig = _Rig(max_items)
    for n, importance in enumerate(importances):
        rig.apply(_add(n, importance))
    order = list(range(len(importances)))
    rng.shuffle(order)
    for n in order:
        rig.undo(_add(n))
        assert len(rig.ids()) <= max_items
    assert (rig.ids(), rig.ids(PRUNED)) == ([], [])


def test_an_item_that_gave_way_hands_its_debt_to_the_one_that_took_its_place() -> None:
    rig = _Rig(max_items=1)
    for n in (1, 2, 3):
        rig.apply(_add(n))
    assert rig.ids() == ["m-3"]
    rig.undo(_add(2))  # as if it had never been: now the third one took the place of the first
    assert (rig.ids(), rig.ids(PRUNED)) == (["m-3"], ["m-1"])
    rig.undo(_add(3))
    assert (rig.ids(), rig.ids(PRUNED)) == (["m-1"], [])


def test_what_is_kept_aside_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback_mutations.shelves._ASIDE", 2)
    rig = _Rig(max_items=1)
    for n in range(1, 6):
        rig.apply(_add(n))
        rig.clock.advance(1.0)
    assert rig.ids(PRUNED) == ["m-3", "m-4"]


def test_a_memory_that_nobody_opened_says_so() -> None:
    with pytest.raises(PluginError, match="was not opened"):
        MemoryUpdate().prepare(_update({"body": "h"}), CONFIG)


def test_options_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="max_items is 0"):
        MemoryOptions(max_items=0)
    plugin = MemoryPlugin()
    plugin.configure(MemoryOptions(max_items=2))
    assert [executor.kind for executor in plugin.hive_executors()] == [MutationKind.MEMORY_UPDATE]

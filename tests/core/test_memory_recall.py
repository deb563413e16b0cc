"""What an agent remembers is found again by words, ranked by relevance and importance."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.engine import memory_index
from hivefeedback.engine.memory import AgentMemory, Indices, agents_with_memory
from hivefeedback.engine.memory_index import FullText, Overlap, index_kind, make_index
from hivefeedback.errors import ClosedError, InvalidInputError, StoreCorruptError
from hivefeedback.hooks import Record, Store
from hivefeedback.model import (
    HALF_LIFE_S,
    MAX_MEMORY_BYTES,
    MEMORY,
    MemoryItem,
    agent_prefix,
    importance_at,
    memory_body,
    memory_text,
    read_item,
    read_pruned,
)
from hivefeedback.testing import FakeClock
from hivefeedback_stores.memory import MemoryStore
from tests.core.loops import sync_loop

NOW_S = 1_700_000_000.0


def _remember(store: Store, item_id: str, text: str, agent: str = "x", importance: float = 0.5) -> None:
    body = store.journal.put_body(memory_body(agent, text))
    item = MemoryItem(item_id, agent, body, importance, NOW_S)
    store.state.put(Record(MEMORY, item.key, msgspec.json.encode(item)))


def _memory(
    store: Store, agent: str = "x", clock: FakeClock | None = None, *, is_read_only: bool = False
) -> AgentMemory:
    return AgentMemory(agent, store, clock or FakeClock(NOW_S), Indices(), is_read_only=is_read_only)


@pytest.fixture
def store() -> Store:
    made: Store = MemoryStore()
    _remember(made, "m-1", "Prices are shown in EUR, never in USD.")
    _remember(made, "m-2", "Refunds take five working days.")
    _remember(made, "m-3", "The café closes at 18:00; prices of coffee vary.", importance=0.9)
    _remember(made, "m-1", "Prices of another agent.", agent="y")
    return made


def test_items_come_the_most_important_first_and_of_one_agent_only(store: Store) -> None:
    """S4.7: persistent agent memory."""
    assert [item.item_id for item in _memory(store).items()] == ["m-3", "m-1", "m-2"]
    assert [item.text for item in _memory(store, "y").items()] == ["Prices of another agent."]
    assert agents_with_memory(store) == {"x": 3, "y": 1}
    assert _memory(store, "nobody").items() == []


def test_recall_ranks_by_relevance_times_importance(store: Store) -> None:
    """S4.7: context-aware retrieval."""
    found = _memory(store).recall("in which currency are the prices?", 2)
    assert [one.item.item_id for one in found] == ["m-1", "m-3"]
    assert found[0].relevance == 1.0
    assert found[0].score == found[0].relevance * found[0].item.importance
    assert found[0].text == "Prices are shown in EUR, never in USD."


@pytest.mark.parametrize("make", [FullText, Overlap])
def test_both_indices_find_words_in_any_case_and_nothing_for_foreign_ones(make: type[FullText] | type[Overlap]) -> None:
    index = make({"1": "Prices are in EUR", "2": "Short answers", "3": "Kosten in Größe"})
    assert set(index.relevance("PRICES, please")) == {"1"}
    assert set(index.relevance("größe")) == {"3"}
    assert index.relevance("nothing of it") == {}
    assert index.relevance("") == {} == index.relevance("?!")
    assert all(0.0 < value <= 1.0 for value in index.relevance("in prices").values())
    index.close()


@pytest.mark.parametrize(
    "query", ['"', "a OR", "NEAR(x", "text:prices", "prices*", "-- ;DROP", "\x00prices", "💥 \ud800"]
)
def test_a_query_is_words_and_never_a_language(store: Store, query: str) -> None:
    assert isinstance(_memory(store).recall(query), list)


def test_without_a_query_the_most_important_come(store: Store) -> None:
    assert [one.item.item_id for one in _memory(store).recall("  ", 1)] == ["m-3"]


@pytest.mark.parametrize(("query", "k"), [("x", 0), ("x", -1), ("x", True), ("x", 1.5), (7, 1), (None, 1)])
def test_what_cannot_be_asked_is_refused(store: Store, query: object, k: object) -> None:
    with pytest.raises(InvalidInputError):
        _memory(store).recall(query, k)  # type: ignore[arg-type]  # as a caller without a type checker may


@pytest.mark.parametrize("agent", ["", " ", None, 7])
def test_a_memory_needs_an_agent(store: Store, agent: object) -> None:
    with pytest.raises(InvalidInputError, match="is no id"):
        _memory(store, agent)  # type: ignore[arg-type]  # as a caller without a type checker may


def test_what_is_recalled_counts_as_used_unless_somebody_only_looks(store: Store) -> None:
    clock = FakeClock(NOW_S)
    clock.advance(60.0)
    _memory(store, clock=clock, is_read_only=True).recall("refunds")
    _memory(store, clock=clock).recall("refunds", count_use=False)
    assert {item.item_id: item.n_used for item in _memory(store).items()} == {"m-1": 0, "m-2": 0, "m-3": 0}
    memory = _memory(store, clock=clock)
    memory.recall("refunds")
    used = next(item for item in memory.items() if item.item_id == "m-2")
    assert (used.n_used, used.used_at_s) == (1, NOW_S + 60.0)
    assert used.importance > 0.5


def test_importance_halves_in_a_month_without_use_and_never_leaves_its_range() -> None:
    """S4.7: importance-based memory pruning."""
    item = MemoryItem("m-1", "x", "h", importance=0.8, created_at_s=NOW_S)
    assert importance_at(item, NOW_S) == 0.8
    assert importance_at(item, NOW_S + HALF_LIFE_S) == pytest.approx(0.4)
    assert importance_at(item, NOW_S - 1000.0) == 0.8  # a clock that went back
    assert importance_at(msgspec.structs.replace(item, n_used=10**9), NOW_S) == 1.0


def test_an_item_whose_text_was_erased_is_not_shown(store: Store) -> None:
    item = read_item(store.state.list(MEMORY, prefix=agent_prefix("y"))[0].value)
    store.journal.erase_body(item.body)
    assert _memory(store, "y").items() == []
    assert _memory(store, "y").recall("prices") == []


def test_a_damaged_item_is_named_and_not_skipped() -> None:
    store: Store = MemoryStore()
    store.state.put(Record(MEMORY, agent_prefix("x") + "m-1", b"{"))
    with pytest.raises(StoreCorruptError, match="memory item"):
        _memory(store).items()
    with pytest.raises(StoreCorruptError, match="pruned"):
        read_pruned(b"{")


def test_the_same_words_of_two_agents_are_two_texts() -> None:
    assert memory_body("x", "words") != memory_body("y", "words")
    assert memory_text(memory_body("x", " words\n")) == "words"
    assert memory_text("no json") == "no json"


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "x" * (MAX_MEMORY_BYTES + 1), 7])
def test_what_is_no_text_to_remember_is_refused(text: object) -> None:
    with pytest.raises(InvalidInputError, match="agent 'x' should remember"):
        memory_body("x", text)  # type: ignore[arg-type]  # as a caller without a type checker may


def test_an_index_is_made_anew_only_when_what_is_remembered_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(texts: dict[str, str]) -> FullText | Overlap:
        made.append(len(texts))
        return make_index(texts)

    monkeypatch.setattr("hivefeedback.engine.memory.make_index", counted)
    memory = _memory(store)
    for _ in range(3):
        memory.recall("prices")
    assert made == [3]
    _remember(store, "m-4", "Prices again.")
    assert "m-4" in {one.item.item_id for one in memory.recall("prices")}
    assert made == [3, 4]


def test_only_some_indices_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback.engine.memory._INDICES", 2)
    indices = Indices()
    for agent in "abc":
        assert indices.relevance(agent, {"m-1": "words"}, "words") == {"m-1": 1.0}
    assert len(indices._known) == 2


def test_without_a_full_text_index_words_are_compared_and_that_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S4.7: context-aware retrieval."""

    def missing(texts: object) -> FullText:
        raise sqlite3.OperationalError("no such module: fts5")

    index_kind.cache_clear()
    monkeypatch.setattr(memory_index, "FullText", missing)
    try:
        memory = _memory(store)
        assert memory.index == "overlap"
        assert [one.item.item_id for one in memory.recall("refunds of days")] == ["m-2", "m-3"]
        assert "no full-text index (no such module: fts5)" in caplog.text
    finally:
        index_kind.cache_clear()


def test_a_loop_shows_the_memory_of_its_store_and_a_closed_one_says_so(tmp_path: Path) -> None:
    """S4.7: cross-session knowledge retention."""
    url = f"sqlite:///{tmp_path}/hive.db"
    with sync_loop("a", store=url) as loop:
        _remember(loop.store, "m-1", "Prices are in EUR.")
        assert loop.memory("x").index in ("fts5", "overlap")
    with sync_loop("a", store=url, clock=FakeClock(NOW_S)) as loop:
        assert [one.text for one in loop.memory("x").recall("prices")] == ["Prices are in EUR."]
    with pytest.raises(ClosedError):
        loop.memory("x")


def test_in_mode_off_nothing_is_remembered_and_nothing_raises() -> None:
    with FeedbackLoop("memory://", ["a"], mode="off") as loop:
        assert loop.memory("x").items() == []
        assert loop.memory("x").recall("words") == []

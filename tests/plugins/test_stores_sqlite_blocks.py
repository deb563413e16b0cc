"""Events in blocks are found, erased and dropped like events in rows."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from hivefeedback.hooks import Commit, Selector, Store
from hivefeedback.model import BatchCommitted, Control, DecisionRecord, Event, Feedback, Run
from hivefeedback.stats import Delta
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.sqlite import SqliteStore

SESSIONS, TRACES = ("s0", "s1", "s2"), ("t0", "t1", "t2", "t3")


def events(seed: int, n: int = 120, *, first: int = 1, producer: str = "p") -> list[Event]:
    """What a process may write: runs, decisions, feedback and control events, some with ids that were given."""
    rng = random.Random(seed)
    made = []
    for seq in range(first, first + n):
        at_s = 1000.0 + seq + rng.uniform(-5.0, 5.0)
        letter = rng.choice("rrrrdfc")
        body: Run | DecisionRecord | Feedback | Control
        if letter == "r":
            body = Run(
                rng.choice("ab"),
                "x",
                trace_id=rng.choice(("", *TRACES)),
                decision_id=rng.choice(("", f"d{producer}-1-{rng.randrange(1, seq + 1)}")),
                session_id=rng.choice(("", *SESSIONS)),
                agent_id=rng.choice(("", "planner")),
                user_id=rng.choice(("", "u")),
            )
        elif letter == "d":
            body = DecisionRecord("x", deployment=rng.choice("ab"), session_id=rng.choice(("", *SESSIONS)))
        elif letter == "f":
            body = Feedback("helpful", 0.5, run_id=f"r{producer}-1-{rng.randrange(1, seq + 1)}")
        else:
            body = Control(BatchCommitted(last_seq=seq, n_events=1))
        name = f"{letter}{producer}-1-{seq}" if rng.random() < 0.9 else f"given-{seq}"
        made.append(Event(producer, 1, seq, name, at_s, at_s, body))
    return made


def both(tmp_path: Path) -> tuple[MemoryStore, SqliteStore]:
    return MemoryStore("memory://"), SqliteStore(f"sqlite:///{tmp_path / 'hive.db'}")


def write(stores: Sequence[Store], batches: Sequence[Sequence[Event]]) -> None:
    for number, batch in enumerate(batches, 1):
        for store in stores:
            store.commit(Commit("p", 1, number, batch, Delta()))


def n_blocks(store: SqliteStore) -> int:
    with sqlite3.connect(store._database.path) as connection:
        (n,) = connection.execute("SELECT count(*) FROM blocks").fetchone()
    connection.close()
    return int(n)


def assert_same(memory: Store, sqlite: Store, ids: Sequence[str]) -> None:
    """Every question of a log has the same answer."""
    expected = [event for _, event in memory.log.read()]
    placed = sqlite.log.read()
    assert [event for _, event in placed] == expected
    assert [p for p, _ in placed] == sorted(p for p, _ in placed)
    middle = placed[len(placed) // 2][0] if placed else 0
    assert [e for _, e in sqlite.log.read(after=middle, limit=7)] == [e for p, e in placed if p > middle][:7]
    assert sqlite.log.count() == memory.log.count() == len(expected)
    for event_id in ids:
        assert sqlite.log.find(event_id) == memory.log.find(event_id)
    assert sqlite.log.among(ids) == {i for i in ids if memory.log.find(i)}  # type: ignore[attr-defined]  # an extra of this store
    for name, values in (("session_id", SESSIONS), ("trace_id", TRACES)):
        for value in values:
            assert sqlite.log.find_run(**{name: value}) == memory.log.find_run(**{name: value})
    for event in expected:
        if isinstance(event.body, Run):
            assert sqlite.log.said_of(event) == memory.log.said_of(event)
    assert sqlite.check() == []


@pytest.fixture(autouse=True)
def _blocks_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback_stores.sqlite_log.FEWEST", 16)


@pytest.mark.parametrize("seed", range(6))
def test_a_log_in_blocks_answers_like_one_in_memory(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback_stores.sqlite_log.FEWEST", 2)
    monkeypatch.setattr("hivefeedback_stores.sqlite_log._CHUNK", 10)
    memory, sqlite = both(tmp_path)
    all_events = events(seed)
    ids = [event.event_id for event in all_events] + ["rp-1-9999", "rp-2-1", "nobody", "", "r--", "rp-1-x"]
    again = random.Random(seed).sample(all_events, 20)  # some come twice
    write((memory, sqlite), [all_events[:50], all_events[50:60], [*again, *all_events[60:]], []])
    assert n_blocks(sqlite) > 5
    assert_same(memory, sqlite, ids)
    for erased in (Selector(session="s1"), Selector(agent="planner", deployment="a"), Selector(before_s=1030.0)):
        assert sqlite.log.erase(erased) == memory.log.erase(erased)
        assert_same(memory, sqlite, ids)
    assert sqlite.log.retain(before_s=1080.0) == memory.log.retain(before_s=1080.0)
    assert_same(memory, sqlite, ids)
    more = events(seed, 40, first=500)
    for store in (memory, sqlite):
        store.commit(Commit("p", 1, 9, more, Delta()))
    assert_same(memory, sqlite, [*ids, *(event.event_id for event in more)])
    sqlite.close()


def test_what_is_erased_from_a_block_is_nowhere_in_the_file(tmp_path: Path) -> None:
    _, sqlite = both(tmp_path)
    runs = [
        Event("p", 1, seq, f"rp-1-{seq}", 1.0, 1.0, Run("a", "x", session_id="a secret" if seq == 7 else ""))
        for seq in range(1, 100)
    ]
    write((sqlite,), [runs])
    assert n_blocks(sqlite) == 1
    assert sqlite.log.erase(Selector(session="a secret")) == 1
    assert sqlite.log.count() == 98
    sqlite.close()
    assert all(b"a secret" not in path.read_bytes() for path in tmp_path.glob("hive.db*"))


def test_an_event_that_cannot_be_written_is_named_and_a_block_keeps_the_others_whole(tmp_path: Path) -> None:
    from hivefeedback.errors import InvalidInputError

    _, sqlite = both(tmp_path)
    runs = [Event("p", 1, seq, f"rp-1-{seq}", 1.0, 1.0, Run("a", "x")) for seq in range(1, 100)]
    bad = Event("p", 1, 200, "rp-1-200", float("nan"), 1.0, Run("a", "x"))
    with pytest.raises(InvalidInputError, match="rp-1-200"):
        write((sqlite,), [[*runs, bad]])
    assert sqlite.log.count() == 0
    with pytest.raises(InvalidInputError, match="lone surrogate"):
        write((sqlite,), [[*runs, Event("p", 1, 201, "rp-1-201", 1.0, 1.0, Run("a", "\ud800"))]])
    write((sqlite,), [runs])
    assert sqlite.log.count() == 99


def test_a_damaged_block_is_named(tmp_path: Path) -> None:
    _, sqlite = both(tmp_path)
    write((sqlite,), [[Event("p", 1, seq, f"rp-1-{seq}", 1.0, 1.0, Run("a", "x")) for seq in range(1, 100)]])
    connection = sqlite3.connect(sqlite._database.path)
    connection.execute("UPDATE blocks SET payload = '[{}]'")
    connection.commit()
    connection.close()
    (sentence,) = sqlite.check()
    assert "position 1" in sentence


def test_a_file_of_version_2_gets_blocks_and_loses_nothing(tmp_path: Path) -> None:
    _, sqlite = both(tmp_path)
    runs = [Event("p", 1, seq, f"rp-1-{seq}", 1.0, 1.0, Run("a", "x")) for seq in range(1, 11)]
    write((sqlite,), [runs])
    assert n_blocks(sqlite) == 0, "few events are rows"
    path = sqlite._database.path
    sqlite.close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE blocks; UPDATE meta SET value = '2' WHERE name = 'schema_version'")
    connection.close()
    looking = SqliteStore(f"sqlite:///{path}", read_only=True)
    assert [e for _, e in looking.log.read()] == runs
    assert looking.log.count() == 10
    assert looking.check() == []
    looking.close()
    again = SqliteStore(f"sqlite:///{path}")
    more = [Event("p", 1, seq, f"rp-1-{seq}", 1.0, 1.0, Run("a", "x")) for seq in range(11, 111)]
    again.commit(Commit("p", 1, 2, more, Delta()))
    assert [e for _, e in again.log.read()] == [*runs, *more]
    assert n_blocks(again) == 1
    again.close()

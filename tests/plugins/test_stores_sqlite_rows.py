"""A commit costs a handful of statements, however much is in it: each of them has to get the interpreter's
lock back, which a busy host gives away every 5 ms."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hivefeedback.hooks import Commit, Record
from hivefeedback.model import DecisionRecord, Event, Feedback, Run
from hivefeedback.stats import CellKey, Delta, Exemplar
from hivefeedback_stores.sqlite import SqliteStore
from hivefeedback_stores.sqlite_folding import FOLD_AT
from hivefeedback_stores.sqlite_rows import found_at, insert_rows


@contextmanager
def counted(store: SqliteStore) -> Iterator[list[str]]:
    """The statements that a store's writer does meanwhile; each row of ``executemany`` is one."""
    done: list[str] = []
    with store._database.write() as connection:
        connection.set_trace_callback(done.append)
    yield done
    connection.set_trace_callback(None)


def events(first: int, n: int) -> Sequence[Event]:
    bodies = (
        lambda seq: DecisionRecord("x", deployment="a"),
        lambda seq: Run("a", "x", trace_id=f"t{seq}", decision_id=f"dp-1-{seq}", session_id="s"),
        lambda seq: Feedback("helpful", 1.0, trace_id=f"t{seq}"),
    )
    return [
        Event(
            "p", 1, seq, f"dp-1-{seq}" if seq % 3 == 0 else f"given-{seq}", float(seq), float(seq), bodies[seq % 3](seq)
        )
        for seq in range(first, first + n)
    ]


def delta(n_cells: int) -> Delta:
    made = Delta()
    for i in range(n_cells):
        made.cell(CellKey(f"d{i}", "x"), 60).add_run(Run(f"d{i}", "x"))
        made.exemplars[(f"d{i}", "x")] = [Exemplar(1.0, f"r{i}", 1.0)]
    return made


def statements(store: SqliteStore, n_events: int, n_cells: int) -> int:
    """Of sixteen commits, one of which folds."""
    with counted(store) as done:
        for number in range(1, FOLD_AT + 1):
            records = [Record("x", f"{number}/{i}", b"1") for i in range(n_events)]
            store.commit(Commit("p", 1, number, events(number * n_events, n_events), delta(n_cells), records))
    return len(done)


def test_the_statements_of_a_commit_do_not_grow_with_what_is_in_it(tmp_path: Path) -> None:
    with (
        closing(SqliteStore(f"sqlite:///{tmp_path}/small.db")) as small,
        closing(SqliteStore(f"sqlite:///{tmp_path}/large.db")) as large,
    ):
        few, many = statements(small, 3, 3), statements(large, 120, 90)
        assert few < FOLD_AT * 20
        assert many < few * 1.25


def test_rows_are_written_in_pieces_that_every_sqlite_takes() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE x (a INTEGER, b TEXT, PRIMARY KEY (a, b))")
        rows = [(i, f"b{i}") for i in range(2500)]
        done: list[str] = []
        connection.set_trace_callback(done.append)
        insert_rows(connection, "INSERT INTO x", rows)
        insert_rows(connection, "INSERT OR IGNORE INTO x", [*rows[:3], (9999, "new")])
        insert_rows(connection, "INSERT INTO x", [])
        assert sum("INSERT" in statement for statement in done) == 7
        assert connection.execute("SELECT * FROM x ORDER BY a").fetchall() == [*rows, (9999, "new")]


@pytest.mark.parametrize("n", [0, 1, 500, 1200])
def test_what_lies_at_many_keys_is_found_whatever_its_bytes(n: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE x (a INTEGER, b TEXT, data BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID")
        rows = {(i, f"b,:{i}'"): bytes([i % 256, 44, 58, 0]) * (i % 3) for i in range(0, n, 2)}
        insert_rows(connection, "INSERT INTO x", [(*key, data) for key, data in rows.items()])
        asked = [(i, f"b,:{i}'") for i in range(n)]
        found: dict[tuple[int, str], bytes] = {}
        keys: list[tuple[int, str]] = []
        for some, at in found_at(connection, "x", "data", ("a", "b"), asked):
            keys += some
            found.update(at)
        assert (keys, found) == (asked, rows)


def test_keys_are_looked_up_and_not_searched_for() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE x (a INTEGER, b TEXT, data BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID")
        plan: list[str] = []
        connection.set_trace_callback(plan.append)
        list(found_at(connection, "x", "data", ("a", "b"), [(1, "b"), (2, "b")]))
        explained = connection.execute(f"EXPLAIN QUERY PLAN {plan[-1]}").fetchall()
        assert any("SEARCH x USING PRIMARY KEY (a=? AND b=?)" in row[3] for row in explained)


class _FullDiskError(Exception):
    """The store's last step fails."""


def test_a_commit_that_fails_while_it_folds_counts_once_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = 3600 * 277_777

    def of(*minutes: int) -> Delta:
        made = Delta()
        for minute in minutes:
            made.cell(CellKey("a", "x"), minute).add_run(Run("a", "x"))
        return made

    def fail(*_: object) -> None:
        raise _FullDiskError

    with closing(SqliteStore(f"sqlite:///{tmp_path}/hive.db")) as store:
        store.aggregates.compact(now_s=hour)  # what is older than two hours lies in hours
        for number in range(1, FOLD_AT):
            store.commit(Commit("p", 1, number, (), of(hour)))
        old = hour - 5 * 3600
        folding = Commit("p", 1, FOLD_AT, (), of(old, old + 60, old + 120))
        with monkeypatch.context() as patched:
            patched.setattr("hivefeedback_stores.sqlite.put_records", fail)
            with pytest.raises(_FullDiskError):
                store.commit(folding)
        store.commit(folding)
        assert store.aggregates.read(from_s=old, to_s=old + 3600).coverage.n_runs == 3
        assert store.aggregates.read(from_s=hour, to_s=hour + 60).coverage.n_runs == FOLD_AT - 1


def test_a_delta_of_a_commit_that_failed_is_not_taken_for_one_that_another_process_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise _FullDiskError

    with (
        closing(SqliteStore(f"sqlite:///{tmp_path}/hive.db")) as store,
        closing(SqliteStore(f"sqlite:///{tmp_path}/hive.db")) as other,
    ):
        with monkeypatch.context() as patched:
            patched.setattr("hivefeedback_stores.sqlite.put_records", fail)
            with pytest.raises(_FullDiskError):
                store.commit(Commit("p", 1, 1, (), delta(5)))
        store.commit(Commit("p", 1, 2, (), Delta()))
        other.commit(Commit("q", 1, 1, (), delta(1)))
        for number in range(3, 3 + FOLD_AT):
            store.commit(Commit("p", 1, number, (), delta(1)))
        assert store.aggregates.read(from_s=0, to_s=120).coverage.n_runs == 1 + FOLD_AT

"""A store that fails, is slow, full, read-only or gone: calls go on, what is lost is bounded and counted."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError, StoreCorruptError, StoreUnreachableError
from hivefeedback.hooks import Commit, Record
from hivefeedback.model import Event, Run
from hivefeedback.recording import Committer, Counters, Outgoing, write
from hivefeedback.stats import CellKey, Delta
from hivefeedback.testing import FakeClock
from hivefeedback_stores.memory import MemoryStore
from tests.core.faulty import WRITES, FaultyStores
from tests.core.loops import bodies, live_loop, sync_loop, until

ERRORS = [
    StoreUnreachableError("the disk is full"),
    StoreCorruptError("page 7 is damaged"),
    OSError(28, "No space left on device"),
    sqlite3.OperationalError("database is locked"),
    RuntimeError("a stranger's store"),
]


def faulty_loop(name: str, stores: FaultyStores, *, threads: bool, **more: Any) -> FeedbackLoop:
    make = live_loop if threads else sync_loop
    return make(store=f"faulty://{name}", plugins=[stores], **more)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("threads", [True, False])
def test_a_store_that_fails_later_costs_nothing_once_it_is_back(
    error: Exception, threads: bool, tmp_path: Path
) -> None:
    stores = FaultyStores()
    with faulty_loop(tmp_path.name, stores, threads=threads) as loop:
        loop.record(Run("a", "x"))
        loop.flush()
        stores.faults.error = error
        for _ in range(200):
            assert loop.decide("x").deployment in ("a", "b")
            assert loop.record(Run("a", "x"))
        assert loop.flush(0.3) is False
        assert loop.counters["store_errors"] + loop.counters["commits_refused"] > 0
        stores.faults.back()
        loop.record(Run("a", "x"))
        assert loop.flush(20.0)
        assert loop.stats()[0].n_runs == 202
        assert len(bodies(loop, Run)) == 202
        assert loop.counters["events_uncommitted"] == loop.counters["bad_item"] == 0


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("names", [(), WRITES, ("open",), ("state",), ("put_body", "append"), ("head",)])
def test_a_store_that_fails_at_start_is_stood_in_for_by_memory(
    names: tuple[str, ...], threads: bool, tmp_path: Path
) -> None:
    stores = FaultyStores()
    stores.faults.gone(*(names if names != ("state",) else ("get", "list", "put")))
    with faulty_loop(tmp_path.name, stores, threads=threads, prompts={"p": "text"}) as loop:
        assert loop.counters["store_unreachable"] == 1
        assert loop.decide("x").prompt("p") == "text"
        loop.record(Run("a", "x"))
        loop.flush()
        assert loop.stats()[0].n_runs == 1
        assert loop.store.url.startswith("memory://")


def test_a_store_that_is_gone_at_start_does_not_promise_what_memory_cannot_keep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Redis keeps what waits for it in memory for a while; a loop that began without it keeps nothing beyond itself."""
    pytest.importorskip("redis", reason="install it with: pip install 'hivefeedback[redis]'")
    with sync_loop(store="redis://127.0.0.1:1/0") as loop:
        assert loop.counters["store_unreachable"] == 1
    assert "memory:// stands in until the process is started again" in caplog.text
    assert "a process that had reached it keeps in memory" in caplog.text
    assert "it is not tried again, nothing is kept beyond this process" in caplog.text


def test_a_store_that_fails_at_start_is_raised_where_that_is_asked_for(tmp_path: Path) -> None:
    for names in (("open",), ("append",)):
        stores = FaultyStores()
        stores.faults.gone(*names)
        with pytest.raises(StoreUnreachableError, match="mount it again"):
            faulty_loop(tmp_path.name, stores, threads=True, on_store_error="raise")


def test_a_store_factory_that_raises_anything_is_stood_in_for_by_memory(tmp_path: Path) -> None:
    stores = FaultyStores()
    stores.faults.error = RuntimeError("boom")
    with faulty_loop(tmp_path.name, stores, threads=True) as loop:
        assert loop.counters["store_unreachable"] == 1
        assert loop.decide("x").deployment in ("a", "b")


@pytest.mark.parametrize("url", ["nothing", "mongo://x", ""])
def test_a_wrong_store_url_fails_at_start_with_a_sentence(url: str) -> None:
    if not url:
        return
    with pytest.raises(ConfigurationError, match="store"):
        sync_loop(store=url)


def test_a_damaged_database_is_named_and_memory_stands_in(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    path.write_bytes(b"this is no database" * 1000)
    with live_loop(store=f"sqlite:///{path}") as loop:
        assert loop.counters["store_unreachable"] == 1
        assert loop.decide("x").deployment in ("a", "b")
    assert path.read_bytes().startswith(b"this is no database")


def test_a_database_that_another_program_locks_delays_nobody(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    with live_loop(store=f"sqlite:///{path}") as loop:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        before = time.perf_counter()
        for _ in range(500):
            loop.decide("x")
            loop.record(Run("a", "x"))
        assert time.perf_counter() - before < 2.0
        assert loop.flush(0.2) is False
        other.execute("ROLLBACK")
        other.close()
        assert loop.flush(20.0)
        assert loop.stats()[0].n_runs == 500


def test_a_slow_store_delays_neither_decisions_nor_learning(tmp_path: Path) -> None:
    stores = FaultyStores()
    with faulty_loop(tmp_path.name, stores, threads=True) as loop:
        loop.flush()
        stores.faults.gate.clear()
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        until(lambda: {loop.decide("x").deployment for _ in range(20)} == {"b"})
        stores.faults.gate.set()
        assert loop.flush(20.0)


def test_beyond_the_bound_events_are_dropped_and_counted_but_sums_are_kept(tmp_path: Path) -> None:
    stores = FaultyStores()
    with faulty_loop(tmp_path.name, stores, threads=True, pending_commits=100) as loop:
        loop.flush()
        stores.faults.gone("commit")
        for _ in range(10):
            for _ in range(50):
                loop.record(Run("a", "x"))
            loop.flush(0.05)
        stores.faults.back()
        assert loop.flush(20.0)
        assert loop.stats()[0].n_runs == 500
        n_kept = len(bodies(loop, Run))
        assert n_kept < 500
        assert loop.counters["events_uncommitted"] >= 500 - n_kept


def commit(number: int, n_runs: int) -> Commit:
    delta = Delta()
    for _ in range(n_runs):
        delta.cell(CellKey("a", "x"), 60).add_run(Run("a", "x"))
    return Commit("p", 1, number, (), delta)


class Nobody:
    """Hears nothing."""

    def on_poll(self) -> None: ...

    def on_checked(self, repeated: object) -> None: ...


def test_what_waits_for_a_store_that_stays_away_does_not_grow_without_end() -> None:
    store = MemoryStore("memory://")
    committer = Committer(store, Nobody(), Counters(), max_events=100, poll_every_s=1.0)
    for number in range(1, 5001):
        committer.send(commit(number, 1))
    assert len(committer._jobs) <= 1000
    committer.start()
    assert committer.stop(20.0)
    assert store.aggregates.read(from_s=0, to_s=120).coverage.n_runs == 5000


def test_commits_that_wait_are_written_as_one_with_all_that_is_in_them() -> None:
    store, numbers = MemoryStore("memory://"), list[int]()
    committer = Committer(store, Nobody(), Counters(), max_events=10_000, poll_every_s=1.0)
    number = 0
    for seq in range(1, 5001):
        events = (Event("p", 1, seq, f"rp-1-{seq}", 60.0, 60.0, Run("a", "x")),)
        sent = msgspec.structs.replace(
            commit(number + 1, 1), events=events, records=[Record("x", "newest", b"%d" % seq)]
        )
        if committer.send(sent):
            number += 1
            numbers.append(number)
    committer.start()
    assert committer.stop(20.0)
    assert numbers == [1, 2], "4096 events at most"
    assert [event.seq for _, event in store.log.read()] == list(range(1, 5001))
    assert store.aggregates.read(from_s=0, to_s=120).coverage.n_runs == 5000
    newest = store.state.get("x", "newest")
    assert newest is not None
    assert newest.value == b"5000"


def test_an_inline_loop_counts_what_it_cannot_keep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hivefeedback.engine.desk._BACKLOG", 5)
    stores = FaultyStores()
    with faulty_loop(tmp_path.name, stores, threads=False) as loop:
        stores.faults.gone("commit")
        for _ in range(20):
            loop.record(Run("a", "x"))
        assert loop.counters["events_uncommitted"] > 0
        stores.faults.back()
        assert loop.flush()


def test_a_store_that_cannot_be_closed_does_not_raise_into_the_host(tmp_path: Path) -> None:
    stores = FaultyStores()
    loop = faulty_loop(tmp_path.name, stores, threads=True)
    loop.record(Run("a", "x"))
    stores.faults.gone()
    loop.close(1.0)
    assert loop.decide("x").deployment == "a"


def test_a_turn_of_a_store_that_is_gone_says_so(tmp_path: Path) -> None:
    stores = FaultyStores()
    with faulty_loop(tmp_path.name, stores, threads=False) as loop:
        stores.faults.gone()
        with pytest.raises(StoreUnreachableError, match="mount it again"):
            loop.turn()
        stores.faults.back()
        assert loop.turn().leader


def test_canaries_end_when_the_store_is_gone_for_too_long(tmp_path: Path) -> None:
    from tests.core.loops import open_rollout

    stores, clock = FaultyStores(), FakeClock()
    with faulty_loop(tmp_path.name, stores, threads=False, clock=clock) as loop:
        open_rollout(loop, share=1.0)
        stores.faults.gone()
        clock.advance(30)
        assert loop.decide("x", ["a"]).model == "better"
        clock.advance(31)
        assert loop.decide("x", ["a"]).model == "a"
        stores.faults.back()
        assert loop.decide("x", ["a"]).model == "better"


def test_one_event_that_cannot_be_written_holds_up_none_of_the_others() -> None:
    from hivefeedback.model import Event

    class Picky(MemoryStore):
        def commit(self, commit: Commit) -> None:
            if any(e.event_id == "bad" for e in commit.events):
                raise TypeError("cannot be encoded")
            super().commit(commit)

    store, counters = Picky("memory://"), Counters()
    bad = Event("p", 1, 2, "bad", 1.0, 1.0, Run("a", attributes={"x": object()}))  # type: ignore[dict-item]  # wrong on purpose
    good = Event("p", 1, 1, "good", 1.0, 1.0, Run("a"))
    write(store, Outgoing(Commit("p", 1, 1, [good, bad], Delta())), counters)
    assert [e.event_id for _, e in store.log.read()] == ["good"]
    assert counters["events_unwritable"] == 1


def test_a_marker_that_fails_costs_nothing_that_stands_behind_it() -> None:
    def fail() -> None:
        raise RuntimeError("no")

    with live_loop() as loop:
        assert loop._engine is not None
        ring = loop._engine.ring
        loop.flush()
        ring.items.extend([(0, 0.0, fail)])
        for _ in range(5):
            loop.record(Run("a", "x"))
        assert loop.flush(20.0)
        assert loop.stats()[0].n_runs == 5
        assert loop.counters["recorder_errors"] == 1


def test_an_event_that_is_refused_is_counted_once_however_often_its_commit_is_tried() -> None:
    store, counters = MemoryStore("memory://"), Counters()
    bad = Event("p", 1, 1, "rp-1-1", float("nan"), 60.0, Run("a", "x"))
    good = Event("p", 1, 2, "rp-1-2", 60.0, 60.0, Run("a", "x"))
    tried: list[int] = []

    class Refusing(MemoryStore):
        """Takes no event that another could not read, and is gone for a while then."""

        def commit(self, commit: Commit) -> None:
            tried.append(len(commit.events))
            if any(event.event_id == "rp-1-1" for event in commit.events):
                raise ValueError("not a number")
            if len(tried) < 4:
                raise StoreUnreachableError("gone")
            store.commit(commit)

    outgoing = Outgoing(Commit("p", 1, 1, (bad, good), Delta()))
    for _ in range(2):
        with pytest.raises(StoreUnreachableError):
            write(Refusing("memory://"), outgoing, counters)
    write(Refusing("memory://"), outgoing, counters)
    assert (tried, counters["events_unwritable"], counters["commits_refused"]) == ([2, 1, 1, 1], 1, 1)

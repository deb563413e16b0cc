"""A store that is slow, full, locked, gone or fails now and then: calls go on, and what was acknowledged is there."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Store
from hivefeedback.model import Feedback, Run
from hivefeedback.testing import FakeClock, Faults, FaultyStores
from hivefeedback_stores.json import JsonStore
from hivefeedback_stores.sqlite import SqliteStore
from tests.core.loops import events, live_loop, sync_loop
from tests.core.recount import assert_recount

N = 300
QUICK_S = 2.0
"""So long may the calls of an application take together on a busy machine; each of them takes microseconds."""
BROKEN = ["full", "locked", "gone", "odd"]


@pytest.fixture(params=["sqlite", "json"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> FaultyStores:
    def open_store(url: str, *, read_only: bool = False) -> Store:
        if request.param == "json":
            return JsonStore(f"json:///{tmp_path}/hive.json", read_only=read_only)
        return SqliteStore(f"sqlite:///{tmp_path}/hive.db", read_only=read_only)

    return FaultyStores(open_store)


def live(stores: FaultyStores, **more: Any) -> FeedbackLoop:
    return live_loop(store="faulty://x", plugins=[stores], **more)


def use(loop: FeedbackLoop, n: int = N) -> list[str]:
    """What an application does; answers the ids of its runs. It takes no time and raises nothing."""
    begin_s = time.perf_counter()
    run_ids = []
    for i in range(n):
        d = loop.decide("x")
        run_ids.append(loop.record(Run(d.deployment or "a", "x", decision_id=d.decision_id)))
        loop.feedback(Feedback("helpful", 1.0, run_id=run_ids[i // 2], idempotency_key=f"{run_ids[i]}"))
    assert time.perf_counter() - begin_s < QUICK_S
    return run_ids


def break_it(faults: Faults, how: str, *names: str) -> None:
    if how == "odd":  # what no store of ours raises
        faults.fail(OSError(errno.ENOSPC, "No space left on device"), *names)
    else:
        getattr(faults, how)(*names)


def logged(loop: FeedbackLoop) -> list[str]:
    return [event.event_id for event in events(loop) if isinstance(event.body, Run)]


@pytest.mark.parametrize("how", BROKEN)
def test_what_was_acknowledged_before_a_fault_is_there_after_it_and_the_rest_follows(
    stores: FaultyStores, how: str
) -> None:
    with live(stores) as loop:
        first = use(loop)
        assert loop.flush(30.0)
        break_it(stores.faults, how)
        second = use(loop)
        assert loop.flush(0.1) is False
        stores.faults.back()
        third = use(loop)
        assert loop.flush(30.0)
        assert sorted(logged(loop)) == sorted([*first, *second, *third])
        assert loop.counters["events_uncommitted"] == loop.counters["events_dropped"] == 0
        assert_recount(loop)


@pytest.mark.parametrize("stores", ["sqlite"], indirect=True)
def test_what_a_store_refuses_for_good_is_not_acknowledged_and_is_counted(stores: FaultyStores) -> None:
    """A store that raises what is no store's word is tried a few times only: what it cannot take must not
    hold up all that comes after it."""
    with live(stores) as loop:
        loop.flush()
        break_it(stores.faults, "odd", "commit")
        loop.record(Run("a", "x"))
        assert loop.flush(30.0) is False
        assert loop.counters["events_uncommitted"] > 0
        stores.faults.back()
        run_id = loop.record(Run("a", "x"), durable=True)
        assert logged(loop) == [run_id]
        assert loop.counters["not_durable"] == 0


@pytest.mark.parametrize("is_late", [False, True], ids=["before it is done", "after it was done"])
def test_commits_that_fail_now_and_then_are_applied_once_each(stores: FaultyStores, is_late: bool) -> None:
    with live(stores) as loop:
        stores.faults.fail(StoreUnreachableError("try again"), "commit", every=2, is_late=is_late)
        run_ids = []
        for _ in range(6):
            run_ids += use(loop, 20)
            assert loop.flush(30.0)
        stores.faults.back()
        assert stores.faults.calls["commit"] > 6
        assert sorted(logged(loop)) == sorted(run_ids)
        assert loop.counters["store_errors"] > 0
        assert_recount(loop)


def test_a_slow_store_slows_down_nobody(stores: FaultyStores) -> None:
    with live(stores) as loop:
        loop.flush()
        stores.faults.slow(5.0)
        run_ids = use(loop)
        assert loop.flush(0.05) is False
        stores.faults.back()
        assert loop.flush(30.0)
        assert sorted(logged(loop)) == sorted(run_ids)


def test_beyond_the_bound_drops_are_counted_by_name_and_nothing_else_is_lost(stores: FaultyStores) -> None:
    with live(stores, pending_commits=200) as loop:
        acknowledged = use(loop, 50)
        assert loop.flush(30.0)
        stores.faults.full("commit")
        n_more = 0
        while not loop.counters["events_uncommitted"]:
            n_more += len(use(loop, 50))
            loop.flush(0.05)
        stores.faults.back()
        loop.flush(30.0)
        last = use(loop, 50)
        assert loop.flush(30.0), "recovery is by itself"
        kept = logged(loop)
        assert len(set(kept)) == len(kept)
        assert set(acknowledged + last) <= set(kept)
        assert loop.stats()[0].n_runs + loop.stats()[1].n_runs == 100 + n_more, "sums are small: they are kept"


def test_a_store_that_is_gone_for_a_minute_costs_nothing(stores: FaultyStores) -> None:
    clock = FakeClock()
    with sync_loop(store="faulty://x", plugins=[stores], clock=clock) as loop:
        run_ids = use(loop, 5)
        stores.faults.gone()
        for _ in range(60):
            clock.advance(1.0)
            run_ids += use(loop, 1)
        with pytest.raises(StoreUnreachableError):
            loop.turn()
        stores.faults.back()
        run_ids += use(loop, 5)
        assert loop.turn().leader
        assert loop.flush()
        assert sorted(logged(loop)) == sorted(run_ids)
        assert loop.counters["events_uncommitted"] == 0
        assert_recount(loop)


@pytest.mark.parametrize("ahead_s", [300.0, -300.0])
def test_processes_whose_clocks_are_minutes_apart_count_each_thing_once(tmp_path: Path, ahead_s: float) -> None:
    url = f"sqlite:///{tmp_path}/hive.db"
    clocks = [FakeClock(), FakeClock(FakeClock()() + ahead_s)]
    loops = [sync_loop(store=url, clock=clock) for clock in clocks]
    run_ids = []
    for _ in range(6):
        for loop, other in (loops, loops[::-1]):
            run_ids.append(loop.record(Run("a", "x")))
            other.feedback(Feedback("helpful", 1.0, run_id=run_ids[-1]))
        for loop, clock in zip(loops, clocks, strict=True):
            clock.advance(31.0)
            loop.decide("other")
    assert [loop.turn().leader for loop in loops] == [True, False], "whoever holds the lease, by no clock of the hosts"
    assert [loop.turn().leader for loop in loops] == [True, False]
    for loop in loops:
        loop.flush()
    assert sorted(logged(loops[0])) == sorted(run_ids)
    later = max(loops, key=lambda loop: loop._clock())
    assert_recount(later)
    assert later.stats(window_s=86400.0)[0].n_judged == len(run_ids)
    for loop in loops:
        loop.close()


def test_a_leader_whose_clock_jumps_neither_loses_nor_shares_the_lease(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path}/hive.db", FakeClock()
    with sync_loop(store=url, clock=clock) as leader, sync_loop(store=url) as other:
        assert leader.turn().leader
        for jump_s in (600.0, -1200.0, 86400.0):
            clock.advance(jump_s)
            assert other.turn().leader is False
            assert leader.turn().leader

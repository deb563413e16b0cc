"""Feedback finds its run: by every name, before and after it, after a restart, once per key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import StoreUnreachableError
from hivefeedback.model import Event, Feedback, Run
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.faulty import FaultyStores
from tests.core.loops import bodies, live_loop, open_rollout, sync_loop, until

RUN = {"run_id": "r", "trace_id": "t", "decision_id": "d", "response_id": "p", "session_id": "s"}
Open = Callable[..., FeedbackLoop]


@pytest.fixture(params=["sqlite", "memory", "json"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens a loop on the same store again and again."""
    urls = {
        "sqlite": f"sqlite:///{tmp_path / 'hive.db'}",
        "json": f"json:///{tmp_path / 'hive.json'}",
        "memory": f"memory://{tmp_path.name}",
    }

    def reopen(**more: Any) -> FeedbackLoop:
        return sync_loop(store=urls[request.param], policy=more.pop("policy", None) or EvenPolicy(), **more)

    return reopen


@pytest.mark.parametrize("name", RUN)
def test_feedback_joins_by_each_name(name: str) -> None:
    with sync_loop() as loop:
        loop.record(Run("a", "x", **RUN))  # type: ignore[arg-type]  # names of text fields only
        loop.record(Run("b", "x"))
        loop.feedback(Feedback("helpful", 0.25, **{name: RUN[name]}))  # type: ignore[arg-type]  # names of text fields only
        rows = {r.deployment: r.quality for r in loop.stats()}
    assert rows == {"a": 0.25, "b": None}


@pytest.mark.parametrize("name", ["run_id", "trace_id", "decision_id", "response_id"])
def test_feedback_that_comes_before_its_run_waits_for_it_and_counts_once(name: str) -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        loop.feedback(Feedback("helpful", 0.25, deployment="a", **{name: RUN[name]}))  # type: ignore[arg-type]  # names of text fields only
        assert loop.counters["feedback_unjoined"] == 1
        loop.record(Run("a", "x", **RUN))  # type: ignore[arg-type]  # names of text fields only
        row = loop.stats()[0]
        assert (row.quality, row.n_judged) == (0.25, 1)
        assert policy.observations[-1].reward == 0.25
        assert loop.counters["feedback_unjoined"] == 0


def test_without_a_name_feedback_joins_the_sessions_latest_run() -> None:
    with sync_loop() as loop:
        loop.record(Run("a", "x", session_id="s"))
        loop.record(Run("b", "x", session_id="s"))
        loop.record(Run("a", "x", session_id="other"))
        loop.feedback(Feedback("helpful", 0.0, session_id="s"))
        assert {r.deployment: r.n_judged for r in loop.stats()} == {"a": 0, "b": 1}


def test_a_sessions_feedback_does_not_judge_a_run_that_comes_after_it() -> None:
    with sync_loop() as loop:
        loop.feedback(Feedback("helpful", 0.0, session_id="s"))
        loop.record(Run("a", "x", session_id="s"))
        assert loop.stats()[0].n_judged == 0


def test_without_anything_to_join_it_is_kept_for_agent_or_deployment_and_credits_nobody() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        loop.record(Run("a", "x"))
        loop.feedback(Feedback("helpful", 0.0, deployment="a"))
        loop.feedback(Feedback("helpful", 0.5, agent_id="planner"))
        loop.feedback(Feedback("helpful", 0.5))
        assert (loop.stats()[0].quality, [o.reward for o in policy.observations]) == (0.0, [1.0])
        assert loop.view().totals("agent")[("planner",)].judged["helpful"].n == 1
        assert len(bodies(loop, Feedback)) == 3


def test_feedback_by_trace_belongs_to_the_root_and_credits_the_one_deployment_that_served() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        loop.record(Run("a", "x", trace_id="t", parent_id="root", run_id="llm"))
        loop.record(Run("chain", "x", kind="chain", trace_id="t", run_id="root"))
        loop.feedback(Feedback("helpful", 0.25, trace_id="t"))
        assert [(o.deployment, o.reward) for o in policy.observations] == [("a", 1.0), ("a", 0.25)]
        assert loop.view().totals("agent")[("chain",)].judged["helpful"].n == 1
        assert loop.stats()[0].n_judged == 0


@pytest.mark.parametrize("root_kind", ["chain", "llm"])
def test_where_two_deployments_served_a_trace_neither_is_credited(root_kind: str) -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        loop.record(Run("a", "x", trace_id="t", kind=root_kind, run_id="root"))
        for name in ("a", "b"):
            loop.record(Run(name, "x", trace_id="t", parent_id="root"))
        before = len(policy.observations)
        loop.feedback(Feedback("helpful", 0.0, trace_id="t"))
        assert len(policy.observations) == before
        loop.feedback(Feedback("helpful", 0.0, run_id="root"))
        assert len(policy.observations) == before + (root_kind == "llm")  # feedback that names a run credits it


def test_the_same_idempotency_key_replaces_and_never_adds() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        run_id = loop.record(Run("a", "x"))
        for value in (1.0, 0.25, 0.25):
            loop.feedback(Feedback("helpful", value, run_id=run_id, idempotency_key="k"))
        row = loop.stats()[0]
        assert (row.n_judged, row.quality, row.reward) == (1, 0.25, 0.25)
        loop.feedback(Feedback("helpful", 0.75, run_id=run_id, idempotency_key="another"))
        assert (loop.stats()[0].n_judged, loop.stats()[0].quality) == (2, 0.5)


def test_after_a_restart_feedback_finds_its_run_in_the_log(opened: Open) -> None:
    for name in RUN:
        with opened() as loop:
            loop.record(Run("a", "x", **{k: f"{v}{name}" for k, v in RUN.items()}))  # type: ignore[arg-type]  # names of text fields only
    policy = EvenPolicy()
    with opened(policy=policy) as loop:
        for name in RUN:
            loop.feedback(Feedback("helpful", 0.25, **{name: f"{RUN[name]}{name}"}))  # type: ignore[arg-type]  # names of text fields only
        row = loop.stats()[0]
        assert (row.n_runs, row.n_judged, row.quality, row.reward) == (5, 5, 0.25, 0.25)
        assert [(o.reward, o.previous) for o in policy.observations] == [(0.25, 1.0)] * 5
        assert loop.counters["feedback_unjoined"] == 0


def test_after_a_restart_the_same_key_still_replaces(opened: Open) -> None:
    with opened() as loop:
        run_id = loop.record(Run("a", "x"))
        for key in ("k", "l"):
            loop.feedback(Feedback("helpful", 1.0, run_id=run_id, idempotency_key=key))
    with opened() as loop:
        for key in ("k", "l", "k"):
            loop.feedback(Feedback("helpful", 0.5, run_id=run_id, idempotency_key=key))
        row = loop.stats()[0]
        assert (row.n_judged, row.quality) == (2, 0.5)


def test_after_a_restart_a_judged_operation_still_awaits_its_judgements(opened: Open) -> None:
    clock = FakeClock()
    with opened(clock=clock) as loop:
        loop.feedback(Feedback("helpful", 1.0, run_id=loop.record(Run("a", "x"))))
        clock.advance(1)
        waiting = loop.record(Run("a", "x"))
    policy = EvenPolicy()
    with opened(clock=clock, policy=policy) as loop:
        loop.record(Run("a", "x"))
        assert policy.observations == []
        loop.feedback(Feedback("helpful", 0.0, run_id=waiting))
        assert [(o.reward, o.previous) for o in policy.observations] == [(0.0, None)]
        row = loop.stats()[0]
        assert (row.n_awaiting, row.reward) == (1, 0.5)


def test_after_a_restart_a_canarys_feedback_still_belongs_to_the_canary(opened: Open) -> None:
    clock = FakeClock()
    with opened(clock=clock) as loop:
        open_rollout(loop, share=1.0)
        d = loop.decide("x", ["a"])
        run_id = loop.record(Run("a", "x", decision_id=d.decision_id))
    policy = EvenPolicy()
    with opened(clock=clock, policy=policy) as loop:
        loop.feedback(Feedback("helpful", 0.0, run_id=run_id))
        assert [o.deployment for o in policy.observations] == ["a@m-1"]
        assert loop.view().arms("m-1")["canary"].judged["helpful"].n == 1


def test_a_run_that_fell_out_of_memory_is_looked_up() -> None:
    with live_loop(join_memory=100) as loop:
        first = loop.record(Run("a", "x"))
        for _ in range(300):
            loop.record(Run("b", "y"))
        loop.flush()
        loop.feedback(Feedback("helpful", 0.5, run_id=first))
        until(lambda: loop.stats(operation="x")[0].n_judged == 1)
        assert loop.stats(operation="x")[0].reward == 0.5


def test_a_flood_about_a_run_that_never_comes_is_bounded() -> None:
    with sync_loop() as loop:
        for _ in range(1500):
            loop.feedback(Feedback("helpful", 0.5, run_id="never"))
        assert loop.counters["feedback_unjoined"] == 1500
        loop.record(Run("a", "x", run_id="never"))
        assert loop.stats()[0].n_judged == 1000


def test_a_decision_whose_canary_complained_through_an_agent_run_is_credited_to_the_canary() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        open_rollout(loop, share=1.0)
        d = loop.decide("x", ["a"], "s")
        loop.record(Run("a", "x", decision_id=d.decision_id, trace_id="t", parent_id="agent-run"))
        loop.record(Run("planner", "x", kind="agent", trace_id="t", run_id="agent-run"))
        loop.feedback(Feedback("complaint", trace_id="t"))
        assert [(o.deployment, o.reward) for o in policy.observations] == [("a@m-1", 1.0), ("a@m-1", 0.0)]


def test_after_a_restart_what_was_said_before_counts_and_rewards_stay_between_0_and_1(tmp_path: Path) -> None:
    """A run judged 0 and then 0.5 after a restart has the mean of both; sums never leave [0, n]."""
    url = f"sqlite:///{tmp_path}/hive.db"
    with FeedbackLoop(store=url, deployments=["a"], clock=FakeClock(), policy=EvenPolicy()) as first:
        first.record(Run("a", "x", run_id="r1"))
        first.feedback(Feedback("success", 0.0, run_id="r1"))
    with FeedbackLoop(store=url, deployments=["a"], clock=FakeClock(), policy=EvenPolicy()) as second:
        second.feedback(Feedback("rating", rating=3, run_id="r1"))
        row = second.stats()[0]
        assert row.reward == pytest.approx(0.25)
        assert row.quality == pytest.approx(0.25)
        second.feedback(Feedback("success", 1.0, run_id="r1", idempotency_key="k"))
    with FeedbackLoop(store=url, deployments=["a"], clock=FakeClock(), policy=EvenPolicy()) as third:
        third.feedback(Feedback("success", 0.0, run_id="r1", idempotency_key="k"))
        row = third.stats()[0]
        assert row.n_judged == 3
        assert row.reward == pytest.approx((0.0 + 0.5 + 0.0) / 3, abs=1e-4)


def test_a_canary_that_another_process_served_fails_by_the_feedback_that_comes_here() -> None:
    clock = FakeClock()
    with sync_loop("a", store="memory://two-of-one", clock=clock) as server:
        open_rollout(server, share=1.0)
        d = server.decide("x", ["a"], "s")
        run_id = server.record(Run("a", "x", decision_id=d.decision_id))
        with sync_loop("a", store="memory://two-of-one", clock=clock) as here:
            here.feedback(Feedback("helpful", 0.0, run_id=run_id))
            failed = here.store.state.list("rollout_unit")
        assert [r.key.split("/")[:2] for r in failed] == [["m-1", "quality"]]


def test_feedback_that_comes_before_another_process_has_committed_its_run_is_looked_up_again() -> None:
    clock = FakeClock()
    with (
        sync_loop("a", store="memory://looked-up-again", clock=clock) as server,
        sync_loop("a", store="memory://looked-up-again", clock=clock) as here,
    ):
        here.feedback(Feedback("helpful", 0.0, run_id="later", deployment="a"))
        assert here.counters["feedback_unjoined"] == 1
        server.record(Run("a", "x", run_id="later"))
        for _ in range(3):
            clock.advance(2.0)
            here.decide("y")
            server.decide("y")
        assert here.counters["feedback_unjoined"] == 0
        row = server.stats()[0]
        assert (row.n_judged, row.reward) == (1, 0.0)


def test_feedback_that_comes_just_before_its_run_does_not_trouble_the_store(tmp_path: Path) -> None:
    stores = FaultyStores()
    with live_loop("a", store=f"faulty://{tmp_path.name}", plugins=[stores]) as loop:
        for i in range(100):
            loop.feedback(Feedback("helpful", 1.0, trace_id=f"t{i}"))
            loop.record(Run("a", "x", trace_id=f"t{i}"))
        assert loop.flush(20.0)
        assert stores.faults.calls["find_run"] == 0
        assert loop.stats()[0].n_judged == 100


def test_who_waits_for_a_flush_waits_for_the_log_to_be_asked(tmp_path: Path) -> None:
    with live_loop("a", store=f"sqlite:///{tmp_path}/hive.db") as server:
        server.record(Run("a", "x", trace_id="t"))
        assert server.flush(20.0)
        with live_loop("a", store=f"sqlite:///{tmp_path}/hive.db") as here:
            here.feedback(Feedback("helpful", 1.0, trace_id="t"))
            assert here.flush(20.0)
            assert here.counters["feedback_unjoined"] == 0
        assert server.flush(20.0)
        until(lambda: server.stats()[0].n_judged == 1)


def test_feedback_on_a_run_that_never_comes_is_looked_up_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        asked: list[str] = []
        find = loop.store.log.find

        def noted(name: str) -> Event | None:
            asked.append(name)
            return find(name)

        monkeypatch.setattr(loop.store.log, "find", noted)
        loop.feedback(Feedback("helpful", 0.0, run_id="never"))
        for _ in range(100):
            clock.advance(5.0)
            loop.decide("y")
        assert asked.count("never") == 4


def test_words_that_wait_for_a_run_are_not_kept_in_memory() -> None:
    with sync_loop("a") as loop:
        loop.feedback(Feedback("helpful", 0.5, run_id="later", comment="x" * 10_000))
        assert loop._engine is not None
        waiting = loop._engine.recorder._late._waiting._by_name._items.values()
        assert [e.body.comment for events in waiting for e in events if isinstance(e.body, Feedback)] == [""]
        assert [f.comment for f in bodies(loop, Feedback)] == ["x" * 10_000]
        loop.record(Run("a", "x", run_id="later"))
        assert loop.stats()[0].n_judged == 1


@pytest.mark.parametrize(
    "feedback",
    [Feedback("helpful", 0.5, trace_id="t"), Feedback("helpful", 0.5, session_id="s")],
    ids=["trace", "session"],
)
@pytest.mark.parametrize("is_live", [True, False])
def test_a_store_that_fails_once_when_it_is_asked_is_asked_again(
    feedback: Feedback, is_live: bool, tmp_path: Path
) -> None:
    clock, stores = FakeClock(), FaultyStores()
    make = live_loop if is_live else partial(sync_loop, clock=clock)
    with make("a", store=f"memory://{tmp_path.name}") as before:
        before.record(Run("a", "x", trace_id="t", session_id="s"))
        assert before.flush(20.0)
    with make("a", store=f"faulty://{tmp_path.name}", plugins=[stores]) as loop:
        stores.faults.fail(StoreUnreachableError("gone for a moment"), "find_run")
        loop.feedback(feedback)
        loop.flush()
        assert loop.counters["store_errors"] == 1
        stores.faults.back()

        def is_judged() -> bool:
            clock.advance(2.0)
            loop.decide("y")
            return loop.stats(operation="x")[0].n_judged == 1

        until(is_judged)
        assert loop.counters["feedback_unjoined"] == 0
        assert not loop.store.state.list("asked")


def test_erased_feedback_that_waits_for_its_run_does_not_count() -> None:
    with sync_loop("a") as loop:
        loop.feedback(Feedback("helpful", 0.0, run_id="later", session_id="s"))
        loop.feedback(Feedback("helpful", 1.0, run_id="later", session_id="t"))
        assert loop.erase(session="s") == 1
        loop.record(Run("a", "x", run_id="later"))
        row = loop.stats()[0]
        assert (row.n_judged, row.reward) == (1, 1.0)
        assert not loop.store.state.list("asked")


@pytest.mark.parametrize("is_late", [True, False])
def test_feedback_on_a_decision_is_about_the_model_that_answered_not_the_chain_around_it(
    is_late: bool, tmp_path: Path
) -> None:
    clock, url = FakeClock(), f"sqlite:///{tmp_path}/hive.db"
    with sync_loop("a", store=url, clock=clock) as loop:
        decision = loop.decide("x")
        made = decision.decision_id
        loop.record(Run("a", "x", parent_id="root", trace_id="t", decision_id=made))
        loop.record(Run("", "x", run_id="root", kind="chain", agent_id="planner", trace_id="t", decision_id=made))
        feedback = Feedback("helpful", 1.0, decision_id=decision.decision_id)
        if not is_late:
            loop.feedback(feedback)
    with sync_loop("a", store=url, clock=clock) as loop:
        if is_late:
            loop.feedback(feedback)
        rows = {row.deployment: row for row in loop.stats()}
        assert (rows["a"].quality, rows["a"].n_judged) == (1.0, 1)
        assert sum(row.n_judged for row in rows.values()) == 1


def test_a_burst_of_late_feedback_costs_no_event_and_no_run(tmp_path: Path) -> None:
    url, n = f"sqlite:///{tmp_path}/hive.db", 1500
    with live_loop("a", store=url) as before:
        for i in range(n):
            before.record(Run("a", "x", trace_id=f"t{i}"))
        assert before.flush(30.0)
    with live_loop("a", store=url) as loop:
        for i in range(n):
            loop.feedback(Feedback("helpful", 1.0, trace_id=f"t{i}"))
            loop.record(Run("a", "y"))
        assert loop.flush(60.0)
        assert loop.counters["events_uncommitted"] == loop.counters["feedback_unjoined"] == 0
        assert (len(bodies(loop, Feedback)), len(bodies(loop, Run))) == (n, 2 * n)
        assert loop.stats(operation="x")[0].n_judged == n


def test_feedback_that_has_to_make_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback.recording.feedback.waiting.MOST", 10)
    with live_loop("a") as loop:
        for i in range(25):
            loop.feedback(Feedback("helpful", 0.0, trace_id=f"t{i}", deployment="a"))
        assert loop.flush(20.0)
        assert loop.counters["feedback_unjoined"] == 25
        assert loop.stats()[0].n_judged == 25
        assert len(bodies(loop, Feedback)) == 25


_KILLED = """
import os, signal, sys
from hivefeedback import Feedback, FeedbackLoop
loop = FeedbackLoop(store=sys.argv[1], deployments=["a"], plugins=[])
loop.feedback(Feedback("helpful", 1.0, run_id="later-1", deployment="a"))
while loop.counters["feedback_unjoined"] < 1:
    loop.flush(5.0)
assert loop.flush(5.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_asks_in_the_place_of_a_killed_process_counts_nothing_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hive.db"
    subprocess.run([sys.executable, "-c", _KILLED, url], check=False, timeout=60.0)
    with live_loop("a", store=url) as loop:

        def judged() -> dict[str, int]:
            return {row.operation: row.n_judged for row in loop.stats(by=("deployment", "operation")) if row.n_judged}

        assert judged() == {"": 1}
        loop.record(Run("a", "y"))
        loop.tidy()
        loop.flush(20.0)
        until(lambda: loop._engine is not None and loop._engine.recorder._late._asked.open)
        loop.flush(20.0)
        assert judged() == {"": 1}
        loop.record(Run("a", "x", run_id="later-1"))
        loop.flush(20.0)
        until(lambda: judged() == {"x": 1})

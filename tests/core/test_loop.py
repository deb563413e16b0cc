"""A loop from its start to its end: threads, coroutines, forks, exits, and what may be called when."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ClosedError, ConfigurationError
from hivefeedback.model import Deployment, EventsDropped, Feedback, Run
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import bodies, end_rollout, events, live_loop, open_rollout, sync_loop, told, until


def run_python(code: str, *arguments: str, deadline_s: float = 60.0) -> str:
    """Run a program of its own; answers what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def store_of(path: Path) -> str:
    return f"sqlite:///{path / 'hive.db'}"


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [True, False])
def test_record_answers_the_id_under_which_the_run_is_stored(threads: bool) -> None:
    with live_loop() if threads else sync_loop() as loop:
        made = [loop.record(Run("a", "x", "ok", 0.1)) for _ in range(5)]
        given = loop.record(Run("a", "x", run_id="mine"))
        loop.flush()
        assert [e.event_id for e in events(loop) if isinstance(e.body, Run)] == [*made, "mine"]
        assert given == "mine"
        assert len(set(made)) == 5


def test_four_positions_are_enough_for_a_run() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        loop.record(Run("a", "x", "ok", 2.0))
        (event,) = [e for e in events(loop) if isinstance(e.body, Run)]
        assert event.event_time_s == clock() - 2.0


# --- threads ----------------------------------------------------------------------------------------


def test_eight_threads_record_twenty_thousand_runs_and_nothing_is_lost() -> None:
    with live_loop() as loop:
        ids: list[list[str]] = [[] for _ in range(8)]

        def work(k: int) -> None:
            for i in range(2500):
                d = loop.decide("x", session_id=f"{k}-{i % 50}")
                ids[k].append(loop.record(Run(str(d.deployment), "x", "ok", 0.1, decision_id=d.decision_id)))
                if i % 10 == 0:
                    loop.feedback(Feedback("helpful", 1.0, run_id=ids[k][-1]))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loop.flush(60.0)
        assert len({i for mine in ids for i in mine}) == 20_000
        rows = list(loop.stats())
        assert sum(r.n_runs for r in rows) == 20_000
        assert sum(r.n_judged for r in rows) == 2000
        assert {k: v for k, v in loop.counters.items() if v} == {}


def test_a_full_ring_drops_counts_and_logs_and_the_caller_never_waits() -> None:
    block, began = threading.Event(), threading.Event()

    class Slow(EvenPolicy):
        def learn(self, observations: object) -> None:
            began.set()
            block.wait(30.0)

    with live_loop(policy=Slow(), ring_size=16) as loop:
        loop.record(Run("a", "x"))
        assert began.wait(20.0)
        for _ in range(100):
            loop.record(Run("a", "x"))
            loop.decide("x")
        block.set()
        assert loop.flush(20.0)
        n_runs = sum(r.n_runs for r in loop.stats())
        n_kept = n_runs - 1 + len([e for e in events(loop) if e.event_id.startswith("d")])
        assert loop.counters["events_dropped"] == 200 - n_kept
        dropped = told(loop, EventsDropped)
        assert sum(sum(d.counts.values()) for d in dropped) == 200 - n_kept
        assert {name for d in dropped for name in d.counts} == {"decision", "run"}


def test_what_was_dropped_last_is_counted_when_the_loop_ends(tmp_path: Path) -> None:
    block, began = threading.Event(), threading.Event()

    class Slow(EvenPolicy):
        is_slow = False

        def learn(self, observations: object) -> None:
            if self.is_slow:
                began.set()
                block.wait(30.0)

    policy = Slow()
    loop = live_loop(policy=policy, ring_size=16, store=store_of(tmp_path))
    loop.record(Run("a", "x"))
    assert loop.flush(20.0)  # what the first run has asked of the store would take room in the ring with its answers
    policy.is_slow = True
    loop.record(Run("a", "x"))
    assert began.wait(20.0)
    for _ in range(50):
        loop.record(Run("a", "x"))
    block.set()
    loop.close()
    assert loop.counters["events_dropped"] == 50 - 16


def test_durable_waits_for_the_commit(tmp_path: Path) -> None:
    with live_loop(store=store_of(tmp_path)) as loop:
        run_id = loop.record(Run("a", "x"), durable=True)
        assert loop.store.log.find(run_id) is not None


def test_flush_from_a_hook_does_not_wait_for_itself() -> None:
    from hivefeedback.hooks import Collected, Plugin, hookimpl

    answers: list[bool] = []

    class Asks(Plugin):
        name = "asks"

        @hookimpl
        def hive_collect(self, events: object) -> Collected | None:
            return None

    class AsksPolicy(EvenPolicy):
        def learn(self, observations: object) -> None:
            answers.append(loop.flush(5.0))

    with live_loop(policy=AsksPolicy(), plugins=[Asks()]) as loop:
        loop.record(Run("a", "x"))
        assert loop.flush(20.0)
    assert answers == [False]


# --- a given clock --------------------------------------------------------------------------------------


def test_a_given_clock_means_no_threads_and_start_says_so() -> None:
    before = set(threading.enumerate())
    with sync_loop(allow=None) as loop:
        loop.record(Run("a", "x", input="q", output="a", reference="a"))
        loop.turn()
        assert set(threading.enumerate()) <= before
        assert loop.flush() is True
        with pytest.raises(ConfigurationError, match="no threads"):
            loop.start()


def test_a_given_clock_means_learnt_and_committed_before_record_returns() -> None:
    with sync_loop() as loop:
        loop.record(Run("a", "x"))
        assert [e.body.deployment for e in events(loop) if isinstance(e.body, Run)] == ["a"]
        assert loop.store.aggregates.read(from_s=0, to_s=4e9).coverage.n_runs == 1


# --- the end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [True, False])
def test_after_close_every_call_goes_on(threads: bool, caplog: pytest.LogCaptureFixture) -> None:
    loop = live_loop(prompts={"p": "hi"}) if threads else sync_loop(prompts={"p": "hi"})
    loop.record(Run("a", "x"))
    loop.close()
    loop.close()
    assert loop.record(Run("a", "x"))
    assert loop.record(Run("a", "x"), durable=True)
    loop.feedback(Feedback("helpful", 1.0))
    d = loop.decide("x", ["b", "a"], "s")
    assert (d.deployment, d.reason, d.propensity) == ("b", "closed", None)
    assert loop.decide("x").prompt("p") == "hi"
    with loop.track("a", operation="x") as run:
        assert run.run_id
    assert loop.call(lambda d: d.deployment, "x") == "a"
    assert loop.flush() is True
    assert loop.turn().leader is False
    loop.start() if threads else None
    assert loop.counters["after_close"] >= 4
    assert any("record() was called on a closed loop" in m for m in caplog.messages)
    with pytest.raises(ClosedError):
        loop.add_deployment("c")
    with pytest.raises(ClosedError):
        loop.prompts.add("p", "new")


def test_close_commits_what_waits(tmp_path: Path) -> None:
    loop = live_loop(store=store_of(tmp_path))
    for _ in range(500):
        loop.record(Run("a", "x"))
    loop.close()
    with live_loop(store=store_of(tmp_path)) as again:
        assert again.stats()[0].n_runs == 500


def test_an_interpreter_that_ends_commits_what_waits(tmp_path: Path) -> None:
    code = """
import sys
from hivefeedback import Deployment, FeedbackLoop, Run
loop = FeedbackLoop(sys.argv[1], ["a"])
for _ in range(300):
    loop.record(Run("a", "x"))
"""
    run_python(code, store_of(tmp_path))
    with live_loop(store=store_of(tmp_path)) as loop:
        assert loop.stats()[0].n_runs == 300


def test_an_interpreter_ends_in_time_while_the_store_hangs(tmp_path: Path) -> None:
    code = """
import sqlite3, sys, time
from hivefeedback import FeedbackLoop, Run
loop = FeedbackLoop(sys.argv[1], ["a"], exit_flush_s=0.3)
loop.flush()
other = sqlite3.connect(sys.argv[2], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
loop.record(Run("a", "x"))
print(time.time())
"""
    import time

    out = run_python(code, store_of(tmp_path), str(tmp_path / "hive.db"))
    assert time.time() - float(out) < 10.0


def test_an_interpreter_that_starts_no_thread_any_more_can_still_close(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    loop = sync_loop(store="memory://late-close")
    loop.record(Run("a", "x"))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    loop.close()
    with pytest.raises(ClosedError):
        loop.store.journal.head()


def test_a_closed_loop_ends_its_threads() -> None:
    before = set(threading.enumerate())
    loop = live_loop()
    loop.start(3600.0)
    assert len(set(threading.enumerate()) - before) == 3
    loop.close()
    until(lambda: set(threading.enumerate()) <= before)


def test_a_loop_is_a_context_and_ends_with_it() -> None:
    with live_loop() as loop:
        loop.record(Run("a", "x"))
    assert loop.decide("x").reason == "closed"


# --- forks ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_records_under_ids_of_its_own(tmp_path: Path) -> None:
    code = """
import json, os, sys
from hivefeedback import FeedbackLoop, Run, hookimpl
from hivefeedback.hooks import Collected, Plugin
class Tagger(Plugin):
    name = "tagger"
    @hookimpl
    def hive_collect(self, events):
        return Collected()
loop = FeedbackLoop(sys.argv[1], ["a", "b"], plugins=[Tagger()], hook_timeout_s=2.0)
ids = [loop.record(Run("a", "parent")) for _ in range(50)]
loop.flush()
child = os.fork()
if child == 0:
    mine = [loop.record(Run("b", "child")) for _ in range(50)]
    d = loop.decide("child", session_id="s")
    good = loop.flush(20.0) and d.decision_id and not set(mine) & set(ids)
    states = [p.state for p in loop.plugins() if p.name == "tagger"]
    loop.close()
    os._exit(0 if good and states == ["ok"] else 1)
ids += [loop.record(Run("a", "parent")) for _ in range(50)]
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert loop.flush(20.0)
print(json.dumps({r.deployment: r.n_runs for r in loop.stats()}))
loop.close()
"""
    assert json.loads(run_python(code, store_of(tmp_path))) == {"a": 100, "b": 50}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_ends_by_itself_commits_at_exit_and_leaves_the_parents_records_alone(tmp_path: Path) -> None:
    code = """
import os, sys
from hivefeedback import FeedbackLoop, Run
loop = FeedbackLoop(sys.argv[1], ["a", "b"])
for _ in range(20):
    loop.record(Run("a", "x"))
if os.fork() == 0:
    for _ in range(20):
        loop.record(Run("b", "x"))
    sys.exit(0)
os.wait()
"""
    run_python(code, store_of(tmp_path))
    with live_loop(store=store_of(tmp_path)) as loop:
        assert {r.deployment: r.n_runs for r in loop.stats()} == {"a": 20, "b": 20}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("made", ["before the fork", "in the child"])
def test_a_process_of_multiprocessing_commits_its_last_moments(made: str, tmp_path: Path) -> None:
    code = """
import multiprocessing, sys
from hivefeedback import FeedbackLoop, Run
made = {}
def work():
    loop = made.get("loop") or made.setdefault("loop", FeedbackLoop(sys.argv[1], ["a"]))
    for _ in range(20):
        loop.record(Run("a", "child"))
if sys.argv[2] == "before the fork":
    made["loop"] = FeedbackLoop(sys.argv[1], ["a"])
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0, child.exitcode
"""
    run_python(code, store_of(tmp_path), made)
    with live_loop("a", store=store_of(tmp_path)) as loop:
        assert loop.stats()[0].n_runs == 20


# --- coroutines -----------------------------------------------------------------------------------------


async def test_what_waits_has_a_twin_that_leaves_the_event_loop_alone() -> None:
    async with live_loop() as loop:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        heart = asyncio.create_task(beat())
        loop.record(Run("a", "x"))
        assert await loop.aflush()
        assert (await loop.aturn()).leader
        assert loop.stats()[0].n_runs == 1
        heart.cancel()
        assert beats > 0
    assert loop.decide("x").reason == "closed"


async def test_the_waiting_calls_work_in_a_running_event_loop_as_in_a_notebook() -> None:
    loop = live_loop()
    loop.record(Run("a", "x"))
    assert loop.flush(20.0)
    assert loop.turn().leader
    await loop.aclose()
    await loop.aclose()


def test_an_event_loop_that_ends_takes_nothing_with_it() -> None:
    with live_loop() as loop:

        async def serve() -> None:
            loop.record(Run("a", "x"))
            asyncio.get_running_loop().create_task(loop.aflush())

        for _ in range(3):
            asyncio.run(serve())
        assert loop.flush(20.0)
        assert loop.stats()[0].n_runs == 3


# --- rollouts that end ------------------------------------------------------------------------------------


def test_a_promotion_gives_the_deployment_what_its_canary_learnt_and_a_rollback_forgets_it() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy) as loop:
        end_rollout(loop, open_rollout(loop), "promoted")
        assert (policy.adopted, policy.forgotten) == ([("a", "a@m-1")], ["a@m-1"])
        end_rollout(loop, open_rollout(loop, rollout_id="m-2"), "rolled_back")
        assert (policy.adopted, policy.forgotten) == ([("a", "a@m-1")], ["a@m-1", "a@m-2"])


def test_the_canary_of_a_prompt_is_adopted_and_forgotten_for_every_deployment() -> None:
    from hivefeedback.model import PutPrompt, UsePrompt

    policy = EvenPolicy()
    with sync_loop("a", "b", policy=policy, prompts={"p": "old"}) as loop:
        patch = (PutPrompt("p", 2, loop.store.journal.put_body("new")), UsePrompt("p", 2))
        end_rollout(loop, open_rollout(loop, patch), "promoted")
        assert policy.adopted == [("a", "a@m-1"), ("b", "b@m-1")]
        assert policy.forgotten == ["a@m-1", "b@m-1"]


def test_a_change_of_another_process_is_served_within_two_seconds(tmp_path: Path) -> None:
    with live_loop("a", store=store_of(tmp_path)) as serving, live_loop(store=store_of(tmp_path)) as other:
        assert serving.decide("x", ["a"]).model == "a"
        other.add_deployment(Deployment("a", model="a2"))
        until(lambda: serving.decide("x", ["a"]).model == "a2", deadline_s=2.0)
        rollout = open_rollout(other, share=1.0)
        until(lambda: serving.decide("x", ["a"]).model == "better", deadline_s=2.0)
        end_rollout(other, rollout, "rolled_back")
        until(lambda: serving.decide("x", ["a"]).model == "a2", deadline_s=2.0)
        other.prompts.add("p", "hello")
        until(lambda: "p" in serving.prompts.names(), deadline_s=2.0)


def test_a_change_is_served_when_the_call_that_made_it_returns() -> None:
    with live_loop() as loop:
        loop.add_deployment(Deployment("c", model="m"))
        assert loop.decide("x", ["c"]).model == "m"
        loop.remove_deployment("c")
        assert Counter(loop.decide("x").deployment for _ in range(60)).keys() == {"a", "b"}
        assert loop.prompts.add("p", "one") == 1
        assert loop.decide("x").prompt("p") == "one"


# --- who is there -------------------------------------------------------------------------------------------


def test_a_deployment_that_nobody_declared_is_observed_counted_listed_and_can_be_adopted(tmp_path: Path) -> None:
    with sync_loop("a", store=store_of(tmp_path)) as loop:
        loop.record(Run("new", "x"))
        loop.record(Run("new", "y"))
        assert loop.observed() == {"new": ["x", "y"]}
        assert {r.deployment for r in loop.stats()} == {"new"}
        assert {loop.decide("x").deployment for _ in range(20)} == {"a"}
    with sync_loop("a", store=store_of(tmp_path)) as loop:
        assert list(loop.observed()) == ["new"]
        loop.adopt("new")
        assert loop.observed() == {}
        assert {loop.decide("x").deployment for _ in range(40)} == {"a", "new"}


def test_the_exemplars_are_the_newest_runs_with_their_rewards() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        for i in range(150):
            clock.advance(1)
            loop.record(Run("a", "x", "ok" if i % 2 else "timeout", 0.5, run_id=f"r{i}", trace_id=f"t{i}"))
        loop.feedback(Feedback("helpful", 0.25, run_id="r149"))
        newest = loop.view().exemplars[("a", "x")]
        assert [e.run_id for e in newest] == [f"r{i}" for i in range(50, 150)]
        assert (newest[-1].reward, newest[-2].reward, newest[-1].trace_id) == (0.25, 0.0, "t149")
        assert loop.view().evidence("a", "x", failed_only=True, limit=2) == ("t148", "t146")


def test_a_loop_can_be_made_with_what_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "hivefeedback.yaml"
    path.write_text("deployments: [{id: q, model: m}]\nprompts: {p: hi}\nstore: memory://\n", encoding="utf-8")
    with FeedbackLoop(config=path, clock=FakeClock()) as loop:
        assert loop.decide("x").model == "m"
        assert loop.decide("x").prompt("p") == "hi"


def test_bodies_of_all_kinds_are_in_the_log() -> None:
    with sync_loop() as loop:
        d = loop.decide("x")
        loop.record(Run("a", "x", decision_id=d.decision_id))
        loop.feedback(Feedback("helpful", 1.0, decision_id=d.decision_id))
        assert len(bodies(loop, Run)) == len(bodies(loop, Feedback)) == 1
        numbers = [e.seq for e in events(loop)]
        assert len(set(numbers)) == len(numbers)

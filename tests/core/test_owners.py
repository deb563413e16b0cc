"""A reward is settled once, whatever process hears of it: totals are those of the log."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Record
from hivefeedback.model import Feedback, Run
from hivefeedback.recording.feedback.alive import here
from hivefeedback.recording.feedback.owners import OWNER, Owners
from hivefeedback.testing import EvenPolicy, FakeClock
from hivefeedback_stores.memory import MemoryStore
from tests.core.loops import live_loop, sync_loop, until
from tests.core.recount import assert_recount

AWAITED = frozenset({"judged"})
Open = Callable[..., FeedbackLoop]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Open:
    """Opens one more process on the same store; ``judged`` is an operation that is judged."""

    def start(kind: str = "sqlite", **more: Any) -> FeedbackLoop:
        url = f"sqlite:///{tmp_path / 'hive.db'}" if kind == "sqlite" else f"memory://{tmp_path.name}"
        return sync_loop("a", store=url, clock=clock, judgements={"judged": []}, seed=1, **more)

    return start


def look(clock: FakeClock, *loops: FeedbackLoop) -> None:
    """Time goes on, and each process looks at the store."""
    clock.advance(1.0)
    for loop in loops:
        loop.decide("other")


def crash(loop: FeedbackLoop) -> None:
    """The process is gone without a word, and its sign of life has expired."""
    for record in loop.store.state.list(OWNER):
        if record.value.startswith(loop._engine._owners.own.encode() + b"\n"):  # type: ignore[union-attr]  # it has an engine
            loop.store.state.delete(OWNER, record.key)
    loop._engine._owners._is_signed = False  # type: ignore[union-attr]  # the object stays, the process does not
    loop.store.close()


@pytest.mark.parametrize("operation", ["judged", "free"])
@pytest.mark.parametrize("owner_first", [True, False])
def test_feedback_to_another_process_is_counted_once(
    opened: Open, clock: FakeClock, operation: str, owner_first: bool
) -> None:
    with opened() as owner, opened() as other:
        run_id = owner.record(Run("a", operation))
        first, second = (owner, other) if owner_first else (other, owner)
        first.feedback(Feedback("helpful", 0.0, run_id=run_id))
        look(clock, owner, other)
        assert_recount(other, awaited=AWAITED)
        second.feedback(Feedback("helpful", 1.0, run_id=run_id))
        look(clock, owner, other)
        for loop in (owner, other):
            row = loop.stats()[0]
            assert (row.n_judged, row.reward, row.n_awaiting) == (2, 0.5, 0)
            assert_recount(loop, awaited=AWAITED)


@pytest.mark.parametrize("operation", ["judged", "free"])
@pytest.mark.parametrize("ends", ["in peace", "by a crash"])
def test_the_runs_of_a_process_that_is_gone_are_settled_by_one_heir(
    opened: Open, clock: FakeClock, operation: str, ends: str
) -> None:
    gone = opened()
    run_ids = [gone.record(Run("a", operation)) for _ in range(3)]
    gone.feedback(Feedback("helpful", 1.0, run_id=run_ids[0]))
    if ends == "in peace":
        gone.close()
    else:
        crash(gone)
    with opened() as one, opened() as two:
        for loop, run_id in ((one, run_ids[0]), (two, run_ids[1]), (one, run_ids[1]), (two, run_ids[2])):
            loop.feedback(Feedback("helpful", 0.0, run_id=run_id))
            look(clock, one, two)
        assert_recount(one, awaited=AWAITED)
    with opened() as later:
        later.feedback(Feedback("helpful", 1.0, run_id=run_ids[2]))
        assert_recount(later, awaited=AWAITED)
        assert later.stats()[0].n_awaiting == 0


def test_the_same_key_replaces_whatever_process_it_comes_to(opened: Open, clock: FakeClock) -> None:
    with opened() as owner, opened() as other:
        run_id = owner.record(Run("a", "judged"))
        for loop, value in ((owner, 1.0), (other, 0.5), (owner, 0.25), (other, 0.0), (other, 0.75)):
            loop.feedback(Feedback("helpful", value, run_id=run_id, idempotency_key="k"))
        look(clock, owner, other)
        row = other.stats()[0]
        assert (row.n_judged, row.quality, row.reward) == (1, 0.75, 0.75)
        assert_recount(owner, awaited=AWAITED)


def test_who_waits_at_the_end_of_a_process_is_waited_for_by_its_heir(opened: Open, clock: FakeClock) -> None:
    policy = EvenPolicy()
    with opened() as first:
        first.record(Run("a", "judged"))
        clock.advance(100.0)
    with opened(policy=policy, unjudged="ok") as second:
        second.record(Run("a", "free"))
        assert second.stats(operation="judged")[0].n_awaiting == 1
        clock.advance(3600.0)
        second.decide("other")
        assert_recount(second)
        assert second.stats(operation="judged")[0].n_awaiting == 0
        assert [(o.operation, o.reward) for o in policy.observations] == [("free", 1.0), ("judged", 1.0)]


@pytest.mark.parametrize("unjudged", ["ok", "wait"])
def test_an_heir_that_is_killed_leaves_nothing_that_it_gave_up_to_be_given_up_again(
    opened: Open, clock: FakeClock, unjudged: str
) -> None:
    with opened() as first:
        first.record(Run("a", "judged"))
        clock.advance(10.0)
        first.record(Run("a", "judged"))
    heir = opened(unjudged=unjudged)
    heir.tidy()
    clock.advance(3595.0)
    heir.decide("other")
    heir.flush()
    crash(heir)
    with opened(unjudged=unjudged) as last:
        assert last.stats(operation="judged")[0].n_awaiting == 1
        last.tidy()
        clock.advance(3600.0)
        last.decide("other")
        (row,) = last.stats(operation="judged")
        assert (row.n_awaiting, row.n_runs) == (0, 2)
        assert_recount(last, n_expired=0 if unjudged == "ok" else 2)


def test_a_run_whose_judgement_never_came_stays_unlearnt_in_whatever_process_it_was_awaited(
    opened: Open, clock: FakeClock
) -> None:
    with opened() as first:
        first.record(Run("a", "judged"))
    with opened() as second:
        second.record(Run("a", "free"))
        clock.advance(4000.0)
        second.decide("other")
        row = second.stats(operation="judged")[0]
        assert (row.n_awaiting, row.reward, row.n_runs) == (0, None, 1)


def test_erased_runs_that_were_awaited_do_not_come_back_as_rewards(opened: Open, clock: FakeClock) -> None:
    policy = EvenPolicy()
    with opened(policy=policy, unjudged="ok") as loop, opened() as other:
        for session in ("gone", "stays"):
            loop.record(Run("a", "judged", session_id=session))
        other.erase(session="gone")
        look(clock, loop, other)
        clock.advance(4000.0)
        look(clock, loop, other)
        assert_recount(loop)
        row = loop.stats()[0]
        assert (row.n_runs, row.n_awaiting, row.reward) == (1, 0, 1.0)
        assert len(policy.observations) == 1


def test_a_judgement_on_its_way_to_its_owner_goes_with_its_erased_run(opened: Open, clock: FakeClock) -> None:
    with opened() as owner, opened() as other:
        run_id = owner.record(Run("a", "judged", session_id="s"))
        owner.record(Run("a", "judged"))
        other.feedback(Feedback("helpful", 0.0, run_id=run_id))
        other.erase(session="s")
        look(clock, owner, other)
        assert other.store.state.list("handed") == []
        assert owner.stats()[0].n_runs == 1


def test_two_processes_with_threads_settle_a_reward_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop("a", store=url, config_poll_s=0.05) as owner, live_loop("a", store=url, config_poll_s=0.05) as other:
        run_ids = [owner.record(Run("a", "x")) for _ in range(20)]
        owner.flush()
        for loop in (owner, other, other):
            for run_id in run_ids:
                loop.feedback(Feedback("helpful", 0.5, run_id=run_id))
        other.flush()
        until(lambda: owner.stats()[0].n_judged == 60)
        assert_recount(owner)
    with live_loop("a", store=url) as heir:
        heir.feedback(Feedback("helpful", 1.0, run_id=run_ids[0]))
        assert heir.flush()
        assert heir.stats()[0].n_judged == 61
        assert_recount(heir)


def test_what_came_in_last_is_settled_before_a_loop_is_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop("a", store=url) as first:
        run_id = first.record(Run("a", "x"))
    with live_loop("a", store=url) as second:
        second.feedback(Feedback("helpful", 0.0, run_id=run_id))
    with live_loop("a", store=url) as third:
        assert third.stats()[0].reward == 0.0
        assert_recount(third)


# --- random stories -----------------------------------------------------------------------------


class Story:
    """Two processes on one store that record, hear, end, crash and erase in some order."""

    def __init__(self, opened: Open, clock: FakeClock, seed: int) -> None:
        kind = "memory" if seed else "sqlite"  # which is slower
        self.opened, self.clock, self.rng = partial(opened, kind), clock, random.Random(seed)
        self.loops = [self.opened(), self.opened()]
        self.runs: list[str] = []
        self.n_given = 0

    def step(self, *, may_crash: bool, may_erase: bool) -> None:
        rng, loop = self.rng, self.rng.choice(self.loops)
        what = rng.random()
        if what < 0.35:
            self.record(loop)
        elif what < 0.8 and self.runs:
            self.judge(loop)
        elif what < 0.9:
            look(self.clock, *rng.sample(self.loops, rng.randint(0, 2)))
        elif what < 0.97:
            self.restart(loop, may_crash=may_crash)
        elif may_erase:
            loop.erase(session=f"s{rng.randrange(4)}")

    def record(self, loop: FeedbackLoop) -> None:
        rng = self.rng
        run_id = ""
        if rng.random() < 0.3:
            self.n_given += rng.randint(0, 1)  # often one that was given before
            run_id = f"given-{self.n_given}"
        operation = rng.choice(["judged", "free"])
        outcome = rng.choice(["ok", "ok", "ok", "timeout", "refused", "cancelled"])
        session = f"s{rng.randrange(4)}" if operation == "judged" else ""
        self.runs.append(loop.record(Run("a", operation, outcome, 0.5, run_id=run_id, session_id=session)))

    def judge(self, loop: FeedbackLoop) -> None:
        rng = self.rng
        key = rng.choice(["", "", "k", "l"])
        said = Feedback(rng.choice(["helpful", "complaint"]), rng.randrange(5) / 4, run_id=rng.choice(self.runs))
        loop.feedback(
            Feedback(said.name, said.value, run_id=said.run_id, idempotency_key=key and f"{key}{said.run_id}")
        )

    def restart(self, loop: FeedbackLoop, *, may_crash: bool) -> None:
        if may_crash and self.rng.random() < 0.5:
            crash(loop)
        else:
            loop.close()
        self.loops[self.loops.index(loop)] = self.opened()

    def end(self) -> FeedbackLoop:
        """Let everybody hear of everything; answers a loop to look with."""
        for _ in range(5):
            self.clock.advance(30.0)
            look(self.clock, *self.loops)
        for loop in self.loops:
            loop.close()
        return self.opened()


@pytest.mark.parametrize("seed", range(9))
@pytest.mark.parametrize("kind", ["peace", "crashes", "erasures"])
def test_totals_are_those_of_the_log_after_any_story(opened: Open, clock: FakeClock, kind: str, seed: int) -> None:
    story = Story(opened, clock, seed)
    for _ in range(60):
        story.step(may_crash=kind == "crashes", may_erase=kind == "erasures")
    with story.end() as loop:
        assert_recount(loop, awaited=AWAITED)


# --- owners -------------------------------------------------------------------------------------


class Wall:
    """The machine's clock."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_an_origin_is_claimed_by_one_only_and_only_after_its_owner_was_silent() -> None:
    wall = Wall()
    state = MemoryStore("memory://", clock=wall).state
    one, two, three = (Owners(state, name, length_s=15.0, now=wall) for name in ("one/1", "two/1", "three/1"))
    state.put(one.sign("one/1"))
    wall.now_s += 10.0
    assert not two.settles("one/1")
    assert one.is_due
    assert one.renew() == ()
    wall.now_s += 14.0
    assert not two.settles("one/1")
    wall.now_s += 2.0
    assert two.settles("one/1")
    assert not three.settles("one/1")
    assert one.renew() == ("one/1",)
    two.release()
    assert three.settles("one/1")


def test_a_process_that_recorded_nothing_leaves_no_sign() -> None:
    wall = Wall()
    state = MemoryStore("memory://", clock=wall).state
    owners = Owners(state, "one/1", now=wall)
    wall.now_s += 60.0
    assert owners.renew() == ()
    owners.release()
    assert state.list(OWNER) == []


def test_a_process_that_was_killed_on_this_machine_has_an_heir_at_once() -> None:
    wall = Wall()
    state = MemoryStore("memory://", clock=wall).state
    one, two = Owners(state, "one/1", now=wall), Owners(state, "two/1", now=wall)
    place, _, _ = here().rpartition(" ")
    if not place:
        pytest.skip("this system does not tell where a process runs")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    sign = one.sign("one/1")
    state.put(sign)
    assert not two.settles("one/1"), "it lives"
    state.put(Record(OWNER, "one/1", f"one/1\n{place} {ended.pid}".encode(), expires_at_s=sign.expires_at_s))
    assert not two.is_owned("one/1")
    assert two.settles("one/1")
    assert two.is_owned("one/1")

"""Processes learn from each other: what one was taught the others know soon, and nothing counts twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Observation
from hivefeedback.model import (
    Alarm,
    Control,
    Event,
    Feedback,
    LearningShared,
    LearntElsewhere,
    Run,
    SegmentStarted,
    SharedRow,
)
from hivefeedback.recording.learning.learnt import most_learnt
from hivefeedback.recording.learning.shared import Evidence, Increment, Others
from hivefeedback.testing import EvenPolicy, FakeClock
from hivefeedback_stores.memory import MemoryStore
from tests.core.loops import events, live_loop, sync_loop, told, until

NOW_S = 1e9


class Knows(EvenPolicy):
    """A policy whose dump is what it was taught: rewards by deployment."""

    name = "knows"

    def __init__(self) -> None:
        super().__init__()
        self.loaded, self.n, self.total = b"", 0, 0.0

    def learn_shared(self, operation: str, deployment: str, n: int, total: float) -> None:
        self.n, self.total = self.n + n, self.total + total

    def taught(self) -> tuple[int, float]:
        """First rewards, and the sum of all with their corrections, what was loaded included."""
        loaded = (self.loaded or b"0 0").split()
        n, total = int(loaded[0]) + self.n, float(loaded[1]) + self.total
        first = [o for o in self.observations if o.previous is None]
        return n + len(first), total + sum(o.reward - (o.previous or 0.0) for o in self.observations)

    def dump(self) -> bytes:
        return b"%d %f" % self.taught()

    def load(self, data: bytes) -> None:
        self.loaded = data


def opened(tmp_path: Path, clock: FakeClock, policy: EvenPolicy | str | None = None, **more: Any) -> FeedbackLoop:
    return sync_loop(store=f"memory://{tmp_path.name}", clock=clock, policy=policy or Knows(), **more)


def look(clock: FakeClock, *loops: FeedbackLoop) -> None:
    """Time goes on, and each process tells what it learnt and looks at the store."""
    for loop in loops:
        loop.flush()
    clock.advance(10.0)
    for loop in loops:
        loop.decide("other")


def said(loop: FeedbackLoop) -> list[tuple[Event, LearningShared]]:
    """What processes told each other, with who did."""
    found = [(e, e.body.what) for e in events(loop) if isinstance(e.body, Control)]
    return [(e, what) for e, what in found if isinstance(what, LearningShared)]


def test_what_one_process_learnt_the_others_know_soon(tmp_path: Path) -> None:
    clock = FakeClock()
    policies = [Knows() for _ in range(3)]
    loops = [opened(tmp_path, clock, policy) for policy in policies]
    for k, loop in enumerate(loops):
        for n in range(20 * (k + 1)):
            loop.record(Run("a", "x", "ok" if n % 4 else "timeout"))
    for _ in range(3):
        look(clock, *loops)
    assert [policy.taught() for policy in policies] == [(120, 90.0)] * 3
    for loop in loops:
        loop.close()


def test_a_judgement_that_comes_later_corrects_what_the_others_were_told(tmp_path: Path) -> None:
    clock = FakeClock()
    one, two = Knows(), Knows()
    with opened(tmp_path, clock, one) as here, opened(tmp_path, clock, two) as there:
        run_id = here.record(Run("a", "x"))
        look(clock, here, there)
        assert two.taught() == (1, 1.0)
        here.feedback(Feedback("rating", 0.25, run_id=run_id))
        look(clock, here, there)
        assert one.taught() == two.taught() == (1, 0.25)


def test_whoever_flushes_after_each_run_tells_all_of_it_too(tmp_path: Path) -> None:
    clock = FakeClock()
    busy, idle = Knows(), Knows()
    with opened(tmp_path, clock, busy) as here, opened(tmp_path, clock, idle) as there:
        for _ in range(100):
            here.record(Run("a", "x"))
            here.flush()
            clock.advance(0.05)
        look(clock, here, there)
        assert busy.taught() == idle.taught() == (100, 100.0)


def test_who_loads_a_dump_of_thousands_of_rewards_learns_none_of_them_again(tmp_path: Path) -> None:
    clock = FakeClock()
    one, two = Knows(), Knows()
    with opened(tmp_path, clock, one) as here:
        for n in range(2500):
            here.record(Run("a", f"x{n}"))
        here.flush()
        with opened(tmp_path, clock, two) as there:
            here.record(Run("a", "x"))
            for _ in range(3):
                look(clock, here, there)
            assert one.taught() == two.taught() == (2501, 2501.0)


def test_what_is_known_of_processes_is_forgotten_when_what_they_told_is_gone_and_no_sooner(tmp_path: Path) -> None:
    clock = FakeClock()
    last = Knows()
    with opened(tmp_path, clock, EvenPolicy()) as first:
        assert isinstance(first.store, MemoryStore)
        state = first.store.state
        for n in range(1100):
            state.put(Increment(1, (SharedRow("x", "a", 1, 1.0),)).record("knows", f"p{n}/1", NOW_S * 10))
        with opened(tmp_path, clock, Knows()) as one:
            one.record(Run("a", "x"))
        with opened(tmp_path, clock, last) as two:
            look(clock, two)
            look(clock, two)
            assert last.taught() == (1101, 1101.0)
            for record in state.list("shared"):
                state.delete(record.namespace, record.key)
            look(clock, two)
            two.record(Run("a", "x"))
            look(clock, two)
            learnt = most_learnt("knows", state.list("policy"))
            assert learnt is not None
            assert set(learnt.seen or ()) == {"local/3"}


@pytest.mark.parametrize("seed", range(8))
def test_whoever_starts_ends_and_begins_anew_knows_each_reward_once(tmp_path: Path, seed: int) -> None:
    rng, clock, n_runs = random.Random(seed), FakeClock(), 0
    living: list[tuple[FeedbackLoop, Knows]] = []
    for _ in range(60):
        what = rng.random()
        if len(living) < 2 or (what < 0.1 and len(living) < 5):
            policy = Knows()
            living.append((opened(tmp_path, clock, policy), policy))
        elif what < 0.2:
            look(clock, *[loop for loop, _ in living])
            living.pop(rng.randrange(len(living)))[0].close()
        elif what < 0.6:
            for _ in range(rng.randrange(1, 5)):
                rng.choice(living)[0].record(Run("a", "x"))
                n_runs += 1
        else:
            look(clock, *[loop for loop, _ in living])
    for _ in range(2):
        look(clock, *[loop for loop, _ in living])
    assert {policy.taught() for _, policy in living} == {(n_runs, float(n_runs))}
    for loop, _ in living:
        loop.close()


def test_the_log_says_what_was_learnt_elsewhere_and_a_segment_begins_with_it(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock) as here, opened(tmp_path, clock) as there:
        here.record(Run("a", "x"))
        here.flush()
        clock.advance(10.0)
        there.refresh()
        there.flush()
        assert told(there, LearntElsewhere) == [], "a process that records nothing leaves no trace"
        there.record(Run("b", "x"))
        segments = told(there, SegmentStarted)
        assert segments[-1].policy_state != segments[0].policy_state
        here.record(Run("a", "x", "timeout"))
        look(clock, here, there)
        (taken,) = [t for t in told(there, LearntElsewhere) if "local/1" in t.taken]
        assert (taken.origin, taken.taken) == ("local/1", {"local/1": (taken.number, taken.number)})
        shared = {t.number: t.rows for e, t in said(here) if e.epoch == 1}
        assert [(r.operation, r.deployment, r.n, r.total) for r in shared[taken.number]] == [("x", "a", 1, 0.0)]


def test_a_look_is_one_event_however_many_processes_told_something(tmp_path: Path) -> None:
    clock = FakeClock()
    loops = [opened(tmp_path, clock) for _ in range(4)]
    for _ in range(2):
        for loop in loops[1:]:
            loop.record(Run("a", "x"))
            loop.flush()
        clock.advance(6.0)
    loops[0].record(Run("a", "x"))
    loops[0].flush()
    (taken,) = [t for t in told(loops[0], LearntElsewhere) if t.taken.keys() == {"local/2", "local/3", "local/4"}]
    assert {last for _, last in taken.taken.values()} == {2}
    for loop in loops:
        loop.close()


def test_estimates_of_processes_with_threads_meet(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    more: dict[str, Any] = {"policy": "hierarchical", "allow": ("stores", "policies"), "config_poll_s": 0.05}
    with live_loop(store=url, **more) as busy, live_loop(store=url, **more) as idle:
        for n in range(400):
            busy.record(Run("a" if n % 2 else "b", "x", "ok" if n % 2 else "refused", 0.1))
            busy.feedback(Feedback("success", bool(n % 2), run_id=busy.record(Run("a" if n % 2 else "b", "x"))))
        assert busy.flush()
        until(lambda: Counter(idle.decide("x").deployment for _ in range(100))["a"] > 80, deadline_s=30.0)


def test_a_change_that_all_processes_see_is_one_alarm(tmp_path: Path) -> None:
    clock = FakeClock()
    loops = [opened(tmp_path, clock, "hierarchical", allow=None) for _ in range(3)]
    for phase, reward in ((0, True), (1, False)):
        for n in range(60 if phase == 0 else 40):
            for loop in loops:
                loop.feedback(Feedback("success", reward, run_id=loop.record(Run("a", "x"))))
                loop.feedback(Feedback("success", True, run_id=loop.record(Run("b", "x"))))
            if n % 5 == 0:
                look(clock, *loops)
    changes = [a.subject for a in told(loops[0], Alarm) if a.name == "change"]
    assert changes == ["a"]
    for loop in loops:
        loop.close()


def test_of_a_policy_that_takes_no_rewards_of_others_nothing_is_told(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock, EvenPolicy()) as here, opened(tmp_path, clock, EvenPolicy()) as there:
        here.record(Run("a", "x"))
        there.record(Run("a", "x"))
        for _ in range(2):
            look(clock, here, there)
        assert here.store.state.list("shared") == []
        assert told(here, LearningShared) == []
        assert told(here, LearntElsewhere) == []


# --- the pieces -----------------------------------------------------------------------------------------


def test_of_increments_that_were_missed_nothing_is_made_up_and_damaged_ones_are_left_out() -> None:
    store = MemoryStore("memory://")
    evidence, others = Evidence(), Others(store.state, "p", "two/1", {})
    for _ in range(30):
        evidence.note([Observation("x", "a", 1.0, 0.0)], [])
        increment = evidence.take()
        assert increment is not None
        store.state.put(increment.record("p", "one/1", NOW_S * 10))
    assert [told.number for told in others.news(0.0)] == list(range(19, 31)), "those of the last minute"
    assert others.news(1.0) == []
    assert others.news(10.0) == []
    assert evidence.take() is None
    broken = store.state.list("shared")[0]
    store.state.put(type(broken)(broken.namespace, broken.key, b"{"))
    assert Others(store.state, "other", "two/1", {}).news(0.0) == []
    assert len(Others(store.state, "p", "two/1", {}).news(0.0)) == 11
    assert Others(store.state, "p", "two/1", None).news(0.0) == [], "who does not know what it knows begins from now"
    assert Others(store.state, "p", "one/1", {}).news(0.0) == []


def test_a_place_in_the_ring_that_is_written_anew_is_read_anew_though_its_version_is_the_same() -> None:
    store = MemoryStore("memory://")
    evidence, others = Evidence(), Others(store.state, "p", "two/1", {})
    numbers = []
    for n in range(13):
        evidence.note([Observation("x", "a", 1.0, 0.0)], [])
        increment = evidence.take()
        assert increment is not None
        record = increment.record("p", "one/1", NOW_S * 10 + n)
        store.state.delete(record.namespace, record.key)  # as one that expired
        assert store.state.put(record).version == 1
        numbers += [told.number for told in others.news(10.0 * n)]
    assert numbers == list(range(1, 14))


def test_equal_rewards_and_corrections_are_added_up() -> None:
    evidence = Evidence()
    run = Event("p", 1, 1, "r", 0.0, 0.0, Run("a", "x"))
    evidence.note(
        [Observation("x", "a", 0.5, 0.0), Observation("x", "a", 0.25, 0.0, 1.0)], [("x", "a", 1.0, [run] * 3)]
    )
    others = Others((store := MemoryStore("memory://")).state, "p", "two/1", {})
    increment = evidence.take()
    assert increment is not None
    store.state.put(increment.record("p", "one/1", NOW_S * 10))
    (told_now,) = others.news(0.0)
    (row,) = told_now.rows
    assert (row.n, row.total, row.moved) == (4, 3.5, -0.75)

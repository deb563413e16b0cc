"""What several processes learnt: nobody overwrites what another saw, and what is old goes."""

from __future__ import annotations

from pathlib import Path

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Record
from hivefeedback.model import Run
from hivefeedback.recording.breaker import Breakers
from hivefeedback.recording.learning.learnt import Learnt, most_learnt
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import live_loop, sync_loop, until

URL = "memory://{}"


class Counted(EvenPolicy):
    """A policy whose dump says how much it has seen."""

    name = "counted"

    def __init__(self) -> None:
        super().__init__()
        self.loaded = b""

    def dump(self) -> bytes:
        return b"%d" % len(self.observations)

    def load(self, data: bytes) -> None:
        self.loaded = data


def opened(tmp_path: Path, clock: FakeClock, policy: EvenPolicy | None = None) -> FeedbackLoop:
    return sync_loop(store=f"memory://{tmp_path.name}", clock=clock, policy=policy or Counted())


def test_the_dump_that_saw_most_is_loaded_whoever_wrote_last(tmp_path: Path) -> None:
    clock = FakeClock()
    busy, idle = opened(tmp_path, clock), opened(tmp_path, clock)
    for _ in range(10):
        busy.record(Run("a", "x"))
    idle.record(Run("a", "x"))
    busy.close()
    idle.close()
    again = Counted()
    with opened(tmp_path, clock, again) as loop:
        assert again.loaded == b"10"
        loop.record(Run("a", "x"))
        loop.flush()
        learnt = most_learnt("counted", loop.store.state.list("policy"))
        assert learnt is not None
        assert (learnt.n, learnt.dump) == (11, b"1"), "what it began with counts"


def test_dumps_of_processes_that_are_gone_are_dropped_but_for_the_best(tmp_path: Path) -> None:
    clock = FakeClock()
    for n in (1, 5, 2, 1):
        with opened(tmp_path, clock) as loop:
            for _ in range(n):
                loop.record(Run("a", "x"))
    with opened(tmp_path, clock) as alive, opened(tmp_path, clock) as other:
        alive.record(Run("a", "x"))
        alive.flush()
        other.record(Run("a", "x"))
        other.flush()
        assert len(other.store.state.list("policy")) <= 3


def test_what_an_older_version_wrote_is_read_once_nobody_knows_more(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock) as loop:
        state = loop.store.state
        state.put(Record("policy", "counted", b"old"))
        failed = Breakers()
        for _ in range(3):
            failed.settle("a", "timeout", clock())
        state.put(Record("breaker", "all", failed.dump()))
    again = Counted()
    with opened(tmp_path, clock, again) as loop:
        assert again.loaded == b"old"
        assert {loop.decide("x").deployment for _ in range(10)} == {"b"}
        loop.record(Run("b", "x"))
        loop.flush()
        assert loop.store.state.get("breaker", "all") is None
    last = Counted()
    with opened(tmp_path, clock, last) as loop:
        assert last.loaded == b"1"
        assert {loop.decide("x").deployment for _ in range(10)} == {"b"}


def test_a_policy_whose_name_begins_with_anothers_is_another() -> None:
    records = [
        Learnt("p/1", 3, b"x").record("ucb"),
        Learnt("p/1", 9, b"y").record("ucb2"),
        Record("policy", "ucb2", b""),
    ]
    assert most_learnt("ucb", records) == Learnt("p/1", 3, b"x")


def test_a_breaker_that_one_process_opens_is_soon_open_in_the_others(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock) as here, opened(tmp_path, clock) as there:
        for _ in range(3):
            here.record(Run("a", "x", "timeout"))
        clock.advance(1.0)
        assert {there.decide("x").deployment for _ in range(20)} == {"b"}
        clock.advance(3600.0)
        probes = [loop.decide("x") for loop in (there, here)]
        assert [d.deployment for d in probes] == ["a", "b"], "one of them tries"
        there.record(Run("a", "x", "timeout", decision_id=probes[0].decision_id))
        clock.advance(1.0)
        here.decide("x")
        assert loop_failures(here) == loop_failures(there) == {"a": 4}
        there.record(Run("a", "x", "ok"))
        clock.advance(1.0)
        assert {here.decide("x").deployment for _ in range(30)} == {"a", "b"}


def loop_failures(loop: FeedbackLoop) -> dict[str, int]:
    """Failures in a row, as a process has them in memory."""
    assert loop._engine is not None
    return {name: b.failures for name, b in loop._engine.breakers._breakers.items()}


def test_a_breaker_is_seen_by_processes_with_threads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop(store=url, config_poll_s=0.05) as here, live_loop(store=url, config_poll_s=0.05) as there:
        for _ in range(3):
            here.record(Run("a", "x", "timeout"))
        until(lambda: [e.deployment for e in there.decide("x").excluded] == ["a"])


def test_processes_that_open_different_breakers_do_not_forget_each_others(tmp_path: Path) -> None:
    clock = FakeClock()
    here, there = opened(tmp_path, clock), opened(tmp_path, clock)
    for loop, name in ((here, "a"), (there, "c")):
        for _ in range(3):
            loop.record(Run(name, "x", "timeout"))
    here.close()
    there.close()
    with opened(tmp_path, clock) as loop:
        assert loop_failures(loop) == {"a": 3, "c": 3}

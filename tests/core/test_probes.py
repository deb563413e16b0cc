"""N processes probe a half-open deployment once, and say once that its breaker opened or closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.model import Alarm, Run
from hivefeedback.recording.feedback.owners import Owners
from hivefeedback.recording.probes import Probes
from hivefeedback.testing import FakeClock
from hivefeedback_stores.memory import MemoryStore
from tests.core.faulty import FaultyStores
from tests.core.loops import live_loop, sync_loop, told, until

N = 5
HOUR_S = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def loops(tmp_path: Path, clock: FakeClock) -> Iterator[list[FeedbackLoop]]:
    """Several processes on one store; all have calls, of which three failed in the first one."""
    with ExitStack() as stack:
        url = f"memory://{tmp_path.name}"
        found = [stack.enter_context(sync_loop(store=url, clock=clock, seed=n)) for n in range(N)]
        for _ in range(3):
            found[0].record(Run("a", "x", "timeout"))
        clock.advance(1.0)
        for loop in found:
            assert {loop.decide("x").deployment for _ in range(10)} == {"b"}
        yield found


def decided(loops: list[FeedbackLoop], n_each: int = 10) -> list[str | None]:
    """What all of them decide."""
    return [loop.decide("x").deployment for _ in range(n_each) for loop in loops]


def test_one_of_many_processes_probes(loops: list[FeedbackLoop], clock: FakeClock) -> None:
    clock.advance(HOUR_S)
    assert decided(loops).count("a") == 1


def test_a_probe_that_failed_is_followed_by_one_after_twice_the_time(
    loops: list[FeedbackLoop], clock: FakeClock
) -> None:
    clock.advance(HOUR_S)
    assert decided(loops).count("a") == 1
    loops[3].record(Run("a", "x", "timeout"))
    for hours, n_probes in ((1, 0), (1, 1)):
        clock.advance(hours * HOUR_S)
        assert decided(loops).count("a") == n_probes


def test_a_probe_that_succeeded_serves_it_everywhere(loops: list[FeedbackLoop], clock: FakeClock) -> None:
    clock.advance(HOUR_S)
    decided(loops)
    loops[2].record(Run("a", "x", "ok"))
    clock.advance(1.0)
    for loop in loops:
        assert {loop.decide("x").deployment for _ in range(30)} == {"a", "b"}


def test_a_token_that_was_not_settled_returns_and_goes_to_who_still_has_calls(
    loops: list[FeedbackLoop], clock: FakeClock
) -> None:
    clock.advance(HOUR_S)
    assert decided(loops[:1], 2) == ["a", "b"]
    clock.advance(299.0)
    assert decided(loops[1:]).count("a") == 0
    clock.advance(301.0)
    assert decided(loops[1:]).count("a") == 1


def test_a_process_without_calls_does_not_keep_the_token_from_the_others(tmp_path: Path, clock: FakeClock) -> None:
    url = f"memory://{tmp_path.name}"
    with sync_loop(store=url, clock=clock) as idle, sync_loop(store=url, clock=clock) as busy:
        for _ in range(3):
            busy.record(Run("a", "x", "timeout"))
        clock.advance(1.0)
        idle.flush()
        clock.advance(HOUR_S)
        for _ in range(5):
            idle.decide("y", candidates=["b"])
            clock.advance(1.0)
        assert busy.decide("x").deployment == "a"


def test_a_process_that_begins_while_it_is_half_open_probes_when_calls_come(tmp_path: Path, clock: FakeClock) -> None:
    url = f"memory://{tmp_path.name}"
    with sync_loop(store=url, clock=clock) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        clock.advance(2 * HOUR_S)
        with sync_loop(store=url, clock=clock) as new:
            assert [new.decide("x").deployment for _ in range(4)].count("a") == 1


def test_each_alarm_is_logged_once_however_many_processes_see_it(loops: list[FeedbackLoop], clock: FakeClock) -> None:
    def alarms() -> list[tuple[str, str]]:
        return [(a.name, a.subject) for a in told(loops[0], Alarm)]

    for _ in range(3):
        loops[1].record(Run("a", "x", "timeout"))  # it came later, and in another process
    assert alarms() == [("breaker_open", "a")]
    clock.advance(HOUR_S)
    decided(loops)
    for loop in loops:
        loop.record(Run("a", "x", "ok"))
    clock.advance(1.0)
    decided(loops)
    assert alarms() == [("breaker_open", "a"), ("breaker_closed", "a")]
    for _ in range(3):
        loops[4].record(Run("a", "x", "timeout"))
    assert alarms()[2:] == [("breaker_open", "a")]


def test_who_cannot_ask_the_store_probes_for_itself(clock: FakeClock) -> None:
    stores = FaultyStores()
    with sync_loop(store="faulty://", clock=clock, plugins=[stores], config_poll_s=2.0) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        clock.advance(1.0)
        loop.decide("x")
        clock.advance(HOUR_S)
        stores.faults.gone()
        assert [loop.decide("x").deployment for _ in range(10)].count("a") == 1
        stores.faults.back()


def test_processes_with_threads_probe_once_and_say_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with ExitStack() as stack:
        loops = [stack.enter_context(live_loop(store=url, config_poll_s=0.05, breaker_base_s=1.0)) for _ in range(3)]
        for _ in range(3):
            loops[0].record(Run("a", "x", "timeout"))
        for loop in loops:
            until(lambda loop=loop: [e.deployment for e in loop.decide("x").excluded] == ["a"])  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        served: list[str | None] = []

        def is_probed() -> bool:
            served.extend(loop.decide("x").deployment for loop in loops)
            return "a" in served

        until(is_probed)
        for _ in range(200):
            is_probed()
        assert served.count("a") == 1
        for loop in loops:
            assert loop.flush()
        assert [(a.name, a.subject) for a in told(loops[0], Alarm)] == [("breaker_open", "a")]


def test_who_asked_a_moment_before_the_token_was_taken_does_not_take_it_too(clock: FakeClock) -> None:
    """The question is put with the time at which it arose, and answered when the store has time."""
    store = MemoryStore("memory://", clock=clock)
    one, two = (Probes(store.state, Owners(store.state, name, length_s=15.0, now=clock)) for name in ("p/1", "q/1"))
    now_s = clock()
    assert one.claim("a", now_s, 300.0) is True
    assert [two.claim("a", at_s, 300.0) for at_s in (now_s - 0.01, now_s, now_s + 299.0)] == [False, False, False]
    assert two.claim("a", now_s + 301.0, 300.0) is True

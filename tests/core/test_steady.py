"""A clock that jumps makes nothing old that is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hivefeedback import FeedbackLoop, Run
from hivefeedback.control.steady import HOLD_S, Steady
from hivefeedback.control.upkeep import keep_up
from hivefeedback.hooks import Record
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies, events, live_loop, sync_loop

DAY_S = 86400.0


@pytest.mark.parametrize("days", [40, 401, -40])
def test_a_clock_that_jumps_and_comes_back_costs_nothing(days: int) -> None:
    clock, mono = FakeClock(), FakeClock()
    with sync_loop("a", clock=clock) as loop:
        for _ in range(20):
            loop.record(Run("a", "x"))
        ctx = replace(loop._control._ctx, steady=Steady(clock, mono))
        for jump in (days, -days):
            clock.now_s += jump * DAY_S
            for _ in range(3):
                mono.advance(60.0)
                clock.advance(60.0)
                keep_up(ctx)
        assert len(bodies(loop, Run)) == 20
        assert loop.stats()[0].n_runs == 20


def test_what_is_old_goes_once_the_new_time_has_held_for_an_hour() -> None:
    clock, mono = FakeClock(), FakeClock()
    with sync_loop("a", clock=clock) as loop:
        loop.record(Run("a", "x"))
        ctx = replace(loop._control._ctx, steady=Steady(clock, mono))
        clock.advance(40 * DAY_S)
        assert keep_up(ctx) is False
        for _ in range(2):
            mono.advance(HOLD_S / 2)
            clock.advance(HOLD_S / 2)
            done = keep_up(ctx)
        assert done is True
        assert bodies(loop, Run) == []


def _turn_of_a_new_process(loop: FeedbackLoop, clock: FakeClock) -> bool:
    return keep_up(replace(loop._control._ctx, steady=Steady(clock, FakeClock())))


def test_turns_of_short_lived_processes_wait_an_hour_with_a_clock_that_is_far_ahead() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        loop.turn()
        loop.record(Run("a", "x"))
        for _ in range(3):  # each is put right within the hour
            clock.advance(40 * DAY_S)
            for _ in range(3):
                assert not _turn_of_a_new_process(loop, clock)
                clock.advance(HOLD_S / 4)
            clock.advance(-40 * DAY_S)
            _turn_of_a_new_process(loop, clock)
        assert len(bodies(loop, Run)) == 1


def test_a_machine_that_was_off_for_long_drops_what_is_old_an_hour_later(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        loop.turn()
        loop.record(Run("a", "x"))
        clock.advance(40 * DAY_S)
        assert [_turn_of_a_new_process(loop, clock) for _ in range(3)] == [False] * 3
        assert [r.getMessage() for r in caplog.records if "last kept up 40.0 days ago" in r.getMessage()] != []
        clock.advance(HOLD_S)
        assert _turn_of_a_new_process(loop, clock)
        assert bodies(loop, Run) == []
        clock.advance(HOLD_S)
        assert _turn_of_a_new_process(loop, clock), "since then it is done every hour"
        assert loop.store.state.get("control", "doubted_at_s") is None


def test_a_store_that_was_never_kept_up_is_for_the_first_time_after_an_hour() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        for noted in (b"", b"yesterday"):
            if noted:
                loop.store.state.put(Record("control", "upkeep_at_s", noted))
                loop.store.state.put(Record("control", "doubted_at_s", noted))
            assert not _turn_of_a_new_process(loop, clock)
            clock.advance(HOLD_S)
            assert _turn_of_a_new_process(loop, clock)


def test_a_process_with_the_machines_clock_watches_it_and_one_with_a_given_clock_does_not() -> None:
    with live_loop("a") as live, sync_loop("a") as simulated:
        assert live._control._ctx.steady is not None
        assert simulated._control._ctx.steady is None


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), -1.0, 1e20, "noon", None])
def test_a_given_clock_that_answers_nonsense_later_stands_still(answer: Any) -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        loop.record(Run("a", "x"))
        clock.now_s, good_s = answer, clock.now_s
        loop.record(Run("a", "x"))
        loop.turn()
        clock.now_s = good_s + 60.0
        loop.record(Run("a", "x"))
        assert loop.stats()[0].n_runs == 3
        assert {event.event_time_s for event in events(loop)} <= {good_s, good_s + 60.0}
        assert not loop.counters

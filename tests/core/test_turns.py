"""Turns in the background: every so often, at once when woken, and whatever happens in them."""

from __future__ import annotations

import threading

from hivefeedback.engine.turns import BackgroundTurns
from hivefeedback.recording import Counters

DEADLINE_S = 20.0


class _Turn:
    """Counts how often it is called; waits in it until it is released."""

    def __init__(self) -> None:
        self.n, self.called, self.release = 0, threading.Semaphore(0), threading.Event()
        self.release.set()
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.n += 1
        self.called.release()
        self.release.wait(DEADLINE_S)
        if self.error is not None:
            raise self.error


def test_a_woken_turn_runs_at_once() -> None:
    turn = _Turn()
    turns = BackgroundTurns(turn, 3600.0, Counters())
    turns.wake()
    assert turn.called.acquire(timeout=DEADLINE_S)
    turns.stop(DEADLINE_S)
    assert turn.n == 1


def test_what_comes_while_a_turn_runs_gets_another_turn() -> None:
    turn = _Turn()
    turn.release.clear()
    turns = BackgroundTurns(turn, 3600.0, Counters())
    turns.wake()
    assert turn.called.acquire(timeout=DEADLINE_S)
    turns.wake()
    turns.wake()
    turn.release.set()
    assert turn.called.acquire(timeout=DEADLINE_S)
    turns.stop(DEADLINE_S)
    assert turn.n == 2


def test_it_runs_every_so_often_and_after_a_failure_too() -> None:
    turn, counters = _Turn(), Counters()
    turn.error = ValueError("no")
    turns = BackgroundTurns(turn, 0.01, counters)
    for _ in range(3):
        assert turn.called.acquire(timeout=DEADLINE_S)
    turns.stop(DEADLINE_S)
    assert counters["turn_failed"] >= 2


def test_it_stops_without_another_turn() -> None:
    turn = _Turn()
    turns = BackgroundTurns(turn, 3600.0, Counters())
    turns.stop(DEADLINE_S)
    assert not turns._thread.is_alive()
    assert turn.n == 0


def test_who_leads_only_since_now_runs_a_turn_at_once_and_who_led_before_does_not() -> None:
    turn, answers = _Turn(), iter([False, False, True, False, False])
    asked = threading.Semaphore(0)

    def lead() -> bool:
        asked.release()
        return next(answers, False)

    turns = BackgroundTurns(turn, 3600.0, Counters(), lead=lead, lead_every_s=0.01)
    assert turn.called.acquire(timeout=DEADLINE_S)
    for _ in range(8):
        assert asked.acquire(timeout=DEADLINE_S)
    assert turns.stop(DEADLINE_S)
    assert turn.n == 1


def test_a_store_that_cannot_say_who_leads_does_not_end_the_turns() -> None:
    def lead() -> bool:
        raise OSError("no store")

    turn, counters = _Turn(), Counters()
    turns = BackgroundTurns(turn, 0.05, counters, lead=lead, lead_every_s=0.01)
    assert turn.called.acquire(timeout=DEADLINE_S)
    assert turn.called.acquire(timeout=DEADLINE_S)
    turns.stop(DEADLINE_S)
    assert counters["turn_failed"] >= 1


def test_a_turn_that_hangs_is_told_of_when_it_should_end() -> None:
    turn = _Turn()
    turn.release.clear()
    turns = BackgroundTurns(turn, 3600.0, Counters())
    turns.wake()
    assert turn.called.acquire(timeout=DEADLINE_S)
    assert not turns.stop(0.01)
    turn.release.set()
    assert turns.stop(DEADLINE_S)

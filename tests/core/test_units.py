"""Failing sessions of a rollout count once, whatever processes they meet."""

from __future__ import annotations

import pytest

from hivefeedback.control import counts_key, encode_counts, read_counts
from hivefeedback.control.counts import forget_counts
from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Record
from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.stats import (
    FAILED_SESSIONS,
    SEEN_SESSIONS,
    failed_session,
    failing_units,
    seen_sessions,
    unit_hash,
    with_failed_sessions,
)
from hivefeedback_stores.memory import MemoryStore


def step(share: float, control: int, canary: int, **failures: int) -> StepCounts:
    """Units of both arms; ``failures`` are requests of the canary that failed."""
    return StepCounts(share=share, control=ArmCounts(units=control), canary=ArmCounts(units=canary, failures=failures))


def record(session: str, *, guardrail: str = "error", share: float = 0.05, is_canary: bool = True) -> tuple[str, bytes]:
    return failed_session("m-1", guardrail, session, share=share, is_canary=is_canary)


def seen(*sessions: str, process: str = "p", share: float = 0.05, is_canary: bool = True) -> tuple[str, bytes]:
    units = [unit_hash("m-1", session) for session in sessions]
    return seen_sessions(f"m-1/{process}/1", units, 0, share=share, is_canary=is_canary)


def test_a_session_that_failed_in_two_processes_is_one_failing_unit() -> None:
    lists = [seen("s"), seen("s", process="q")]
    (counted,) = with_failed_sessions([step(0.05, 19, 2)], [record("s"), record("s")], lists)
    assert counted.canary == ArmCounts(units=3, failures={"error": 1})
    assert counted.control == ArmCounts(units=19)


def test_sessions_arms_and_guardrails_are_kept_apart() -> None:
    records = [
        record("s"),
        record("t"),
        record("u", is_canary=False),
        record("s", guardrail="quality"),
    ]
    (counted,) = with_failed_sessions([step(0.05, 19, 3)], records)
    assert counted.canary.failures == {"error": 2, "quality": 1}
    assert counted.control.failures == {"error": 1}


def test_failures_of_requests_without_a_session_are_added() -> None:
    (counted,) = with_failed_sessions([step(0.05, 19, 9, error=4)], [record("s")])
    assert counted.canary.failed("error") == 5


def test_a_session_counts_in_the_step_in_which_it_was_first_seen() -> None:
    """It may be a control of the first step and a canary of the second."""
    seen = [record("s", share=0.25), record("s", share=0.05, is_canary=False)]
    for records in (seen, seen[::-1]):
        counted = with_failed_sessions([step(0.05, 19, 1), step(0.25, 75, 25)], records)
        assert failing_units(counted, "error") == [(0.05, 1, 0), (0.25, 0, 0)]


def test_a_failing_session_is_a_unit_even_where_nobody_counted_it() -> None:
    (counted,) = with_failed_sessions([], [record("s"), record("s", guardrail="quality")])
    assert counted == StepCounts(
        share=0.05, control=ArmCounts(), canary=ArmCounts(units=1, failures={"error": 1, "quality": 1})
    )


def test_sessions_that_several_processes_saw_are_units_once() -> None:
    one, other = [f"s{i}" for i in range(40)], [f"s{i}" for i in range(20, 60)]
    lists = [seen(*one), seen(*other, process="q"), seen("t", "u", is_canary=False)]
    (counted,) = with_failed_sessions([step(0.05, 5, 1)], [record("s3")], lists)
    assert (counted.control.units, counted.canary.units, counted.canary.failed("error")) == (7, 61, 1)


def test_a_failure_belongs_to_the_step_and_arm_in_which_another_process_saw_the_session_first() -> None:
    failures = [record("s", share=0.25)]
    counted = with_failed_sessions([], failures, [seen("s", is_canary=False), seen("s", process="q", share=0.25)])
    assert failing_units(counted, "error") == [(0.05, 1, 0)]
    assert [(c.share, c.control.units, c.canary.units) for c in counted] == [(0.05, 1, 0)]


def test_the_name_of_a_session_cannot_be_read_or_followed_through_rollouts() -> None:
    key, value = record("user-77")
    other, _ = failed_session("m-2", "error", "user-77", share=0.05, is_canary=True)
    assert b"user-77" not in value
    assert "user-77" not in key
    assert key.split("/")[2] != other.split("/")[2]
    assert failed_session("m-1", "error", "\ud800", share=0.05, is_canary=True)[0] != key


@pytest.mark.parametrize("broken", [("m-1/error/ab/0.05", b"{}"), ("m-1/error", b'{"share":1,"is_canary":true}')])
def test_a_record_that_cannot_be_read_is_named(broken: tuple[str, bytes]) -> None:
    with pytest.raises(StoreCorruptError, match="m-1/error"):
        with_failed_sessions([], [broken])


@pytest.mark.parametrize("broken", [("m-1/p/1/0.05/canary/0", b"12345"), ("canary", b"")])
def test_a_list_of_sessions_that_cannot_be_read_is_named(broken: tuple[str, bytes]) -> None:
    with pytest.raises(StoreCorruptError, match="canary"):
        with_failed_sessions([], [], [broken])


def test_counts_are_read_with_the_failing_sessions_of_their_rollout() -> None:
    store = MemoryStore()
    for producer in ("p", "q"):
        value = encode_counts([step(0.05, 19, 1)])
        store.state.put(Record("rollout", counts_key("m-1", producer, 1), value))
        store.state.put(Record(FAILED_SESSIONS, *record("s")))
    store.state.put(Record(FAILED_SESSIONS, *failed_session("m-11", "error", "s", share=0.05, is_canary=True)))
    (counted,) = read_counts(store, "m-1")
    assert (counted.control.units, counted.canary) == (38, ArmCounts(units=3, failures={"error": 1}))


def test_what_was_counted_of_rollouts_that_are_over_can_be_forgotten() -> None:
    store = MemoryStore()
    for rollout_id in ("m-1", "m-11"):
        store.state.put(Record("rollout", counts_key(rollout_id, "p", 1), encode_counts([step(0.05, 19, 1)])))
        key, value = failed_session(rollout_id, "error", "s", share=0.05, is_canary=True)
        store.state.put(Record(FAILED_SESSIONS, key, value))
    store.state.put(Record(SEEN_SESSIONS, *seen("s", "t")))
    store.state.put(Record("rollout_stop", "m-1/p/1", b"{}"))
    assert forget_counts(store, lambda rollout_id: rollout_id == "m-1") == 4
    assert read_counts(store, "m-1") == ()
    assert read_counts(store, "m-11")[0].canary.failed("error") == 1

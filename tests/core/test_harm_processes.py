"""A canary that several processes serve, and processes that come and go: one store, one truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.control import counts_key, encode_counts, read_counts
from hivefeedback.control.counts import forget_counts, read_stops
from hivefeedback.hooks import Record
from hivefeedback.model import Alarm, ArmCounts, Decision, Feedback, Run, StepCounts
from hivefeedback.recording.rollouts.heard import Listener
from hivefeedback.stats import FAILED_SESSIONS, ROLLOUT_STOPS, SEEN_SESSIONS, encode_stop, failing_units
from hivefeedback.testing import FakeClock
from hivefeedback_stores.memory import MemoryStore
from tests.core.loops import end_rollout, live_loop, open_rollout, sync_loop, told, until


@contextmanager
def processes(path: Path, n: int, clock: FakeClock) -> Iterator[list[FeedbackLoop]]:
    """Loops on one SQLite store, as processes have them; they are closed at the end."""
    loops = [sync_loop("a", store=f"sqlite:///{path / 'hive.db'}", clock=clock) for _ in range(n)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.close()


def poll(loops: list[FeedbackLoop], clock: FakeClock) -> None:
    """Let a second pass, and let each process look what the others did."""
    clock.advance(1.0)
    for loop in loops:
        loop.decide("unrelated", ["zzz"])


def serve(loop: FeedbackLoop, outcome: str, session_id: str | None) -> Decision:
    d = loop.decide("x", ["a"], session_id)
    loop.record(Run("a", "x", outcome, 0.1, decision_id=d.decision_id, session_id=session_id or ""))
    return d


def is_canary(d: Decision) -> bool:
    return any(a.variant == "canary" for a in d.assignments)


def is_stopped(loop: FeedbackLoop) -> bool:
    return loop.decide("x", ["a"], "whoever").assignments == ()


def harm_alarms(loop: FeedbackLoop) -> list[str]:
    return [alarm.name for alarm in told(loop, Alarm) if alarm.name.startswith("harm")]


def break_canary(loop: FeedbackLoop, *, failures: int, prefix: str = "s") -> int:
    """Serve sessions of which the canary's fail, until that many did or it is stopped; how many they were."""
    n = failed = 0
    while failed < failures and n < 2000:
        d = loop.decide("x", ["a"], f"{prefix}{n}")
        if not d.assignments:
            break
        failed += is_canary(d)
        outcome = "model_error" if is_canary(d) else "ok"
        loop.record(Run("a", "x", outcome, 0.1, decision_id=d.decision_id, session_id=f"{prefix}{n}"))
        n += 1
    return n


# --- units -----------------------------------------------------------------------------------------------


def test_units_and_failures_are_the_same_however_many_processes_served_the_sessions(tmp_path: Path) -> None:
    """Sixty sessions of eight requests wander through the processes; some of their requests fail."""
    found = []
    for n in (1, 2, 4, 8):
        folder = tmp_path / str(n)
        folder.mkdir()
        with processes(folder, n, FakeClock()) as loops:
            open_rollout(loops[0], share=0.25)
            for loop in loops:
                loop.refresh()
            for i in range(480):
                session, request = i % 60, i // 60
                outcome = "model_error" if (session * 7 + request) % 40 == 0 else "ok"
                serve(loops[(session + request) % n], outcome, f"s{session}")
            found.append(read_counts(loops[0].store, "m-1"))
    (step,) = found[0]
    assert step.control.units + step.canary.units == 60
    assert step.canary.units == pytest.approx(15, abs=10)
    assert step.control.failed("error") + step.canary.failed("error") == 12
    assert found == [found[0]] * 4


def test_a_restart_counts_no_session_anew(tmp_path: Path) -> None:
    clock = FakeClock()
    for _ in range(3):
        with processes(tmp_path, 1, clock) as (loop,):
            if "m-1" not in loop.configuration.rollouts:
                open_rollout(loop, share=0.25)
            for i in range(40):
                serve(loop, "model_error" if i == 7 else "ok", f"s{i}")
            (step,) = read_counts(loop.store, "m-1")
            assert step.control.units + step.canary.units == 40
            assert step.control.failed("error") + step.canary.failed("error") == 1


def test_a_session_that_fails_late_in_another_process_fails_in_the_step_in_which_it_was_first_seen(
    tmp_path: Path,
) -> None:
    from dataclasses import replace

    from hivefeedback.model import JournalEntry

    clock = FakeClock()
    with processes(tmp_path, 2, clock) as (one, two):
        rollout = open_rollout(one, share=0.05)
        two.refresh()
        session = next(s for s in (f"s{i}" for i in range(100)) if not is_canary(one.decide("x", ["a"], s)))
        serve(one, "ok", session)
        wide = replace(rollout, share=1.0, step=1)
        journal = one.store.journal
        entry = JournalEntry(at_s=clock(), state="canary", mutation_id="m-1", rollout=wide)
        journal.append(entry, expected_head=journal.head())
        poll([one, two], clock)
        assert is_canary(serve(two, "model_error", session))
        assert failing_units(read_counts(one.store, "m-1"), "error") == [(0.05, 1, 0)]


def test_feedback_that_comes_late_to_another_process_fails_the_session_once(tmp_path: Path) -> None:
    clock = FakeClock()
    with processes(tmp_path, 2, clock) as (one, two):
        open_rollout(one, share=1.0)
        two.refresh()
        d = one.decide("x", ["a"], "s")
        run_id = one.record(Run("a", "x", decision_id=d.decision_id, session_id="s"))
        clock.advance(-3600.0)  # a clock that is set back changes nothing
        two.feedback(Feedback("helpful", 0.0, run_id=run_id))
        one.feedback(Feedback("helpful", 0.0, run_id=run_id))
        (step,) = read_counts(one.store, "m-1")
        assert (step.canary.units, step.canary.failed("quality")) == (1, 1)


def test_a_session_beyond_what_a_process_lists_is_no_unit_in_either_arm() -> None:
    with sync_loop("a", session_memory=100) as loop:
        open_rollout(loop, share=0.5)
        for i in range(150):
            serve(loop, "model_error" if i >= 100 else "ok", f"s{i}")
        (step,) = read_counts(loop.store, "m-1")
        assert step.control.units + step.canary.units == 100
        assert failing_units([step], "error") == [(0.5, 0, 0)]


def test_sessions_are_listed_in_few_records() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        for i in range(1300):
            serve(loop, "ok", f"s{i}")
        records = loop.store.state.list(SEEN_SESSIONS, prefix="m-1/")
        assert len(records) == 4
        (step,) = read_counts(loop.store, "m-1")
        assert step.control.units + step.canary.units == 1300


# --- stops -----------------------------------------------------------------------------------------------


def test_proven_harm_is_withheld_by_all_after_their_next_look_and_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    with processes(tmp_path, 3, clock) as loops:
        open_rollout(loops[0], share=0.25)
        for loop in loops:
            loop.refresh()
        break_canary(loops[0], failures=12)
        assert [is_stopped(loop) for loop in loops] == [True, False, False]
        assert read_stops(loops[0].store, "m-1") == []  # a suspicion is told to nobody
        poll(loops, clock)
        assert all(map(is_stopped, loops))
        assert harm_alarms(loops[0]) == ["harm", "harm_proven", "harm_told", "harm_told"]
    with processes(tmp_path, 1, clock) as (again,):
        assert again.configuration.rollouts
        assert is_stopped(again)  # at the very first decision


def test_a_process_that_starts_late_withholds_what_nobody_lived_to_tell(tmp_path: Path) -> None:
    """The only process that suspected it ended before it could look at the counts of all."""
    clock = FakeClock()
    with processes(tmp_path, 1, clock) as (loop,):
        open_rollout(loop, share=0.25)
        break_canary(loop, failures=12)
        assert read_stops(loop.store, "m-1") == []
    with processes(tmp_path, 1, clock) as (again,):
        assert is_stopped(again)
        assert [o.decided for o in again.turn().outcomes] == ["roll_back"]


def test_loops_with_threads_withhold_what_another_process_stopped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop("a", store=url) as one, live_loop("a", store=url) as two:
        open_rollout(one, share=1.0)
        two.refresh()
        assert two.decide("x", ["a"]).assignments
        record = Record(ROLLOUT_STOPS, counts_key("m-1", "else", 1), encode_stop({"log_e": 7.0, "is_error": 1.0}))
        one.store.state.put(record)
        for loop in (one, two):
            assert until(lambda loop=loop: is_stopped(loop))  # type: ignore[misc]  # a lambda with a default


def test_what_several_processes_saw_adds_up_before_any_turn(tmp_path: Path) -> None:
    """No process alone has seen enough."""
    clock = FakeClock()
    with processes(tmp_path, 4, clock) as loops:
        open_rollout(loops[0], share=0.25)
        for loop in loops:
            loop.refresh()
        for i, loop in enumerate(loops):
            break_canary(loop, failures=2, prefix=f"p{i}-")
        assert not any(map(is_stopped, loops))
        poll(loops, clock)
        assert all(map(is_stopped, loops))


def test_the_turn_takes_back_what_the_counts_of_all_prove(tmp_path: Path) -> None:
    clock = FakeClock()
    with processes(tmp_path, 2, clock) as (one, two):
        open_rollout(one, share=0.25)
        two.refresh()
        break_canary(one, failures=12)
        (outcome,) = two.turn().outcomes
        assert (outcome.decided, outcome.monitor) == ("roll_back", "core")
        assert two.configuration.rollouts == {}


def of_another_process(loop: FeedbackLoop, *, control: int, canary: int = 0) -> None:
    """Failing requests that a process counted which is not here."""
    arms = [ArmCounts(units=200, failures={"error": n, "quality": n}) for n in (control, canary)]
    counts = StepCounts(share=0.25, control=arms[0], canary=arms[1])
    loop.store.state.put(Record("rollout", counts_key("m-1", "other", 1), encode_counts([counts])))


def test_a_suspicion_that_the_counts_of_all_do_not_share_ends_and_nobody_is_told(tmp_path: Path) -> None:
    """While one process saw its canaries fail, another saw as many controls fail."""
    clock = FakeClock()
    with processes(tmp_path, 2, clock) as (one, two):
        open_rollout(one, share=0.25)
        two.refresh()
        break_canary(one, failures=5)
        assert is_stopped(one)
        of_another_process(one, control=90)
        poll([one, two], clock)
        assert not is_stopped(one)
        assert not is_stopped(two)
        assert harm_alarms(one) == ["harm", "harm_lifted"]
        assert [o.decided for o in two.turn().outcomes] == ["continue"]
        of_another_process(one, control=90, canary=90)  # it goes on from there
        poll([one, two], clock)
        assert is_stopped(one)
        assert [o.decided for o in two.turn().outcomes] == ["roll_back"]


def test_what_was_proven_stays_proven_when_the_turn_comes_late(tmp_path: Path) -> None:
    clock = FakeClock()
    with processes(tmp_path, 2, clock) as (one, two):
        open_rollout(one, share=0.25)
        two.refresh()
        break_canary(one, failures=12)
        poll([one], clock)
        of_another_process(one, control=90)
        (outcome,) = two.turn().outcomes
        assert (outcome.decided, outcome.monitor) == ("roll_back", "core")
        assert "was proven worse by error when a process looked at the counts of all: 5 of 5" in outcome.reason
        assert outcome.numbers is not None
        assert outcome.numbers["log_e_harm_error"] > 5.29
        assert two.configuration.rollouts == {}


def test_a_process_alone_needs_no_turn_to_agree_with_itself_after_a_restart(tmp_path: Path) -> None:
    """What it had counted before counts on: half of the evidence then, half now."""
    clock = FakeClock()
    with processes(tmp_path, 1, clock) as (before,):
        open_rollout(before, share=0.25)
        break_canary(before, failures=2)
        assert not is_stopped(before)
    with processes(tmp_path, 1, clock) as (after,):
        break_canary(after, failures=3, prefix="t")
        assert is_stopped(after)
        assert [o.decided for o in after.turn().outcomes] == ["roll_back"]


# --- the end ---------------------------------------------------------------------------------------------


def test_nothing_stays_of_a_rollout_that_is_over(tmp_path: Path) -> None:
    clock = FakeClock()
    with processes(tmp_path, 2, clock) as (one, two):
        rollout = open_rollout(one, share=0.25)
        two.refresh()
        break_canary(one, failures=12)
        serve(two, "ok", None)
        end_rollout(one, rollout, "rolled_back")
        serve(two, "model_error", "straggler")  # it does not know yet
        assert forget_counts(one.store, lambda rollout_id: rollout_id == "m-1") >= 4
        serve(two, "model_error", "straggler-2")
        poll([two], clock)
        forget_counts(one.store, lambda rollout_id: rollout_id == "m-1")
        for namespace in ("rollout", FAILED_SESSIONS, SEEN_SESSIONS, ROLLOUT_STOPS):
            assert one.store.state.list(namespace) == []
        serve(two, "model_error", "later")
        assert read_counts(two.store, "m-1") == ()


# --- listening --------------------------------------------------------------------------------------------


def test_failing_sessions_are_read_less_often_the_more_there_are_but_stops_always() -> None:
    from hivefeedback.stats import failed_session

    store = MemoryStore()
    for i in range(2500):
        said = failed_session("m-1", "error", f"s{i}", share=0.5, is_canary=False)
        store.state.put(Record(FAILED_SESSIONS, *said))
    listener = Listener(store, "p", 1)
    assert [len(listener.listen(["m-1"])) for _ in range(6)] == [1, 0, 0, 1, 0, 0]
    store.state.put(Record(ROLLOUT_STOPS, counts_key("m-1", "q", 1), encode_stop({"log_e": 9.0})))
    assert listener.listen(["m-1"])["m-1"].stop == {"log_e": 9.0}
    assert listener.listen([]) == {}


def test_what_a_process_counted_itself_is_no_news_to_it() -> None:
    store = MemoryStore()
    counts = StepCounts(share=0.5, control=ArmCounts(units=3, failures={"error": 1}), canary=ArmCounts(units=2))
    for epoch in (1, 2):
        store.state.put(Record("rollout", counts_key("m-1", "p", epoch), encode_counts([counts])))
    assert Listener(store, "p", 2).listen(["m-1"])["m-1"].requests == (counts,)

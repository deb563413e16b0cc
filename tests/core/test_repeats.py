"""A correction is noted once, whoever tells of it, and its agent is found out from the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.control.repeats import repeats_of
from hivefeedback.hooks import Record
from hivefeedback.model import CORRECTION, Correction, normalised, read_correction
from hivefeedback.recording.incoming.corrections import Corrections
from hivefeedback.stats import Repeat
from hivefeedback.testing import FakeClock
from tests.core.loops import live_loop, sync_loop

SAID = "Use the metric system."


def _repeats(loop: FeedbackLoop) -> tuple[Repeat, ...]:
    loop.flush()
    return repeats_of(loop._control._ctx)


def _noted(loop: FeedbackLoop) -> list[Correction]:
    found = [read_correction(r.value) for r in loop.store.state.list(CORRECTION)]
    return [one for one in found if one is not None]


def _correct(loop: FeedbackLoop, text: str = SAID, **more: str) -> None:
    loop.feedback(Feedback("correction", correction=text, **{"agent_id": "x", **more}))  # type: ignore[arg-type]  # texts only


def test_the_same_words_in_other_clothes_are_one_correction_given_three_times() -> None:
    """S4.1: explicit feedback, corrections."""
    with sync_loop("a") as loop:
        for text in (SAID, "  use the METRIC  system", "“Use the metric system!”", "Use feet."):
            _correct(loop, text)
        (repeat,) = _repeats(loop)
        assert (repeat.agent, repeat.n, len(repeat.event_ids)) == ("x", 3, 3)


@pytest.mark.parametrize(("one", "other"), [("Ünder  Äll", "ünder äll"), ("ﬁne", "fine"), ("A.\n", "a")])
def test_normalising_takes_away_what_does_not_matter(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_a_correction_holds_no_words_in_the_small_records() -> None:
    with sync_loop("a") as loop:
        _correct(loop)
        (record,) = loop.store.state.list(CORRECTION)
        assert b"metric" not in record.value
        (noted,) = _noted(loop)
        assert len(noted.words) == 32


def test_two_stores_hash_the_same_words_differently() -> None:
    words = set()
    for _ in range(2):
        with sync_loop("a") as loop:
            _correct(loop)
            words |= {one.words for one in _noted(loop)}
    assert len(words) == 2


def test_the_same_idempotency_key_replaces_and_never_adds() -> None:
    with sync_loop("a") as loop:
        for _ in range(3):
            _correct(loop, idempotency_key="k-1")
        assert _repeats(loop) == ()
        _correct(loop, idempotency_key="k-2")
        assert [r.n for r in _repeats(loop)] == [2]
        _correct(loop, "Something else.", idempotency_key="k-2")
        assert _repeats(loop) == ()


def test_a_correction_that_is_withdrawn_counts_no_longer() -> None:
    with sync_loop("a") as loop:
        for key in ("k-1", "k-2"):
            _correct(loop, idempotency_key=key)
        assert [r.n for r in _repeats(loop)] == [2]
        loop.feedback(Feedback("rating", rating=5, agent_id="x", idempotency_key="k-2"))
        assert _repeats(loop) == ()


def test_the_agent_is_that_of_the_feedback_else_that_of_the_run() -> None:
    with sync_loop("a") as loop:
        for n in range(2):
            run_id = loop.record(Run("a", "op", agent_id="of-run", trace_id=f"t-{n}", session_id=f"s-{n}"))
            loop.feedback(Feedback("correction", correction="one", run_id=run_id))
            loop.feedback(Feedback("correction", correction="one", run_id=run_id, agent_id="of-feedback"))
            loop.feedback(Feedback("correction", correction="two", trace_id=f"t-{n}"))
            loop.feedback(Feedback("correction", correction="three", session_id=f"s-{n}"))
        assert sorted((r.agent, r.n) for r in _repeats(loop)) == [
            ("of-feedback", 2), ("of-run", 2), ("of-run", 2), ("of-run", 2),
        ]  # fmt: skip
        assert all(one.agent for one in _noted(loop))  # found out once, then written down


def test_a_run_of_an_agent_without_an_id_is_that_of_its_own_name() -> None:
    with sync_loop("a") as loop:
        for n in range(2):
            loop.record(Run("planner", "op", kind="agent", trace_id=f"t-{n}"))
            loop.feedback(Feedback("correction", correction=SAID, trace_id=f"t-{n}"))
        assert [r.agent for r in _repeats(loop)] == ["planner"]


def test_a_correction_that_is_of_nobody_is_dropped_once_that_is_known() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        run_id = loop.record(Run("a", "op"))
        loop.feedback(Feedback("correction", correction=SAID, run_id=run_id))
        loop.feedback(Feedback("correction", correction=SAID, run_id="still-to-come"))
        assert len(_noted(loop)) == 2
        assert _repeats(loop) == ()
        assert len(_noted(loop)) == 1  # a run without an agent will never have one
        clock.advance(2 * 86400.0)
        assert _repeats(loop) == ()
        assert _noted(loop) == []


def test_a_correction_waits_for_a_run_that_comes_later() -> None:
    with sync_loop("a") as loop:
        for n in range(2):
            loop.feedback(Feedback("correction", correction=SAID, run_id=f"r-{n}"))
        assert _repeats(loop) == ()
        for n in range(2):
            loop.record(Run("a", "op", run_id=f"r-{n}", agent_id="x"))
        assert [(r.agent, r.n) for r in _repeats(loop)] == [("x", 2)]


def test_a_correction_that_names_what_is_no_run_waits_like_one_that_names_nothing_known() -> None:
    with sync_loop("a") as loop:
        d = loop.decide("x")
        loop.feedback(Feedback("correction", correction=SAID, run_id=d.decision_id))
        assert _repeats(loop) == ()
        assert len(_noted(loop)) == 1


def test_several_processes_count_each_correction_once(tmp_path: Path) -> None:
    """S4.20: several instances on one store."""
    url, clock = f"sqlite:///{tmp_path}/hive.db", FakeClock()
    with sync_loop("a", store=url, clock=clock) as one, sync_loop("a", store=url, clock=clock) as other:
        _correct(one)
        for loop in (one, other):
            _correct(loop, idempotency_key="same")  # the same feedback, delivered to two processes
        _correct(other)
        assert [r.n for r in _repeats(one)] == [3] == [r.n for r in _repeats(other)]
    with sync_loop("a", store=url, clock=clock) as again:  # a restart adds nothing
        assert [r.n for r in _repeats(again)] == [3]


def test_a_loop_with_threads_notes_them_too(tmp_path: Path) -> None:
    with live_loop("a", store=f"sqlite:///{tmp_path}/hive.db") as loop:
        for n in range(3):
            loop.record(Run("a", "op", agent_id="x", trace_id=f"t-{n}"))
            loop.feedback(Feedback("correction", correction=SAID, trace_id=f"t-{n}"))
        assert [(r.agent, r.n) for r in _repeats(loop)] == [("x", 3)]


def test_what_is_too_old_counts_no_longer_and_is_removed_by_the_upkeep() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock, retain_events_s=1000.0) as loop:
        _correct(loop)
        clock.advance(900.0)
        _correct(loop)
        assert [r.n for r in _repeats(loop)] == [2]
        clock.advance(200.0)
        assert _repeats(loop) == ()
        loop.turn()
        assert len(_noted(loop)) == 1


def test_a_record_that_cannot_be_read_counts_for_nothing() -> None:
    with sync_loop("a") as loop:
        loop.store.state.put(Record(CORRECTION, "foreign", b"{"))
        for _ in range(2):
            _correct(loop)
        assert [r.n for r in _repeats(loop)] == [2]


def test_a_flood_of_corrections_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback.recording.incoming.corrections._A_DAY", 2)
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        for n in range(5):
            _correct(loop, f"number {n}")
        assert len(_noted(loop)) == 2
        assert loop.counters["correction_not_noted"] == 3
        clock.advance(86400.0)
        _correct(loop, "another day")
        assert len(_noted(loop)) == 3


@pytest.mark.parametrize("text", ["", "  ", "...", "\n\t"])
def test_a_correction_without_words_is_none(text: str) -> None:
    with sync_loop("a") as loop:
        _correct(loop, text)
        assert _noted(loop) == []
    assert Corrections.__doc__

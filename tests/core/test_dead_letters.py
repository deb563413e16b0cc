"""What could not be taken in is kept with its reason, tried again once, and never hurts the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.errors import ClosedError, UnknownNameError
from hivefeedback.hooks import Record
from hivefeedback.model import DEAD_LETTER, DEAD_LETTER_KEPT_S, DeadLetter, Event
from hivefeedback.recording import Counters, Letters, letter_key, why_refused
from hivefeedback.testing import FakeClock
from tests.core.faulty import FaultyStores
from tests.core.loops import live_loop, sync_loop, until


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hive.db'}"


def causes(loop: FeedbackLoop) -> list[tuple[str, str]]:
    return [(letter.cause, letter.kind) for letter in loop.dead_letters()]


def only(loop: FeedbackLoop) -> DeadLetter:
    (letter,) = loop.dead_letters()
    return letter


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (Run(""), "run without deployment"),
        (Feedback(rating=0.0), "0.0 is not between 1 and 5"),
        (Feedback(rating=6.0), "6.0 is not between 1 and 5"),
        (Feedback("helpful", 1.5), "'helpful' is 1.5; expected a number in [0, 1]"),
        (Feedback("helpful", float("nan")), "'helpful' is nan"),
        (Feedback("helpful", "very"), "'helpful' is 'very'"),  # type: ignore[arg-type]  # that is the point
        (Feedback("helpful", 1 << 80), "expected a number in [0, 1]"),
        (Feedback("helpful", [[object()]]), "expected a number in [0, 1]"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_what_is_refused_is_a_dead_letter_with_the_reason(thing: Run | Feedback, reason: str) -> None:
    """S4.2: a dead-letter queue with reason."""
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        _tell(loop, thing)
        letter = only(loop)
        assert (letter.cause, letter.kind, letter.at_s) == ("refused", type(thing).__name__.lower(), clock())
        assert reason in letter.reason
        retried = loop.retry_dead_letter(letter.letter_id)
        assert not retried.is_done
        assert retried.reason.startswith("still refused: ")
        assert only(loop) == letter


def _tell(loop: FeedbackLoop, thing: Run | Feedback) -> None:
    if isinstance(thing, Run):
        loop.record(thing)
    else:
        loop.feedback(thing)


def test_a_letter_holds_no_more_than_the_log_would_keep() -> None:
    run = Run("", "x", input="secret", output="secret", reference="secret", user_id="ann", attributes={"k": "secret"})
    with sync_loop(store_content=True) as loop:
        loop.record(run)
        loop.feedback(Feedback(rating=9.0, comment="c" * 5000, session_id="s" * 5000))
        kept, said = loop.dead_letters()
    assert kept.body is not None
    assert said.body is not None
    assert "secret" not in str(kept.body)
    assert "ann" not in str(kept.body)
    assert len(said.body["comment"]) <= 512
    assert len(said.body["session_id"]) <= 512


def test_what_a_newer_version_accepts_is_taken_in_by_a_retry_and_counts_once() -> None:
    """The letter is made up here: the version that refused it was another one."""
    letter = DeadLetter(
        letter_id="p-1-1",
        at_s=1.0,
        cause="refused",
        kind="run",
        reason="old",
        body={"deployment": "a", "operation": "x"},
    )
    with sync_loop() as loop:
        _put(loop, letter)
        assert loop.retry_dead_letter("p-1-1").is_done
        assert loop.dead_letters() == []
        _put(loop, letter)  # as if two processes had tried at once
        assert loop.retry_dead_letter("p-1-1").is_done
        assert [row.n_runs for row in loop.stats()] == [1]


def _put(loop: FeedbackLoop, letter: DeadLetter) -> None:

    loop.store.state.put(Record(DEAD_LETTER, letter_key(letter.letter_id), msgspec.json.encode(letter)))


def test_what_is_good_is_no_letter() -> None:
    assert why_refused(Run("a"), 1.0) is None
    with sync_loop() as loop:
        loop.record(Run("a", "x", run_id="r"))
        loop.feedback(Feedback("helpful", 1.0, run_id="r"))
        loop.record(Run("a", "x", run_id="r"))  # a repeat is counted, and nothing is lost by it
        loop.record(Run("a", "x", duration_s=-1.0))  # its field is dropped, the run is taken in
        assert loop.dead_letters() == []


def test_a_thing_that_is_no_run_is_told_by_its_number() -> None:
    with sync_loop() as loop:
        loop.record("not a run")  # type: ignore[arg-type]  # that is the point
        loop.record(Run("a", "x"))
        (letter,) = until(loop.dead_letters)
    assert (letter.cause, letter.kind, letter.n_events) == ("lost", "bad_item", 1)


# --- unmatched ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run_id", "trace_id", "decision_id", "response_id"])
def test_feedback_whose_run_never_comes_is_a_dead_letter_after_the_horizon(name: str) -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, judgement_horizon_s=600.0) as loop:
        loop.feedback(Feedback("helpful", 1.0, comment="so good", **{name: "gone"}))  # type: ignore[arg-type]  # text fields
        clock.advance(599.0)
        loop.record(Run("a", "x"))
        assert loop.dead_letters() == []
        clock.advance(2.0)
        loop.record(Run("a", "x"))
        letter = only(loop)
        assert (letter.cause, letter.reason) == ("unmatched", "its run did not come within 600 s")
        assert letter.body is not None
        assert "comment" not in letter.body  # it is in the log
        assert loop.retry_dead_letter(letter.letter_id).reason == "its run is still not known"


def test_feedback_whose_run_comes_in_time_is_none() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, judgement_horizon_s=600.0) as loop:
        loop.feedback(Feedback("helpful", 1.0, run_id="late"))
        clock.advance(300.0)
        loop.record(Run("a", "x", run_id="late"))
        clock.advance(600.0)
        loop.record(Run("a", "x"))
        assert loop.dead_letters() == []


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [
        (Feedback("helpful", 1.0), "names no run"),
        (Feedback("helpful", 1.0, session_id="nobody"), "no run of its session"),
    ],
)
def test_feedback_that_can_find_no_run_is_one_at_once(feedback: Feedback, reason: str) -> None:
    with sync_loop() as loop:
        loop.feedback(feedback)
        assert reason in only(loop).reason


@pytest.mark.parametrize("feedback", [Feedback("helpful", 1.0, deployment="a"), Feedback("helpful", 1.0, agent_id="p")])
def test_feedback_for_a_deployment_or_an_agent_counts_in_analysis_and_is_none(feedback: Feedback) -> None:
    with sync_loop() as loop:
        loop.feedback(feedback)
        assert loop.dead_letters() == []


@pytest.mark.parametrize("is_live", [False, True])
def test_a_retry_after_the_run_came_in_elsewhere_counts_once(url: str, is_live: bool) -> None:
    """S4.2: retry feeds it back through the normal door, idempotent; across processes and restarts."""
    with sync_loop(store=url) as loop:
        loop.feedback(Feedback("helpful", 0.25, run_id="r", comment="so so"))
    with sync_loop(store=url) as loop:
        assert only(loop).reason == "its run had not come when the process ended"
        loop.record(Run("a", "x", run_id="r"))
        loop.record(Run("a", "x"))
        assert loop.stats(window_s=1e9)[0].n_judged == 0
    with (live_loop if is_live else sync_loop)(store=url) as loop:
        letter = only(loop)
        assert loop.retry_dead_letter(letter.letter_id).is_done
        row = loop.stats(window_s=1e9)[0]
        assert (row.n_runs, row.n_judged, row.quality) == (2, 1, 0.25)
        with pytest.raises(UnknownNameError):
            loop.retry_dead_letter(letter.letter_id)
        _put(loop, letter)
        assert loop.retry_dead_letter(letter.letter_id).is_done
        row = loop.stats(window_s=1e9)[0]
        assert (row.n_judged, row.quality) == (1, 0.25)
        assert loop.dead_letters() == []


# --- subscribers ----------------------------------------------------------------------------------


def test_what_a_subscriber_failed_on_is_retried_by_the_process_that_has_it(url: str) -> None:
    """S4.2: a subscriber that failed on an event three times; its letter names event, subscriber, error."""
    told: list[str] = []

    def fail(event: Event) -> None:
        raise OSError("the queue is down")

    with sync_loop(store=url) as loop:
        loop.subscribe(fail, kinds=("run",), name="export")
        run_id = loop.record(Run("a", "x"))
        letter = only(loop)
        assert (letter.event_id, letter.subscriber, letter.reason) == (run_id, "export", "OSError: the queue is down")
        assert "it fails still: OSError" in loop.retry_dead_letter(letter.letter_id).reason
    with sync_loop(store=url) as loop:
        assert "no subscriber 'export' in this process" in loop.retry_dead_letter(letter.letter_id).reason
        loop.subscribe(lambda event: told.append(event.event_id), kinds=("run",), name="export")
        assert loop.retry_dead_letter(letter.letter_id).is_done
        assert told == [run_id]
        assert loop.dead_letters() == []


def test_what_fails_while_the_loop_closes_is_kept_too(url: str) -> None:
    def fail(event: Event) -> None:
        raise ValueError("no")

    loop = live_loop(store=url)
    loop.subscribe(fail, kinds=("run",))
    loop.record(Run("a", "x"))
    loop.close()
    with sync_loop(store=url) as later:
        assert causes(later) == [("subscriber", "run")]


# --- lost -----------------------------------------------------------------------------------------


def test_what_a_full_ring_drops_is_one_letter_with_the_number() -> None:
    faulty = FaultyStores()
    with live_loop(store="faulty://ring", plugins=[faulty], ring_size=16) as loop:
        for _ in range(20_000):
            loop.record(Run("a", "x"))
        loop.flush(20.0)
        until(lambda: loop.counters["events_dropped"])
        lost = until(lambda: [x for x in loop.dead_letters() if x.kind == "events_dropped"])
        assert sum(x.n_events for x in lost) == loop.counters["events_dropped"]
        assert "nothing is left" in loop.retry_dead_letter(lost[0].letter_id).reason


def test_what_a_store_that_is_gone_could_not_take_is_told_when_it_is_back() -> None:
    faulty = FaultyStores()
    with live_loop(store="faulty://gone", plugins=[faulty], pending_commits=100) as loop:
        faulty.faults.gone("commit")
        for _ in range(20):
            for _ in range(50):
                loop.record(Run("a", "x"))
            loop.flush(0.05)
        until(lambda: loop.counters["events_uncommitted"])
        faulty.faults.back()
        loop.record(Run("a", "x"))
        lost = until(lambda: [x for x in loop.dead_letters() if x.kind == "events_uncommitted"])
    assert sum(x.n_events for x in lost) > 100


# --- bounds ---------------------------------------------------------------------------------------


def test_a_flood_of_bad_items_is_no_flood_of_letters() -> None:
    """C16: bounded; what is left out is counted."""
    with live_loop() as loop:
        for _ in range(20_000):
            loop.feedback(Feedback(rating=9.0))
            if len(loop._ring) > 10_000:
                loop.flush()
        assert loop.flush(30.0)
        letters = [x for x in loop.dead_letters() if x.cause == "refused"]
        assert 0 < len(letters) <= 1000
        assert loop.counters["bad_rating"] == 20_000
        assert loop.counters["dead_letters_left_out"] > 10_000


def test_a_process_has_a_thousand_places_and_the_newest_letters_keep_them() -> None:
    letters, places = _letters(FakeClock()), {}
    for _ in range(1200):
        letters.refuse(Run(""), "bad")
        places.update({record.key: record for record in letters.take()})
    assert len(places) == 1000


def test_of_all_processes_together_the_newest_ten_thousand_are_kept() -> None:
    with sync_loop() as loop:
        for i in range(10_003):
            loop.store.state.put(Record(DEAD_LETTER, f"p-{i:05d}", b"{}", expires_at_s=4e9 + i))
        loop.record(Run("a", "x"))  # with its first run a process looks after what others left
        assert [r.key for r in loop.store.state.list(DEAD_LETTER)][:2] == ["p-00003", "p-00004"]


def test_letters_expire_after_thirty_days() -> None:
    letters = _letters(FakeClock(5.0), now_s=1000.0)
    letters.refuse(Run(""), "bad")
    (record,) = letters.take()
    assert record.expires_at_s == 1000.0 + DEAD_LETTER_KEPT_S == 1000.0 + 30 * 86400.0


def test_one_commit_takes_twenty_and_the_last_takes_all() -> None:
    letters = _letters(FakeClock())
    for _ in range(150):
        letters.refuse(Run(""), "bad")
    assert len(letters.take()) == 20
    assert len(letters.take(is_final=True)) == 80


def _letters(clock: FakeClock, now_s: float = 0.0) -> Letters:
    return Letters("p", 1, Counters(), clock=clock, horizon_s=60.0, now=lambda: now_s)


def test_a_letter_whose_place_was_taken_is_not_known_any_more() -> None:
    with sync_loop() as loop:
        _put(loop, DeadLetter(letter_id="p-1-1001", at_s=1.0, cause="lost", kind="x", reason="new"))
        with pytest.raises(UnknownNameError, match="p-1-1001"):
            loop.retry_dead_letter("p-1-1")
        with pytest.raises(UnknownNameError):
            loop.retry_dead_letter("../x")


def test_a_letter_that_cannot_be_read_hides_none_of_the_others() -> None:
    with sync_loop() as loop:
        loop.store.state.put(Record(DEAD_LETTER, "broken", b"{"))
        loop.record(Run(""))
        assert causes(loop) == [("refused", "run")]


# --- erasing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", [{"session": "s"}, {"deployment": "d"}, {"agent": "g"}, {"session": "s", "agent": "g"}, {"before": 2e9}]
)
def test_an_erasure_takes_letters_about_the_same(what: dict[str, Any]) -> None:
    with sync_loop() as loop:
        loop.feedback(Feedback(rating=9.0, session_id="s", deployment="d", agent_id="g", comment="mine"))
        loop.feedback(Feedback(rating=9.0, session_id="other", deployment="e", agent_id="h"))
        loop.erase(**what)
        left = [(x.body or {}).get("session_id") for x in loop.dead_letters()]
    assert left == ([] if "before" in what else ["other"])


def test_with_the_event_goes_the_letter_that_names_it() -> None:
    def fail(event: Event) -> None:
        raise ValueError("what ann said")

    with sync_loop() as loop:
        loop.subscribe(fail, kinds=("run",))
        loop.record(Run("a", "x", user_id="ann"))
        loop.record(Run("a", "x", user_id="bob"))
        assert len(loop.dead_letters()) == 2
        loop.erase(user="ann")
        assert len(loop.dead_letters()) == 1


def test_a_closed_loop_has_no_letters_to_show() -> None:
    loop = sync_loop()
    loop.close()
    for ask in (loop.dead_letters, loop.system, lambda: loop.retry_dead_letter("x")):
        with pytest.raises(ClosedError):
            ask()

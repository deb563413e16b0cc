"""Whatever comes in, the caller's call goes on, the bad item is counted, nothing good is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivefeedback import FeedbackLoop
from hivefeedback.model import Feedback, Run, decode_event, encode_event
from hivefeedback.model.ids import MAX_ID
from hivefeedback.recording import Counters, Intake, clean_id
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies, events, live_loop, sync_loop

NAN, INF = float("nan"), float("inf")


class Hostile:
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


class HostileMap(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 3


BAD_FIELDS: list[tuple[str, Any, str]] = [
    ("duration_s", NAN, "bad_duration_s"),
    ("duration_s", -1.0, "bad_duration_s"),
    ("duration_s", 1e300, "bad_duration_s"),
    ("duration_s", "fast", "bad_duration_s"),
    ("duration_s", True, "bad_duration_s"),
    ("duration_s", 10**400, "bad_duration_s"),
    ("ttft_s", INF, "bad_ttft_s"),
    ("cost_usd", -0.1, "bad_cost_usd"),
    ("cost_usd", NAN, "bad_cost_usd"),
    ("memory_mb", NAN, "bad_memory_mb"),
    ("tokens_in", -5, "bad_tokens_in"),
    ("tokens_out", "many", "bad_tokens_out"),
    ("tokens_out", 1 << 80, "bad_tokens_out"),
    ("attempt", 0, "bad_attempt"),
    ("attempt", None, "bad_attempt"),
    ("started_at_s", NAN, "bad_started_at"),
    ("started_at_s", 1e18, "bad_started_at"),
    ("started_at_s", "yesterday", "bad_started_at"),
    ("outcome", "great", "bad_outcome"),
    ("outcome", ["ok"], "bad_outcome"),
    ("attributes", ["a"], "bad_attributes"),
    ("attributes", {"a": object()}, "bad_attribute"),
    ("attributes", {"a": NAN}, "bad_attribute"),
    ("attributes", {"a": 10**400}, "bad_attribute"),
    ("attributes", {str(i): i for i in range(100)}, "bad_attribute"),
    ("attributes", HostileMap(), "bad_item"),
    ("deployment", Hostile(), "bad_item"),
    ("session_id", Hostile(), "bad_item"),
    ("deployment", None, "bad_run_without_deployment"),
    ("deployment", "", "bad_run_without_deployment"),
]


def run_with(field: str, value: Any) -> Run:
    values: dict[str, Any] = {"deployment": "a", "operation": "x", "outcome": "ok", "duration_s": 1.0, field: value}
    return Run(**values)


@pytest.mark.parametrize(("field", "value", "counter"), BAD_FIELDS)
def test_a_bad_field_of_a_run_costs_itself_and_is_counted(field: str, value: Any, counter: str) -> None:
    with sync_loop() as loop:
        assert loop.record(run_with(field, value))
        loop.record(Run("b", "x", "ok", 2.0))
        assert loop.counters[counter] >= 1
        assert {r.deployment for r in bodies(loop, Run)} >= {"b"}
        assert loop.stats(by=())[0].n_runs >= 1


@pytest.mark.parametrize(
    "field", ["operation", "session_id", "user_id", "agent_id", "trace_id", "attributes", "error", "decision_id"]
)
def test_none_in_place_of_an_empty_field_is_an_empty_field(field: str) -> None:
    with sync_loop() as loop:
        loop.record(run_with(field, None))
        (event,) = [e for e in events(loop) if isinstance(e.body, Run)]
        assert not getattr(event.body, field)
        assert decode_event(encode_event(event)) == event


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    with sync_loop() as loop:
        loop.record(Run("a", "x", "ok", np.float64(0.5), cost_usd=np.float64(0.1)))
        (run,) = bodies(loop, Run)
        assert (run.duration_s, type(run.duration_s), run.cost_usd) == (0.5, float, 0.1)


def test_all_bad_items_together_cost_no_good_one_in_the_same_slice() -> None:
    with live_loop() as loop:
        for field, value, _ in BAD_FIELDS:
            loop.record(run_with(field, value))
            loop.record(Run("b", "y"))
            loop.feedback(Feedback(Hostile(), Hostile()))  # type: ignore[arg-type]  # wrong on purpose
            loop.record(Hostile())  # type: ignore[arg-type]  # wrong on purpose
            loop.feedback("nonsense")  # type: ignore[arg-type]  # wrong on purpose
        assert loop.flush(20.0)
        assert loop.stats(operation="y")[0].n_runs == len(BAD_FIELDS)
        assert loop.counters["bad_item"] > 0
        assert loop.counters["recorder_errors"] == 0


@pytest.mark.parametrize("thing", [None, 5, "run", [], object(), Hostile()])
def test_something_that_is_no_run_is_counted_and_record_answers_a_text(thing: Any) -> None:
    with sync_loop() as loop:
        assert loop.record(thing) == ""
        assert loop.record(Run("a", "x"))
        assert loop.stats()[0].n_runs == 1


@pytest.mark.parametrize(
    "feedback",
    [
        Feedback("rating", NAN),
        Feedback("rating", 1.5),
        Feedback("rating", -0.1),
        Feedback("rating", "good"),  # type: ignore[arg-type]  # wrong on purpose
        Feedback("rating"),
        Feedback(rating=0),
        Feedback(rating=6),
        Feedback(rating=NAN),
        Feedback(rating="5"),  # type: ignore[arg-type]  # wrong on purpose
        Feedback(rating=True),
    ],
)
def test_feedback_that_says_nothing_usable_is_counted(feedback: Feedback) -> None:
    with sync_loop() as loop:
        loop.feedback(feedback)
        assert loop.counters["bad_feedback_value"] + loop.counters["bad_rating"] == 1
        assert bodies(loop, Feedback) == []


def test_feedback_without_value_rating_and_comment_is_told_to_lack_them(caplog: pytest.LogCaptureFixture) -> None:
    with sync_loop() as loop:
        loop.feedback(Feedback(run_id=loop.record(Run("a", "x"))))
    assert "'rating' has neither a value, a rating nor a comment" in caplog.text


@pytest.mark.parametrize("rating", [1, 2, 3, 4, 5, 2.5])
def test_ratings_are_stored_from_zero_to_one(rating: float) -> None:
    with sync_loop() as loop:
        loop.feedback(Feedback(rating=rating))
        assert bodies(loop, Feedback)[0].value == (rating - 1) / 4


def test_feedback_with_fields_of_wrong_types_can_be_read_back() -> None:
    wrong: dict[str, Any] = dict.fromkeys(
        ("name", "comment", "correction", "source", "run_id", "trace_id", "session_id", "agent_id", "deployment")
    )
    with sync_loop() as loop:
        loop.feedback(Feedback(**{**wrong, "value": 1, "rating": "5"}))
        loop.feedback(Feedback(**{**wrong, "value": True, "idempotency_key": 5, "comment": b"x"}))
        found = [e for e in events(loop) if isinstance(e.body, Feedback)]
        assert [decode_event(encode_event(e)) for e in found] == found
        assert [f.name for f in bodies(loop, Feedback)] == ["rating"] * 2


def test_a_comment_of_ten_megabytes_is_cut_and_counted() -> None:
    with sync_loop() as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback("helpful", 1.0, comment="ü" * 5_000_000, correction="y" * 10_000_000, run_id=run_id))
        (stored,) = bodies(loop, Feedback)
        assert len(stored.comment.encode()) <= 16_384
        assert len(stored.correction) == 16_384
        assert loop.counters["comment_cut"] == 2
        assert loop.stats()[0].quality == 1.0


@given(st.text(alphabet=st.characters(), max_size=40), st.integers(0, 3))
def test_ids_of_any_script_become_valid_text_and_stay_the_same_when_cleaned_again(text: str, times: int) -> None:
    long = text * 40**times
    clean = clean_id(long)
    assert len(clean) <= MAX_ID
    assert clean.encode().decode() == clean
    assert clean_id(clean) == clean


def test_long_ids_that_differ_at_the_end_stay_different() -> None:
    assert clean_id("x" * 9999 + "a") != clean_id("x" * 9999 + "b")


@pytest.mark.parametrize("run_id", ["ü" * 10_000, "\ud800", "日本語", "x" * 10_000_000, "a/b:c\n'\"", 7])
def test_feedback_finds_its_run_by_an_id_of_any_length_and_script(run_id: Any) -> None:
    with sync_loop() as loop:
        loop.record(Run("a", "x", run_id=run_id))
        loop.feedback(Feedback("helpful", 0.5, run_id=run_id))
        assert loop.stats()[0].quality == 0.5
        assert all(decode_event(encode_event(e)) == e for e in events(loop))


def test_a_run_id_that_was_recorded_already_counts_once() -> None:
    with sync_loop() as loop:
        for _ in range(3):
            loop.record(Run("a", "x", run_id="same"))
        assert loop.stats()[0].n_runs == 1
        assert loop.counters["duplicate_run"] == 2
        assert len(bodies(loop, Run)) == 1


def test_a_clock_that_jumps_loses_nothing() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        for jump in (0.0, 86_400.0, -2 * 86_400.0, 5.0, 400 * 86_400.0, -400 * 86_400.0):
            clock.advance(jump)
            loop.decide("x", session_id="s")
            loop.record(Run("a", "x", "ok", 1.0))
            loop.feedback(Feedback("helpful", 1.0))
        assert len(bodies(loop, Run)) == 6
        assert sum(r.n_runs for r in loop.stats(window_s=900 * 86_400.0)) >= 1
        assert loop.counters["bad_item"] == 0


def test_contents_that_are_no_text_can_be_read_back_where_they_are_stored() -> None:
    with sync_loop(store_content=True) as loop:
        loop.record(Run("a", "x", input=5, output=b"raw", reference="\ud800"))  # type: ignore[arg-type]  # wrong on purpose
        loop.record(Run("a", "x", input="in", output="out"))
        found = [e for e in events(loop) if isinstance(e.body, Run)]
        assert [decode_event(encode_event(e)) for e in found] == found
        assert (found[1].body.input, found[1].body.output) == ("in", "out")  # type: ignore[union-attr]  # a Run


def test_user_ids_are_stored_only_as_hmac_alike_for_alike() -> None:
    def stored(loop: FeedbackLoop) -> list[str]:
        for user in ("ann@example.org", "ann@example.org", "bob", "日本"):
            loop.record(Run("a", "x", user_id=user))
        assert all(b"ann@" not in encode_event(e) for e in events(loop))
        return [r.user_id for r in bodies(loop, Run)]

    with sync_loop() as one, sync_loop() as two:
        first, second = stored(one), stored(two)
    assert first[0] == first[1] != first[2]
    assert all(len(h) == 32 for h in first)
    assert set(first).isdisjoint(second)  # each store has a key of its own


def test_an_intake_leaves_a_clean_run_as_it_is() -> None:
    intake = Intake(Counters(), user_key=b"k", max_comment_bytes=100)
    run = Run("a", "x", "ok", 0.5, tokens_in=3, cost_usd=0.25, started_at_s=5.0)
    assert intake.run(run, 10.0) is run


def test_long_ids_are_kept_short_in_memory_and_still_join() -> None:
    long = "s" * 100_000
    with sync_loop() as loop:
        first = loop.decide("x" * 100_000, session_id=long)
        assert loop.decide("x" * 100_000, session_id=long).deployment == first.deployment
        assert first.session_id == clean_id(long)
        loop.record(Run("a", decision_id=first.decision_id, session_id=str(first.session_id)))
        loop.feedback(Feedback("helpful", 0.5, session_id=long))
        (row,) = loop.stats(by=("operation",))
        assert (row.operation, row.quality) == (clean_id("x" * 100_000), 0.5)
        engine = loop._engine
        assert engine is not None
        assert len(engine.live.snapshot.offers) == 0

"""``loop.log_run()``: queries as LLMHive told them."""

from __future__ import annotations

import pytest

from hivefeedback import FeedbackLoop, Run
from hivefeedback.model import Feedback
from hivefeedback.queries import query_runs
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S
from tests.core.loops import bodies, sync_loop


@pytest.fixture
def loop() -> FeedbackLoop:
    return sync_loop("gpt-4o-mini", "claude-3-haiku", clock=FakeClock(NOW_S))


def test_a_query_is_a_root_run_with_one_run_per_model_below_it(loop: FeedbackLoop) -> None:
    """S1.8, C25: the call of the source; flag and latency are stored once, at the root."""
    root_id = loop.log_run(
        models_used=["gpt-4o-mini", "claude-3-haiku"], success_flag=True, latency_ms=1250.0, domain="medical"
    )
    below, root = bodies(loop, Run)[:-1], bodies(loop, Run)[-1]
    assert [(r.deployment, r.kind, r.parent_id, r.duration_s) for r in below] == [
        ("gpt-4o-mini", "llm", root_id, None),
        ("claude-3-haiku", "llm", root_id, None),
    ]
    assert (root.run_id, root.kind, root.parent_id, root.duration_s) == (root_id, "agent", "", 1.25)
    assert {r.operation for r in (*below, root)} == {"text-to-text/medical"}
    assert {r.trace_id for r in (*below, root)} == {root_id}
    (said,) = bodies(loop, Feedback)
    assert (said.name, said.value, said.trace_id) == ("success", 1.0, root_id)


def test_each_model_used_counts_one_call_and_no_latency_of_the_query(loop: FeedbackLoop) -> None:
    """S1.8, C25: a query of one failed model must not fail the other."""
    loop.log_run(["gpt-4o-mini", "claude-3-haiku"], False, 1250.0, "medical")
    rows = {row.deployment: row for row in loop.stats()}
    assert set(rows) == {"gpt-4o-mini", "claude-3-haiku"}
    assert {(row.n_runs, row.success_rate, row.mean_duration_s) for row in rows.values()} == {(1, 1.0, None)}


def test_the_flag_is_credited_to_a_model_that_answered_alone(loop: FeedbackLoop) -> None:
    for flag in (True, False, False, False):
        loop.log_run(["gpt-4o-mini"], flag, 800.0, "medical")
    (row,) = loop.stats()
    assert row.reward == pytest.approx(0.25)


def test_a_domain_that_is_a_path_stays_and_none_is_the_conversation_type_alone(loop: FeedbackLoop) -> None:
    """S1.9: statistics per domain."""
    loop.log_run(["gpt-4o-mini"], True, 1.0, "text-to-image/art")
    loop.log_run(["gpt-4o-mini"], True, 1.0)
    loop.log_run(["gpt-4o-mini"], True, 1.0, domain=None)  # type: ignore[arg-type]  # as its source passes it
    assert loop.stats().coverage.n_runs == 3
    assert {row.operation for row in loop.stats(by=("operation",))} == {"text-to-image/art", "text-to-text"}


def test_a_model_named_twice_or_as_one_text_was_used_once() -> None:
    assert len(query_runs("r", ["a", "a"], True, None, "x").runs) == 2
    assert [r.deployment for r in query_runs("r", "openai/gpt-4o", True, None, "x").runs] == ["openai/gpt-4o", "query"]


def test_what_cannot_be_used_is_counted_and_never_raised(loop: FeedbackLoop) -> None:
    assert loop.log_run(None, True, 1.0, "x") == ""  # type: ignore[arg-type]  # wrong on purpose
    assert loop.counters["record_failed"] == 1
    assert loop.log_run(["gpt-4o-mini"], "maybe", float("nan"), "x")  # type: ignore[arg-type]  # wrong on purpose
    assert loop.counters["bad_duration_s"] == 1
    assert loop.counters["bad_feedback_value"] == 1
    assert loop.log_run([], True, 5.0, "x")
    assert loop.stats().coverage.n_runs == 1


def test_in_mode_off_a_query_has_an_id_and_nothing_else() -> None:
    with FeedbackLoop(deployments=["a"], mode="off") as loop:
        assert loop.log_run(["a"], True, 5.0, "x")

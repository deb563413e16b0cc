"""The rankers in a real loop: recorded runs in, ranks, recommendations and assignments out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.errors import ConfigurationError, UnknownNameError
from hivefeedback.testing import FakeClock
from tests.plugins.ranked import near

NAMES = (
    "adaptive",
    "balanced",
    "speed",
    "quality",
    "reliable",
    "cost",
    "accuracy",
    "creativity",
    "continuity",
    "thresholds",
    "load",
)
OPERATION = "text-to-text/medical"
LLAMA, MISTRAL = Deployment("llama3-70b", capability=85.0), Deployment("mistral-7b", capability=88.0)


@pytest.fixture
def loop() -> Iterator[FeedbackLoop]:
    """The source's two examples, with ratings and costs."""
    with FeedbackLoop(store="memory://", deployments=[LLAMA, MISTRAL], clock=FakeClock(), seed=1) as made:
        for i in range(100):
            made.record(Run("llama3-70b", OPERATION, "ok" if i < 99 else "timeout", 0.120, cost_usd=0.002))
            made.record(Run("mistral-7b", OPERATION, "ok" if i < 60 else "model_error", 0.450, cost_usd=0.0015))
        for name, rating in (("llama3-70b", 4.0), ("mistral-7b", 3.0)):
            run_id = made.record(Run(name, OPERATION, "ok", 0.120 if name == "llama3-70b" else 0.450))
            for what in ("rating", "creativity", "accuracy"):
                made.feedback(Feedback(what, rating=rating, run_id=run_id))
        yield made


@pytest.mark.parametrize("by", NAMES)
def test_every_ranker_of_the_sources_answers_in_a_plain_loop(loop: FeedbackLoop, by: str) -> None:
    """S1.11, S2.7, S3.1, S5.5: nothing has to be set up, and every one prefers the sound deployment here."""
    rows = loop.rank(by=by, operation=OPERATION)
    assert [row.deployment for row in rows] == ["llama3-70b", "mistral-7b"]
    assert all(0.0 <= row.score <= 100.0 and row.reason for row in rows)
    assert rows[0].parts["has_performance_data"] == 1.0


def test_the_examples_of_the_source_come_out_of_recorded_runs(loop: FeedbackLoop) -> None:
    """S3.10, S3.8: 100 of 101 and 61 of 101 succeeded; everything else is the formula's."""
    first, last = loop.rank(by="adaptive")
    assert first.score == near(51.0 + 25.0 * 100 / 101 + 13.2)
    assert last.score == near(0.5 * (52.8 + 25.0 * 61 / 101 + 8.25))
    assert (last.parts["penalties"], last.parts["avg_latency_ms"]) == (0.5, near(450.0))
    [record] = loop.assign(["agent_gpu_1"])
    assert (record.model_id, record.performance_adjustment) == ("llama3-70b", near(first.score - 85.0))


@pytest.mark.parametrize("priority", ["speed", "quality", "balanced", "reliable"])
def test_each_priority_recommends(loop: FeedbackLoop, priority: str) -> None:
    """S5.4, S5.5: with the minimum of runs of the question, not of the ranker."""
    assert loop.recommend(priority).deployment == "llama3-70b"
    for name in ("llama3-70b", "mistral-7b"):
        run_id = loop.record(Run(name, "new", "ok", 0.9 if name == "llama3-70b" else 0.1))
        loop.feedback(Feedback("rating", rating=3.0 if name == "llama3-70b" else 5.0, run_id=run_id))
    answer = loop.recommend(priority, min_runs=1, operation="new")
    assert not answer.is_fallback
    assert answer.deployment == ("llama3-70b" if priority == "reliable" else "mistral-7b")


def test_an_unknown_ranker_is_told_with_those_that_there_are(loop: FeedbackLoop) -> None:
    """Bad input: an unknown priority."""
    with pytest.raises(UnknownNameError) as told:
        loop.rank(by="best")
    assert all(repr(name) in str(told.value) for name in ("adaptive", "balanced", "cost"))


def test_options_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.5, S3.4: the threshold by variable; a wrong one stops the loop at start, by name and value."""
    monkeypatch.setenv("HIVEFEEDBACK_THRESHOLDS_ACCURACY_THRESHOLD", "0.4")
    with FeedbackLoop(store="memory://", deployments=[LLAMA, MISTRAL], clock=FakeClock()) as loop:
        for i in range(20):
            loop.record(Run("llama3-70b", OPERATION, "ok" if i < 7 else "timeout", 0.1))
        assert "0.35 < 0.40" in loop.rank(by="thresholds", operation=OPERATION)[-1].reason
    monkeypatch.setenv("HIVEFEEDBACK_ADAPTIVE_CAPABILITY_WEIGHT", "0.9")
    with pytest.raises(ConfigurationError, match=r"adaptive.*capability_weight 0\.9"):
        FeedbackLoop(store="memory://", deployments=[LLAMA], clock=FakeClock())


def test_a_model_that_is_swapped_keeps_the_record_of_its_deployment(loop: FeedbackLoop) -> None:
    """C27: statistics follow the id."""
    before = loop.rank(by="adaptive")[1]
    loop.add_deployment(Deployment("mistral-7b", model="acme/fresh-name", capability=88.0))
    after = loop.rank(by="adaptive")[1]
    assert (after.deployment, after.score) == (before.deployment, before.score)

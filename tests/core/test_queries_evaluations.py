"""What people and scorers said of deployments, what that means, and what could be done."""

from __future__ import annotations

import pytest

from hivefeedback import Feedback, Run
from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.queries import RATINGS, Evaluation, Evaluations, evaluations
from hivefeedback.stats import Judged
from tests.core.asking import basis_of, runs
from tests.core.loops import sync_loop


def _of(found: Evaluations, deployment: str) -> Evaluation:
    rows = [row for row in found if row.deployment == deployment]
    assert len(rows) == 1
    return rows[0]


def test_a_rating_beyond_chance_below_the_others_is_a_weakness_with_a_suggestion() -> None:
    """S2.3 Improvement suggestions and summaries, in words with numbers."""
    low, high = {"relevance": 0.42}, {"relevance": 0.63}
    found = evaluations(basis_of(runs("a", 31, judged=low), runs("b", 40, judged=high)))
    a, b = _of(found, "a"), _of(found, "b")
    (suggestion,) = a.suggestions
    assert suggestion.startswith("relevance of 'a' on 'x' is 0.42 (n 31), 0.21 (")
    assert suggestion.endswith(
        ") below the others: route 'x' to 'b' (0.63), or say in its prompt what belongs into an answer and what "
        "does not"
    )
    assert len(a.weaknesses) == 1
    assert a.strengths == ()
    assert [j.verdict for j in b.judgements] == ["strength"]
    assert "0.21" in b.strengths[0]
    assert b.suggestions == ()


def test_each_judgement_has_its_mean_number_and_interval() -> None:
    found = evaluations(basis_of(runs("a", 30, judged={"accuracy": 0.75, "length": 1.0}), runs("b", 3)))
    a = _of(found, "a")
    assert [(j.name, j.n, j.mean, j.rating) for j in a.judgements] == [
        ("accuracy", 30, 0.75, 4.0),
        ("length", 30, 1.0, None),
    ]
    assert all(j.interval.low < j.mean <= j.interval.high and j.beside is None for j in a.judgements)
    assert (a.n_runs, a.n_judged, a.ratings) == (30, 60, 4.0)
    assert _of(found, "b").judgements == ()


def test_the_five_ratings_are_stored_aggregated_and_summed_up() -> None:
    """S2.6 relevance, accuracy, helpfulness, creativity, overall; C7 from 1 to 5."""
    with sync_loop("a") as loop:
        run_id = loop.record(Run("a", "x"))
        for name, stars in zip(RATINGS, (1, 2, 3, 4, 5), strict=True):
            loop.feedback(Feedback(name, rating=stars, run_id=run_id))
        a = loop.evaluations("a", window_s=3600.0)[0]
        assert [(j.name, j.rating) for j in a.judgements] == [
            ("accuracy", 2.0),
            ("creativity", 4.0),
            ("helpfulness", 3.0),
            ("overall", 5.0),
            ("relevance", 1.0),
        ]
        assert a.ratings == 3.0
        assert loop.view(3600.0).totals("deployment")[("a",)].judged["reward"] == Judged(1, 5000, 25_000_000)


def test_low_stars_are_a_weakness_also_of_a_single_deployment() -> None:
    a = _of(evaluations(basis_of(runs("a", 20, judged={"overall": 0.3}))), "a")
    assert a.weaknesses == ("overall of 'a' on 'x' is 0.30 (n 20), 2.20 of 5 stars, below 3.5",)
    assert a.suggestions[0].endswith(": read its newest low ratings, and try another version of its prompt")
    assert _of(evaluations(basis_of(runs("a", 20, judged={"overall": 0.8}))), "a").weaknesses == ()


def test_what_people_are_content_with_is_a_threshold_of_the_settings() -> None:
    strict = {"satisfaction": {"rating": {"warning_threshold": 4.5, "critical_threshold": 2.5}}}
    for thresholds, expected in ((None, 0), (strict, 1)):
        with sync_loop("a", thresholds=thresholds) as loop:
            for _ in range(20):
                loop.feedback(Feedback("overall", 0.75, run_id=loop.record(Run("a", "x"))))
            (row,) = loop.evaluations()
            assert len(row.weaknesses) == expected
            assert all("below 4.5" in words for words in row.weaknesses)


def test_many_complaints_are_a_weakness_and_few_a_strength() -> None:
    often = [*runs("a", 50, judged={"complaint": 1.0}), *runs("a", 50, judged={"complaint": 0.0}, at_s=1_699_990_000.0)]
    seldom = [*runs("b", 2, judged={"complaint": 1.0}), *runs("b", 98, judged={"complaint": 0.0}, at_s=1_699_990_000.0)]
    found = evaluations(basis_of(often, seldom))
    assert "complaint of 'a' on 'x' is 0.50" in _of(found, "a").weaknesses[0]
    assert len(_of(found, "b").strengths) == 1


def test_a_difference_that_may_be_chance_is_neither() -> None:
    found = evaluations(basis_of(runs("a", 6, judged={"relevance": 0.7}), runs("b", 6, judged={"relevance": 0.75})))
    assert [j.verdict for row in found for j in row.judgements] == ["", ""]


def test_deployments_are_compared_on_the_same_operation_only() -> None:
    """One that is given harder work is not worse."""
    easy, hard = runs("a", 40, judged={"accuracy": 0.95}), runs("b", 40, operation="y", judged={"accuracy": 0.7})
    found = evaluations(basis_of(easy, hard))
    assert all(j.beside is None and j.verdict == "" for row in found for j in row.judgements)


def test_one_deployment_or_operation_can_be_asked_for() -> None:
    basis = basis_of(
        runs("a", 30, judged={"accuracy": 0.9}),
        runs("b", 30, judged={"accuracy": 0.3}),
        runs("b", 30, operation="y/z", judged={"accuracy": 0.3}),
    )
    found = evaluations(basis, deployment="b", operation="x")
    assert [(row.deployment, row.operation, row.judgements[0].verdict) for row in found] == [("b", "x", "weakness")]
    assert found.coverage.n_runs == 30
    assert [row.operation for row in evaluations(basis, operation="y")] == ["y/z"]
    with pytest.raises(UnknownNameError, match="nobody"):
        evaluations(basis, deployment="nobody")
    with pytest.raises(InvalidInputError, match="min_judgements"):
        evaluations(basis, min_judgements=-1)


def test_an_empty_window_has_no_evaluations() -> None:
    assert len(evaluations(basis_of())) == 0


def test_rewards_are_no_judgement_of_their_own() -> None:
    assert _of(evaluations(basis_of(runs("a", 9, judged={"reward": 1.0, "query": 1.0}))), "a").judgements == ()

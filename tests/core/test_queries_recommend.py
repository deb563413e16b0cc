"""``loop.recommend()``: which deployment to use, and why not the others."""

from __future__ import annotations

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.hooks import Ranker
from hivefeedback.model import Feedback
from hivefeedback.queries import Recommendation, Shut, recommend
from tests.core.asking import NOW_S, RANKERS, GivenRanker, basis_of, runs
from tests.core.loops import sync_loop

BY_NAME = [GivenRanker("balanced", {"a": 80.0, "b": 60.0, "c": 40.0})]
SHUT = Shut(failures=3, until_s=NOW_S + 3600.0)


def out(found: Recommendation) -> dict[str, str]:
    return {left.deployment: left.reason for left in found.left_out}


def test_the_first_of_the_ranker_is_chosen_with_its_alternatives() -> None:
    """S5.4: recommend_model(priority, available_models, duration_hours, min_operations)."""
    found = recommend(basis_of(runs("a", 12), runs("b", 12), rankers=BY_NAME))
    assert (found.deployment, found.score, found.is_fallback) == ("a", 80.0, False)
    assert [(r.place, r.deployment, r.score) for r in found.alternatives] == [(2, "b", 60.0)]
    assert found.reason == "'a' is first by balanced with 80.0, before 'b' with 60.0: as given"
    assert (found.left_out, found.coverage.n_runs) == ((), 24)


@pytest.mark.parametrize(
    ("priority", "chosen"), [("speed", "fast"), ("quality", "good"), ("reliable", "sure"), ("balanced", "sure")]
)
def test_each_priority_of_the_source_prefers_what_it_is_about(priority: str, chosen: str) -> None:
    """S5.5: speed lowest time, quality highest mean, reliable highest success, balanced 30/40/30."""
    with sync_loop("fast", "good", "sure", allow=RANKERS) as loop:
        for i in range(100):
            for name, duration_s, rating, fails in (("fast", 0.1, 3, 5), ("good", 0.9, 5, 8), ("sure", 0.2, 4.5, 0)):
                run_id = loop.record(Run(name, "x", "model_error" if i < fails else "ok", duration_s))
                loop.feedback(Feedback(run_id=run_id, rating=rating))
        found = loop.recommend(priority)
        assert found.deployment == chosen
        assert (found.priority, found.is_fallback, len(found.alternatives)) == (priority, False, 2)
        assert chosen in found.reason


def test_who_has_too_few_runs_is_not_ranked() -> None:
    """S5.4: min_operations."""
    basis = basis_of(runs("a", 9), runs("b", 10), rankers=BY_NAME)
    found = recommend(basis)
    assert (found.deployment, found.is_fallback) == ("b", False)
    assert out(found) == {"a": "too few runs: 9 of 10"}
    assert "only candidate with enough runs" in found.reason
    assert recommend(basis, min_runs=9).deployment == "a"


def test_a_smaller_minimum_is_one_for_the_ranker_too() -> None:
    with sync_loop("a", "b", allow=RANKERS) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "ok", 0.4))
            loop.record(Run("b", "x", "ok", 0.1))
        found = loop.recommend("speed", min_runs=3)
        assert (found.deployment, found.is_fallback) == ("b", False)
        assert found.score is not None
        assert found.score > 50.0


def test_declared_capability_is_the_fallback_where_nobody_has_enough_runs() -> None:
    """S5.8: fallback recommendations, told as such."""
    deployments = [Deployment("a", capability=60.0), Deployment("b", capability=90.0)]
    found = recommend(basis_of(runs("a", 9), deployments=deployments, rankers=BY_NAME))
    assert (found.deployment, found.score, found.is_fallback, found.alternatives) == ("b", None, True, ())
    assert found.reason == (
        "no candidate has 10 runs in the window, so declared capability decides: 'b' with 90 and 0 runs"
    )
    assert set(out(found)) == {"a", "b"}
    equal = recommend(basis_of(runs("b", 2), rankers=BY_NAME))
    assert equal.deployment == "b"  # equal capability: the one that has run more


def test_who_does_not_fit_into_the_memory_is_out() -> None:
    """S5.8: select_best_model(priority, available_vram_gb); who declares no need has none."""
    deployments = [Deployment("a", vram_gb=24.0), Deployment("b", vram_gb=8.0), Deployment("c")]
    basis = basis_of(runs("a", 20), runs("b", 20), runs("c", 20), deployments=deployments, rankers=BY_NAME)
    assert recommend(basis).deployment == "a"
    found = recommend(basis, available_vram_gb=8.0)
    assert found.deployment == "b"
    assert out(found) == {"a": "does not fit: needs 24 GB of 8 GB"}
    assert recommend(basis, available_vram_gb=0).deployment == "c"


def test_nothing_is_chosen_where_nothing_fits() -> None:
    found = recommend(
        basis_of(runs("a", 20), deployments=[Deployment("a", vram_gb=24.0)], rankers=BY_NAME), available_vram_gb=4.0
    )
    assert (found.deployment, found.is_fallback, found.reason) == (None, True, "no candidate fits into the memory")
    nobody = recommend(basis_of(deployments=[], rankers=BY_NAME))
    assert (nobody.deployment, nobody.reason) == (
        None,
        "there is nobody to choose from; add a deployment, or name candidates",
    )


def test_who_is_blacklisted_is_out_unless_all_are() -> None:
    """S2.9: a blacklisted model is not chosen; the last one left is."""
    seen = (runs("a", 20), runs("b", 20))
    found = recommend(basis_of(*seen, rankers=BY_NAME, shut={"a": SHUT}))
    assert found.deployment == "b"
    assert out(found) == {"a": "blacklisted after 3 failures in a row"}
    both = recommend(basis_of(*seen, rankers=BY_NAME, shut={"a": SHUT, "b": SHUT}))
    assert both.deployment == "a"
    assert both.reason.endswith("; all candidates are blacklisted, so the blacklist is ignored")


def test_only_the_given_candidates_and_the_operation_count() -> None:
    basis = basis_of(
        runs("a", 20, operation="x/y"), runs("b", 20), runs("c", 20), deployments=["a", "b", "c"], rankers=BY_NAME
    )
    assert recommend(basis, candidates=["c", "b"]).deployment == "b"
    assert recommend(basis, operation="x/y").deployment == "a"
    assert recommend(basis, operation="x/y", candidates=["b"]).is_fallback


def test_one_deployment_is_recommended_with_itself_alone() -> None:
    found = recommend(basis_of(runs("a", 20), deployments=["a"], rankers=BY_NAME))
    assert (found.deployment, found.alternatives) == ("a", ())


@pytest.mark.parametrize("rankers", [BY_NAME, [GivenRanker("speed", {})]])
def test_an_unknown_priority_is_told_even_where_nobody_could_be_ranked(rankers: list[Ranker]) -> None:
    with pytest.raises(UnknownNameError, match=r"ranker 'cheapness' is not known; known: '(balanced|speed)'"):
        recommend(basis_of(deployments=[], rankers=rankers), priority="cheapness")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_runs", -1),
        ("min_runs", 1.5),
        ("min_runs", True),
        ("available_vram_gb", -1.0),
        ("available_vram_gb", float("nan")),
        ("available_vram_gb", float("inf")),
        ("available_vram_gb", "8"),
        ("operation", 7),
        ("candidates", "a"),
        ("candidates", ["nobody"]),
        ("candidates", [["a"]]),
        ("candidates", 5),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, value: object) -> None:
    arguments = {name: value}
    with pytest.raises(InvalidInputError, match="deployment" if name == "candidates" else name):
        recommend(basis_of(runs("a", 20), rankers=BY_NAME), **arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_in_mode_off_the_highest_capability_is_recommended() -> None:
    """The switch that stops everything must not stop the host that asks."""
    with FeedbackLoop(deployments=[Deployment("a"), Deployment("b", capability=70.0)], mode="off") as loop:
        found = loop.recommend(candidates=["a", "b"])
        assert (found.deployment, found.is_fallback) == ("b", True)

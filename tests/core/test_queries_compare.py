"""``loop.compare()``: deployments side by side, and which differences are more than chance."""

from __future__ import annotations

import pytest

from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.model import Deployment
from hivefeedback.queries import compare
from tests.core.asking import GivenRanker, basis_of, runs

UNICODE = "anbieter/größe-ü/模型"


def test_each_ranking_names_the_best_and_the_order() -> None:
    """S5.3: fastest, best overall, most reliable and the others, as the compare answer of Task 44 names them."""
    found = compare(
        basis_of(
            runs("a", 100, failed=1, duration_s=0.2, cost_usd=0.01, judged={"rating": 0.8}),
            runs("b", 100, failed=20, duration_s=0.1, cost_usd=0.02, judged={"rating": 0.9}),
            rankers=[GivenRanker("balanced", {"a": 90.0, "b": 40.0})],
        )
    )
    best = {name: ranking.model for name, ranking in found.rankings.items()}
    assert best == {
        "fastest": "b",
        "most_reliable": "a",
        "best_quality": "b",
        "cheapest": "a",
        "best_overall": "a",
    }
    assert found.rankings["fastest"].order == ("b", "a")
    assert found.rankings["fastest"].value == pytest.approx(0.1)
    assert found.rankings["best_overall"].value == 90.0
    assert [(row.deployment, row.n_runs, row.score) for row in found] == [("a", 100, 90.0), ("b", 100, 40.0)]
    assert found[0].values["success_rate"] == 0.99
    assert found[0].intervals["success_rate"].low == pytest.approx(0.9455, abs=1e-4)
    assert (found.coverage.n_runs, found.coverage.resolution_s) == (200, 60)


def test_a_difference_is_significant_only_where_chance_does_not_explain_it() -> None:
    """S5.3, S4.3: 99 of 100 against 80 of 100 is more than chance; 10 of 10 against 9 of 10 is not."""
    clear = compare(basis_of(runs("a", 100, failed=1), runs("b", 100, failed=20))).rankings["most_reliable"]
    assert clear.is_significant
    assert clear.p_value is not None
    assert clear.p_value < 0.001
    assert clear.difference is not None
    assert clear.difference.estimate == pytest.approx(-0.19)
    assert clear.difference.low < clear.difference.estimate < clear.difference.high < 0
    few = compare(basis_of(runs("a", 10), runs("b", 10, failed=1))).rankings["most_reliable"]
    assert not few.is_significant
    assert few.p_value is not None
    assert few.p_value > 0.05


def test_all_comparisons_of_an_answer_are_adjusted_together() -> None:
    """A p-value grows with the number of metrics that are looked at."""
    one = compare(basis_of(runs("a", 60, failed=1, duration_s=None), runs("b", 60, failed=8, duration_s=None)))
    judged = {"rating": 0.5}
    two = compare(
        basis_of(
            runs("a", 60, failed=1, duration_s=None, judged=judged),
            runs("b", 60, failed=8, duration_s=None, judged=judged),
        )
    )
    alone, among = one.rankings["most_reliable"].p_value, two.rankings["most_reliable"].p_value
    assert alone is not None
    assert among == pytest.approx(2 * alone)


def test_means_of_fewer_than_ten_runs_are_ordered_but_not_tested() -> None:
    found = compare(basis_of(runs("a", 5, duration_s=0.1), runs("b", 5, duration_s=9.0)))
    fastest = found.rankings["fastest"]
    assert (fastest.deployment, fastest.p_value, fastest.is_significant) == ("a", None, False)
    assert "mean_duration_s" not in found[0].intervals


def test_the_default_is_everybody_in_service_or_seen() -> None:
    found = compare(basis_of(runs("seen", 3), deployments=["idle"]))
    assert [(row.deployment, row.n_runs) for row in found] == [("idle", 0), ("seen", 3)]
    assert found[0].values == {}
    assert found.rankings["most_reliable"].order == ("seen",)
    assert not found.rankings["most_reliable"].is_significant


def test_only_the_named_ones_are_compared_each_once() -> None:
    basis = basis_of(runs("a", 3), runs("b", 3), runs("c", 3), deployments=["a", "b", "c"])
    found = compare(basis, deployments=["b", "a", "b"])
    assert [row.deployment for row in found] == ["b", "a"]
    assert found.coverage.n_runs == 6


def test_an_operation_takes_in_those_below_it() -> None:
    basis = basis_of(runs("a", 3, operation="x/y"), runs("a", 4, operation="x"), runs("a", 5, operation="xy"))
    assert compare(basis, operation="x")[0].n_runs == 7
    assert compare(basis, operation="x/y")[0].n_runs == 3


def test_names_with_slashes_and_any_letters_are_names() -> None:
    found = compare(basis_of(runs(UNICODE, 12, failed=1), runs("a", 12), deployments=[UNICODE]), deployments=[UNICODE])
    assert [(row.deployment, row.n_runs) for row in found] == [(UNICODE, 12)]


def test_an_empty_window_has_rows_without_values_and_no_rankings() -> None:
    found = compare(basis_of(deployments=["a"]))
    assert [(row.n_runs, dict(row.values)) for row in found] == [(0, {})]
    assert dict(found.rankings) == {}
    assert (found.coverage.n_runs, found.coverage.resolution_s) == (0, 0)
    assert len(compare(basis_of(deployments=[]))) == 0


def test_who_is_not_known_is_told_with_those_who_are() -> None:
    with pytest.raises(UnknownNameError, match=r"deployment 'nobody' is not known; known: 'a', 'b', 'seen'"):
        compare(basis_of(runs("seen", 1)), deployments=["a", "nobody"])
    with pytest.raises(InvalidInputError, match="expected a list of ids"):
        compare(basis_of(), deployments="a")


def test_a_query_level_accuracy_is_compared_beside_the_success_of_calls() -> None:
    """S1.10: accuracy of queries, success rate of calls."""
    found = compare(basis_of(runs("a", 20, judged={"query": 0.0}), runs("b", 20, failed=2, judged={"query": 1.0})))
    assert found.rankings["most_reliable"].deployment == "a"
    assert found.rankings["most_accurate"].deployment == "b"
    assert "best_quality" not in found.rankings  # what is said of queries is no quality of a run


def test_capability_and_price_of_what_is_declared_change_nothing_in_a_comparison() -> None:
    plain = compare(basis_of(runs("a", 12), deployments=["a"]))
    declared = compare(basis_of(runs("a", 12), deployments=[Deployment("a", capability=99.0)]))
    assert plain == declared

"""A success that costs more than before, and money that buys nothing, are found beyond chance."""

from __future__ import annotations

from typing import Any

import pytest

from hivefeedback.model import Finding
from hivefeedback_analyzers import CostAnalyzer, CostOptions
from hivefeedback_analyzers.odds import ratio_of
from tests.plugins.analyzed import HOUR, findings, runs


def _found(*parts: Any, **options: Any) -> dict[str, Finding]:
    return findings(CostAnalyzer(), *parts, options=CostOptions(**options))


def _before(usd: float = 0.01, **more: Any) -> Any:
    return runs(300, usd=usd, from_s=-3 * HOUR, over_s=3 * HOUR, **more)


def test_nothing_is_said_where_nobody_tells_costs() -> None:
    assert _found() == {}
    assert _found(_before(), runs(5, usd=1.0)) == {}
    assert _found(runs(500), runs(500, "b")) == {}
    assert _found(runs(500, usd=0.0), runs(500, "b", usd=0.0)) == {}


def test_a_rise_of_the_price_is_found_with_its_interval() -> None:
    found = _found(_before(), runs(200, usd=0.015))["cost:rise:a:qa"]
    assert found.kind == "cost"
    assert found.after is not None
    assert found.after.low < 1.5 < found.after.high
    assert found.after.low > 1.3
    assert found.p_value is not None
    assert found.p_value <= 0.001


def test_failures_make_successes_dearer_at_the_same_price() -> None:
    assert "cost:rise:a:qa" in _found(_before(), runs(200, usd=0.01, bad=0.4))


def test_a_small_rise_is_not_worth_a_word_and_a_fall_is_no_finding() -> None:
    assert _found(_before(), runs(2000, usd=0.0115)) == {}
    assert _found(_before(), runs(200, usd=0.005)) == {}


def test_a_deployment_that_is_dearer_and_no_better_is_found() -> None:
    found = _found(runs(300, usd=0.03, reward=0.8), runs(300, "b", usd=0.01, reward=0.8))
    assert set(found) == {"cost:excess:a:qa"}
    assert "3.0 times that of 'b'" in found["cost:excess:a:qa"].message
    assert "no better: quality" in found["cost:excess:a:qa"].message


def test_a_deployment_that_is_dearer_and_better_is_worth_it() -> None:
    assert _found(runs(300, usd=0.03, reward=0.9), runs(300, "b", usd=0.01, reward=0.6)) == {}


def test_a_deployment_of_which_little_is_known_may_be_worth_it() -> None:
    """That it is no better has to be proven too."""
    assert _found(runs(35, usd=0.03, bad=0.2), runs(300, "b", usd=0.01, bad=0.2)) == {}


def test_a_deployment_that_hardly_serves_is_not_worth_a_word() -> None:
    assert _found(runs(40, usd=0.03, reward=0.8), runs(3000, "b", usd=0.01, reward=0.8)) == {}


def test_other_operations_have_other_prices() -> None:
    assert _found(runs(300, usd=0.03, reward=0.8), runs(300, "b", "code", usd=0.01, reward=0.8)) == {}


def test_a_deployment_that_never_succeeds_breaks_nothing() -> None:
    assert _found(_before(bad=1.0), runs(200, usd=0.02, bad=1.0), runs(200, "b", usd=0.01)) == {}


def test_the_interval_of_a_ratio_is_that_of_its_logarithm() -> None:
    """Two means with a relative standard error of 5 % each: exp(1.96 * 0.0707) = 1.1487."""
    ratio = ratio_of((1.0, 0.05**2), (2.0, 0.05**2))
    assert ratio is not None
    assert ratio.interval.high == pytest.approx(2.0 * 1.14868, rel=1e-4)
    assert ratio.interval.low == pytest.approx(2.0 / 1.14868, rel=1e-4)
    assert ratio_of((0.0, 0.0), (1.0, 0.0)) is None


@pytest.mark.parametrize(
    "options",
    [{"min_rise": 0.0}, {"min_excess": -1.0}, {"margin": 0.0}, {"min_runs": 1}, {"alpha": 1.0}, {"min_share": 1.0}],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        CostOptions(**options)

"""``loop.insights()``: warnings that few runs do not raise, remarks, and what money buys."""

from __future__ import annotations

import random

import pytest

from hivefeedback import Run
from hivefeedback.queries import InsightLimits, Insights, Shut, insights
from hivefeedback.queries.cells import cells_of
from hivefeedback.queries.declines import declines
from hivefeedback.stats import Cell, CellKey, Slice, View
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S, basis_of, runs
from tests.core.loops import sync_loop


def kinds(found: Insights) -> list[tuple[str, str, str]]:
    return [(i.kind, i.severity, i.deployment) for i in found.warnings]


def test_a_low_success_rate_is_a_warning_only_where_its_interval_is_low() -> None:
    """S5.8: insights and warnings; S3.4: 90 %; S4.9: 15 % errors."""
    healthy = insights(basis_of(runs("a", 100, failed=5)))
    assert kinds(healthy) == []
    unlucky = insights(basis_of(runs("a", 20, failed=4)))  # 80 %, but 95 % of such samples reach up to 92 %
    assert kinds(unlucky) == []
    low = insights(basis_of(runs("a", 400, failed=56)))
    assert kinds(low) == [("errors", "warning", "a")]
    assert low.warnings[0].message == "'a' succeeds in 86.0% of 400 runs (95 %: 82.3% to 89.1%), below 90%"
    bad = insights(basis_of(runs("a", 100, failed=40)))
    assert kinds(bad) == [("errors", "critical", "a")]
    assert bad.warnings[0].numbers["limit"] == 0.85


@pytest.mark.parametrize(
    ("duration_s", "expected"), [(1.4, []), (1.6, [("slow", "warning", "a")]), (3.2, [("slow", "critical", "a")])]
)
def test_slowness_has_the_ladder_of_the_source(duration_s: float, expected: list[tuple[str, str, str]]) -> None:
    """S4.17, C29: 1500 and 3000 ms."""
    assert kinds(insights(basis_of(runs("a", 30, duration_s=duration_s)))) == expected


@pytest.mark.parametrize(
    ("rating", "expected"), [(4, []), (3, [("low_rating", "warning", "a")]), (2, [("low_rating", "critical", "a")])]
)
def test_ratings_have_the_ladder_of_the_source(rating: int, expected: list[tuple[str, str, str]]) -> None:
    """S4.17: 3.5 and 2.5 of 5."""
    found = insights(basis_of(runs("a", 10, judged={"rating": (rating - 1) / 4})))
    assert kinds(found) == expected
    if expected:
        assert found.warnings[0].message.startswith(f"'a' is rated {rating:.2f} of 5 by 10 ratings")


def test_the_form_of_five_ratings_is_heard_by_its_overall() -> None:
    """S2.6."""
    form = dict.fromkeys(("relevance", "accuracy", "helpfulness", "creativity", "overall"), 0.25)
    found = insights(basis_of(runs("a", 10, judged=form)))
    assert kinds(found) == [("low_rating", "critical", "a")]
    assert found.warnings[0].message.startswith("'a' is rated 2.00 of 5 by 10 ratings")


def test_nobody_is_called_the_best_where_all_are_alike() -> None:
    assert not insights(basis_of(runs("a", 30), runs("b", 30))).remarks


def test_limits_can_be_given() -> None:
    found = insights(basis_of(runs("a", 30, duration_s=0.3)), limits=InsightLimits(slow_s=0.1, critical_slow_s=0.2))
    assert kinds(found) == [("slow", "critical", "a")]


def test_the_gravest_comes_first_and_few_runs_are_a_remark() -> None:
    found = insights(
        basis_of(runs("a", 30, duration_s=2.0), runs("b", 50, failed=40), runs("c", 3, failed=3), deployments=["d"])
    )
    assert kinds(found) == [("errors", "critical", "b"), ("slow", "warning", "a")]
    remarks = {(i.kind, i.deployment) for i in found.remarks}
    assert {("too_few_runs", "c"), ("unused", "d"), ("best", "a"), ("best", "b")} == remarks
    assert len(list(found)) == 6


def test_a_fall_in_the_last_hour_is_a_warning_where_chance_does_not_explain_it() -> None:
    """S5.13, S5.8: degradation is told, for all deployments together at 5 %."""
    before, now = NOW_S - 5 * 3600.0, NOW_S - 600.0
    basis = basis_of(
        runs("a", 400, failed=8, at_s=before),
        runs("a", 60, failed=12, at_s=now),
        runs("b", 400, failed=8, at_s=before),
        runs("b", 60, failed=2, at_s=now),
        runs("c", 5, at_s=before),
        runs("c", 60, failed=5, at_s=now),
        runs("d", 400, failed=80, at_s=before),
        runs("d", 60, at_s=now),
    )
    (declined,) = [i for i in insights(basis).warnings if i.kind == "declined"]
    assert declined.deployment == "a"
    assert declined.message.startswith(
        "'a' succeeded in 80.0% of 60 runs in the last 60 minutes, 18.0% less than before (95 %: "
    )
    assert declined.numbers["change"] == pytest.approx(-0.18)
    assert declined.numbers["p_value"] < 1e-6


def test_healthy_deployments_are_seldom_told_to_have_declined() -> None:
    """S4.3: about one in twenty answers about 20 healthy deployments names any of them, at most."""
    rng = random.Random(5)
    n_alarms = 0
    for _ in range(400):
        slices = tuple(
            Slice(start_s, 60, CellKey(f"m{i}", "x"), Cell(outcomes={"ok": n - bad, "timeout": bad}))
            for i in range(20)
            for n, start_s in ((120, int(NOW_S) - 18_000), (30, int(NOW_S) - 600))
            for bad in [_failed(rng, n)]
        )
        view = View(asked_from_s=NOW_S - 86400.0, asked_to_s=NOW_S, slices=slices)
        n_alarms += bool(declines(view, cells_of(view), None, min_runs=10))
    assert n_alarms <= 32  # 20 on average at most; more than 32 would happen once in 300


def _failed(rng: random.Random, n: int) -> int:
    return sum(rng.random() < 0.1 for _ in range(n))


def test_who_is_blacklisted_is_a_warning() -> None:
    """S2.9, S5.8."""
    found = insights(basis_of(runs("a", 3), shut={"a": Shut(failures=4, until_s=NOW_S)}))
    assert kinds(found) == [("blacklisted", "warning", "a")]
    assert found.warnings[0].message == "'a' gets no calls after 4 failures in a row"


def test_what_money_buys_is_told_with_its_interval() -> None:
    """S5.13: cost-benefit."""
    found = insights(
        basis_of(
            runs("dear", 200, failed=10, cost_usd=0.02),
            runs("cheap", 200, failed=16, cost_usd=0.005),
            runs("waste", 200, failed=40, cost_usd=0.01),
            runs("free", 200),
            deployments=[],
        )
    )
    by_name = {c.deployment: c for c in found.cost_benefit}
    assert [c.deployment for c in found.cost_benefit] == ["cheap", "waste", "dear"]
    cheap = by_name["cheap"]
    assert cheap.cost_per_success_usd == pytest.approx(0.005 / 0.92)
    assert (cheap.compared_to, cheap.is_efficient) == ("dear", True)
    assert cheap.saved == pytest.approx(0.75)
    assert cheap.gained is not None
    assert cheap.gained.estimate == pytest.approx(-0.03)
    assert cheap.gained.low < -0.03 < cheap.gained.high
    assert cheap.message.startswith("'cheap' costs 0.005 USD per run and earns 92.0%: 75% cheaper than 'dear', -3.0%")
    assert not by_name["waste"].is_efficient
    assert "more for no more money" in by_name["waste"].message
    assert (by_name["dear"].gained, by_name["dear"].compared_to) == (None, "")


def test_without_costs_or_with_free_models_nothing_is_divided_by_zero() -> None:
    assert insights(basis_of(runs("a", 20))).cost_benefit == ()
    free = insights(basis_of(runs("a", 20, cost_usd=0.0), runs("b", 20, failed=20, cost_usd=0.0))).cost_benefit
    assert [(c.deployment, c.cost_per_success_usd, c.saved) for c in free] == [("a", 0.0, 0.0), ("b", None, 0.0)]


def test_an_empty_window_has_nothing_to_say() -> None:
    found = insights(basis_of())
    assert (found.warnings, found.remarks, found.cost_benefit, found.coverage.n_runs) == ((), (), (), 0)


def test_the_loop_asks_about_its_own_window_and_breakers() -> None:
    clock = FakeClock(NOW_S)
    with sync_loop("a", "b", clock=clock) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        assert [i.kind for i in loop.insights().warnings] == ["blacklisted"]
        assert loop.insights(operation="y").coverage.n_runs == 0

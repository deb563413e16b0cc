"""Healthy traffic gives rise to hardly a finding: at most as often as alpha says, in all that is compared.

Traffic lies exactly at its limits, the case where a finding is false and nearest. p-values of findings are
adjusted, so those at most alpha are what an analyzer with that alpha tells. Measured with 2 x 250 turns
(numbers: python -m tests.plugins.test_analyzers_healthy).
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from hivefeedback.hooks import Plugin
from hivefeedback_analyzers import (
    CostAnalyzer,
    CostOptions,
    DissatisfactionAnalyzer,
    DissatisfactionOptions,
    ImbalanceAnalyzer,
    ImbalanceOptions,
    TargetsAnalyzer,
    TargetsOptions,
    UnderuseAnalyzer,
    UnderuseOptions,
)
from tests.plugins.healthy import CONFIG, turns

LOOSE: Final = 0.05
"""An alpha at which a wrong test would show at once."""
STATED: Final = 0.001
"""The default of all of them."""


def _analyzers() -> dict[str, Plugin]:
    options: dict[type[Plugin], object] = {
        CostAnalyzer: CostOptions(alpha=LOOSE, min_rise=0.01, min_excess=0.01, margin=0.001),
        DissatisfactionAnalyzer: DissatisfactionOptions(alpha=LOOSE, warn_rating=4.5, critical_rating=4.5),
        ImbalanceAnalyzer: ImbalanceOptions(alpha=LOOSE, min_gap=0.01, margin=0.2, min_overload=0.001),
        TargetsAnalyzer: TargetsOptions(
            alpha=LOOSE, success_rate=0.95, rating=4.5, response_time_change=1e-9, cost_change=1e-9
        ),
        UnderuseAnalyzer: UnderuseOptions(alpha=LOOSE, max_share=0.4, min_gain=0.001),
    }
    made = {cls.name: cls() for cls in options}
    for plugin, given in zip(made.values(), options.values(), strict=True):
        plugin.configure(given)
    return made


def false_turns(n: int, seed: int) -> dict[str, Counter[float]]:
    """By analyzer: turns with a finding at each alpha."""
    analyzers = _analyzers()
    found: dict[str, Counter[float]] = {name: Counter({LOOSE: 0, STATED: 0}) for name in analyzers}
    for view, now_s in turns(n, seed=seed):
        for name, analyzer in analyzers.items():
            p_values = [f.p_value for f in analyzer.hive_analyze(view, CONFIG, now_s)]
            for alpha in (LOOSE, STATED):
                found[name][alpha] += any(p is None or p <= alpha for p in p_values)
    return found


@pytest.fixture(scope="module")
def measured() -> tuple[int, dict[str, Counter[float]]]:
    n, total = 250, dict[str, Counter[float]]()
    for seed in (1, 2):
        for name, counts in false_turns(n, seed).items():
            total.setdefault(name, Counter()).update(counts)
    return 2 * n, total


@pytest.mark.parametrize("name", sorted(_analyzers()))
def test_findings_about_healthy_traffic_are_no_more_frequent_than_alpha(
    measured: tuple[int, dict[str, Counter[float]]], name: str
) -> None:
    """S4.3 Significance, with multiple testing controlled over all that an analyzer compares."""
    n, found = measured
    print(f"{name}: {found[name][LOOSE]} of {n} turns at {LOOSE}, {found[name][STATED]} at {STATED}")
    assert found[name][LOOSE] <= LOOSE * n
    assert found[name][STATED] <= STATED * n


if __name__ == "__main__":
    for one, counted in false_turns(2000, 3).items():
        print(one, {alpha: k / 2000 for alpha, k in counted.items()})

"""Who did worse in the last hour than before, in one look at a window."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from hivefeedback.queries.cells import cells_of
from hivefeedback.queries.insight import Insight
from hivefeedback.stats import Cell, Difference, View, adjusted_p_values, rate_difference

__all__ = ["declines"]

_HOUR_S = 3600.0
_ALPHA = 0.05


def declines(view: View, cells: Mapping[str, Cell], operation: str | None, *, min_runs: int) -> list[Insight]:
    """A warning for each deployment whose success fell by more than chance.

    The last hour (of a window up to two hours, its second half) is compared with what was before; the
    p-values are adjusted for the number of deployments (Benjamini and Hochberg), so that at most one
    in twenty of those that are reported is chance. What is to be acted on is looked for by the turn.

    Args:
        view: The window.
        cells: Its cells by deployment.
        operation: Only this operation and those below it.
        min_runs: Runs that both parts need.
    """
    length_s = min(_HOUR_S, (view.asked_to_s - view.asked_from_s) / 2)
    recent = cells_of(view.between(view.asked_to_s - length_s, inf), operation)
    tested = {name: _fall(cells[name], now) for name, now in recent.items() if name in cells}
    known = {
        name: (fall, recent[name])
        for name, fall in tested.items()
        if recent[name].n_runs >= min_runs and cells[name].n_runs - recent[name].n_runs >= min_runs
    }
    p_values = adjusted_p_values([fall.p_value for fall, _ in known.values()])
    return [
        _insight(name, fall, now, p_value, length_s)
        for (name, (fall, now)), p_value in zip(known.items(), p_values, strict=True)
        if p_value <= _ALPHA and fall.interval.estimate < 0
    ]


def _fall(whole: Cell, recent: Cell) -> Difference:
    """Success in the recent part less that before; late corrections may have reached only one of the two."""
    n_before = max(0, whole.n_runs - recent.n_runs)
    before = min(n_before, max(0, whole.successes - recent.successes))
    return rate_difference(before, n_before, recent.successes, recent.n_runs)


def _insight(name: str, fall: Difference, now: Cell, p_value: float, length_s: float) -> Insight:
    rate, i = now.successes / now.n_runs, fall.interval
    return Insight(
        kind="declined",
        severity="warning",
        deployment=name,
        message=(
            f"{name!r} succeeded in {rate:.1%} of {now.n_runs} runs in the last {length_s / 60:.0f} minutes, "
            f"{-i.estimate:.1%} less than before (95 %: {-i.high:.1%} to {-i.low:.1%}, p {p_value:.2g})"
        ),
        numbers={"success_rate": rate, "change": i.estimate, "low": i.low, "high": i.high, "p_value": p_value},
    )

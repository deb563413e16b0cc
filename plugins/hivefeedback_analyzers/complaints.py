"""Whether users complain more than before: the rule of five complaints in ten minutes.

The number alone grows with the traffic, so it alarms busy systems for nothing; it counts here only
where there are also more complaints per run than before, unless the number alone is asked for.
"""

from __future__ import annotations

from math import sqrt

from hivefeedback.model import Interval
from hivefeedback.stats import JUDGED_UNIT, Cell, Judged, View
from hivefeedback_analyzers.limits import Broken
from hivefeedback_analyzers.odds import more_p

__all__ = ["complaint_surge"]

_MIN_BEFORE = 100
"""Runs before, below which nothing is known of what is usual, so that the number alone counts."""


def complaint_surge(view: View, *, now_s: float, window_s: float, most: int, is_count_enough: bool) -> Broken | None:
    """More complaints than ``most`` in the last ``window_s`` seconds, of whatever deployment.

    Buckets are a minute wide, so the window reaches back up to a minute less.
    """
    split = now_s - window_s
    said, n_runs = _said(view.between(split, float("inf")))
    if said <= most:
        return None
    said_before, n_before = _said(view.between(float("-inf"), split))
    p_value = 0.0
    if not is_count_enough and n_before >= _MIN_BEFORE:
        p_value = more_p(said_before, n_before, said, n_runs)
    minutes = window_s / 60.0
    return Broken(
        what="complaints",
        key=("", ""),
        message=f"{said} complaints in {minutes:g} minutes ({n_runs} runs), more than {most}; "
        f"before {said_before} of {n_before} runs",
        severity=0.9,
        after=_interval(said),
        n=n_runs,
        p_value=p_value,
    )


def _said(view: View) -> tuple[int, int]:
    """Runs that were complained of, and all runs; a run is counted once at most."""
    cell = view.totals(bins=False).get((), Cell())
    said = round(cell.judged.get("complaint", Judged()).total / JUDGED_UNIT)
    return said, max(cell.n_runs, said)


def _interval(k: int) -> Interval:
    """95 % of a count of independent events (Wilson's, for rare ones)."""
    z2 = 3.841459
    middle, half = k + z2 / 2, sqrt(z2 * (k + z2 / 4))
    return Interval(estimate=float(k), low=middle - half, high=middle + half)

"""Tells which limits are broken and which targets are missed, beyond chance.

Limits that always hold: mean response above 1500 and 3000 ms, failures above 5, 10 and 15 %, a
95 % quantile of the response above 10 s, more than 5 complaints in 10 minutes. Targets that
somebody set: success, rating, and the change of response time and cost. Rates are held against
limits for each deployment × operation and each deployment, times for each deployment. Options::

    options:
      targets: {success_rate: 0.95, rating: 4.5, response_time_change: -0.2, cost_change: -0.2}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import Cell, View
from hivefeedback_analyzers.check import check_between
from hivefeedback_analyzers.complaints import complaint_surge
from hivefeedback_analyzers.limits import (
    Broken,
    changed_means,
    failing,
    low_ratings,
    low_success,
    slow,
    slow_tail,
)
from hivefeedback_analyzers.odds import adjusted_among
from hivefeedback_analyzers.windows import Key

__all__ = ["TargetsAnalyzer", "TargetsOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsOptions:
    """What is expected of deployments.

    Args:
        warn_response_ms, critical_response_ms: Mean response of successful runs; the documented ladder.
        emergency_response_ms: 95 % quantile of all counted runs.
        error_rates: Rising rates of failures, the last of which asks for action.
        complaints: More than so many in ``complaints_window_s`` ask for action, if they are also more
            per run than before; users of a busy system complain more often.
        complaints_window_s: In seconds.
        is_count_enough: Take the number of complaints alone, as the rule was first written.
        success_rate: Target in (0, 1]; None, as for those that follow: nobody set one.
        rating: Target for ``rating`` and ``overall``, 1–5.
        response_time_change, cost_change: Targets as a part of what was before: −0.2 is a fifth less.
            The recent part of the window is held against the rest of it.
        recent_s: What counts as recent.
        min_runs: Fewest runs (or ratings) that anything is said of.
        alpha: Largest p-value, adjusted for everything that was looked at; small, since the turn looks
            each minute.
    """

    warn_response_ms: float = 1500.0
    critical_response_ms: float = 3000.0
    emergency_response_ms: float = 10_000.0
    error_rates: tuple[float, ...] = (0.05, 0.10, 0.15)
    complaints: int = 5
    complaints_window_s: float = 600.0
    is_count_enough: bool = False
    success_rate: float | None = None
    rating: float | None = None
    response_time_change: float | None = None
    cost_change: float | None = None
    recent_s: float = 3600.0
    min_runs: int = 20
    alpha: float = 0.001

    def __post_init__(self) -> None:
        if not 0 < self.warn_response_ms <= self.critical_response_ms or not self.emergency_response_ms > 0:
            raise ValueError("0 < warn_response_ms <= critical_response_ms and 0 < emergency_response_ms must hold")
        rates = self.error_rates
        if list(rates) != sorted(set(rates)) or not all(0.0 < rate < 1.0 for rate in rates):
            raise ValueError(f"error_rates are {rates}; expected rising rates in (0, 1)")
        if self.success_rate is not None and not 0.0 < self.success_rate <= 1.0:
            raise ValueError(f"success_rate is {self.success_rate}; expected a rate in (0, 1]")
        if self.rating is not None and not 1.0 <= self.rating <= 5.0:
            raise ValueError(f"rating is {self.rating}; expected 1 to 5")
        for name in ("response_time_change", "cost_change"):
            change = getattr(self, name)
            if change is not None and not -1.0 < change <= 10.0:
                raise ValueError(f"{name} is {change}; expected more than -1 (nothing left), such as -0.2")
        if self.min_runs < 1 or self.complaints < 0 or min(self.recent_s, self.complaints_window_s) <= 0:
            raise ValueError("min_runs must be >= 1, complaints >= 0, recent_s and complaints_window_s > 0")
        check_between(alpha=self.alpha)


class TargetsAnalyzer(PluginWithOptions[TargetsOptions]):
    """Holds recent runs against limits and targets."""

    name = "targets"
    Options = TargetsOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """At most one finding for each limit or target and what it is about: of a ladder the highest rung."""
        tested, n_tests = self._tested(view, now_s - self.options.recent_s)
        surge = complaint_surge(
            view,
            now_s=now_s,
            window_s=self.options.complaints_window_s,
            most=self.options.complaints,
            is_count_enough=self.options.is_count_enough,
        )
        if surge is not None:
            tested.append(surge)
        adjusted = adjusted_among([b.p_value for b in tested], n_tests + 1)
        worst: dict[tuple[str, Key], Finding] = {}
        for broken, p_value in zip(tested, adjusted, strict=True):
            known = worst.get((broken.what, broken.key))
            if p_value <= self.options.alpha and (known is None or known.severity < broken.severity):
                worst[broken.what, broken.key] = _finding(view, broken, p_value)
        return [worst[name] for name in sorted(worst)]

    def _tested(self, view: View, recent_from_s: float) -> tuple[list[Broken], int]:
        """What is on the bad side of a limit, and how many comparisons were made in all."""
        o = self.options
        recent = view.between(recent_from_s, float("inf"))
        counts = _counts(recent, o.min_runs)
        timed: dict[Key, Cell] = {
            (d, ""): cell for (d,), cell in recent.totals("deployment").items() if d and cell.n_runs >= o.min_runs
        }
        warn_s, critical_s = o.warn_response_ms / 1000, o.critical_response_ms / 1000
        found = [
            *failing(counts, o.error_rates),
            *slow(timed, ((warn_s, 0.4), (critical_s, 0.7)), min_runs=o.min_runs),
            *slow_tail(timed, o.emergency_response_ms / 1000, min_runs=o.min_runs),
        ]
        n_tests = len(o.error_rates) * len(counts) + 3 * len(timed)
        if o.success_rate is not None:
            found += low_success(counts, o.success_rate)
            n_tests += len(counts)
        if o.rating is not None:
            rated = recent.totals("deployment", "operation", bins=False)
            found += low_ratings(rated, o.rating, min_ratings=max(1, o.min_runs // 2))
            n_tests += 2 * len(rated)
        if o.response_time_change is not None or o.cost_change is not None:
            past = view.between(float("-inf"), recent_from_s).totals("deployment")
            before: dict[Key, Cell] = {(d, ""): cell for (d,), cell in past.items()}
            changes = {"response_time": o.response_time_change, "cost": o.cost_change}
            found += changed_means(before, timed, changes, min_runs=o.min_runs)
            n_tests += 2 * len(timed)
        return found, n_tests


def _counts(view: View, min_runs: int) -> dict[Key, tuple[int, int]]:
    """Runs and successes of each deployment × operation, and of deployments with several operations."""
    single = {key: (n, good) for key, (n, good, *_) in view.tallies("deployment", "operation").items() if key[0]}
    whole: dict[str, list[tuple[int, int]]] = {}
    for (deployment, _), both in single.items():
        whole.setdefault(deployment, []).append(both)
    together: dict[Key, tuple[int, int]] = {
        (d, ""): (sum(n for n, _ in parts), sum(good for _, good in parts))
        for d, parts in whole.items()
        if len(parts) > 1
    }
    return {key: both for key, both in {**single, **together}.items() if both[0] >= min_runs}


def _finding(view: View, broken: Broken, p_value: float) -> Finding:
    deployment, operation = broken.key
    return Finding(
        finding_id=f"targets:{broken.what}:{deployment}:{operation}",
        analyzer="targets",
        kind="targets",
        message=f"{broken.message}, p {p_value:.2g}",
        deployment=deployment,
        operation=operation,
        severity=broken.severity,
        before=broken.before,
        after=broken.after,
        p_value=p_value,
        n_runs=broken.n,
        evidence=view.evidence(deployment, operation, failed_only=broken.what == "errors"),
    )

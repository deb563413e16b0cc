"""Finds deployments whose users are not content.

Ratings and "helpful" votes are held against thresholds (3.5 of 5 warns, 2.5 of 5 is critical) and
against their own past; complaints and corrections against their own past. A finding needs an
interval that lies wholly on the bad side. Options::

    options:
      dissatisfaction: {warn_rating: 3.5, critical_rating: 2.5, min_ratings: 10}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hivefeedback.hooks import Plugin, hookimpl
from hivefeedback.model import Configuration, Finding, Interval
from hivefeedback.stats import (
    JUDGED_UNIT,
    Judged,
    View,
    adjusted_p_values,
    mean_difference,
    mean_interval,
    rate_difference,
    wilson_interval,
)
from hivefeedback_analyzers.heard import Heard, heard
from hivefeedback_analyzers.windows import Key, split_s

__all__ = ["DissatisfactionAnalyzer", "DissatisfactionOptions"]

_VOTES = ("rating", "helpful", "overall", "relevance", "accuracy", "helpfulness")
"""Names whose mean is held against the thresholds; ratings 1–5 are stored as (r − 1)/4."""
_REPROACHES = ("complaint", "correction")
"""Names that count per run."""
_NONE = Judged()


@dataclass(frozen=True, slots=True, kw_only=True)
class DissatisfactionOptions:
    """When discontent is reported.

    Args:
        warn_rating, critical_rating: Thresholds in stars, 1–5, those of the documented ladder.
        recent_s: What counts as recent.
        min_ratings: Fewest ratings; people rate seldom, so fewer than for runs.
        min_runs: Fewest runs on either side for complaints and corrections.
        alpha: Largest adjusted p-value of a change.
    """

    warn_rating: float = 3.5
    critical_rating: float = 2.5
    recent_s: float = 3600.0
    min_ratings: int = 10
    min_runs: int = 20
    alpha: float = 0.001

    def __post_init__(self) -> None:
        if not 1.0 <= self.critical_rating <= self.warn_rating <= 5.0:
            raise ValueError("1 <= critical_rating <= warn_rating <= 5 must hold")


class _Worsening(NamedTuple):
    key: Key
    name: str
    before: Interval
    after: Interval
    n: int
    p_value: float


class DissatisfactionAnalyzer(Plugin):
    """Reads what users say."""

    name = "dissatisfaction"
    Options = DissatisfactionOptions

    def __init__(self) -> None:
        self._options = DissatisfactionOptions()

    def configure(self, options: object) -> None:
        """Take the options."""
        assert isinstance(options, DissatisfactionOptions)
        self._options = options

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """At most one finding for each deployment × operation and name of feedback."""
        split = split_s(view, now_s=now_s, recent_s=self._options.recent_s)
        before = heard(view.between(float("-inf"), split)) if split is not None else {}
        recent = heard(view.between(split, float("inf")) if split is not None else view)
        found = {f.finding_id: f for f in self._worsened(view, before, recent)}
        for key, cell in recent.items():
            for name in _VOTES if cell.judged else ():
                low = self._below(view, key, name, cell.judged.get(name, _NONE))
                if low is not None and low.severity >= _severity_of(found.get(low.finding_id)):
                    found[low.finding_id] = low
        return list(found.values())

    def _below(self, view: View, key: Key, name: str, judged: Judged) -> Finding | None:
        """A finding where the mean is below a threshold, beyond doubt."""
        o = self._options
        if judged.n < o.min_ratings:
            return None
        after = mean_interval(judged)
        for threshold, severity, word in ((o.critical_rating, 1.0, "critical"), (o.warn_rating, 0.6, "warning")):
            if after.high < (threshold - 1) / 4:
                message = (
                    f"{name} of {_who(key)} on {key[1]!r} is {_stars(after.estimate)} (at most {_stars(after.high)}, "
                    f"n {judged.n}), below {threshold:g}: {word}"
                )
                return _finding(view, key, name, message, severity, None, after, None, judged.n)
        return None

    def _worsened(self, view: View, before: dict[Key, Heard], recent: dict[Key, Heard]) -> Iterator[Finding]:
        changes = [c for key, cell in recent.items() if key in before for c in self._changes(key, before[key], cell)]
        adjusted = adjusted_p_values([c.p_value for c in changes])
        for change, p_value in zip(changes, adjusted, strict=True):
            if p_value > self._options.alpha:
                continue
            worse = abs(change.after.estimate - change.before.estimate)
            message = (
                f"{change.name} of {_who(change.key)} on {change.key[1]!r} went from {change.before.estimate:.1%} "
                f"to {change.after.estimate:.1%} (n {change.n}), p {p_value:.2g}"
            )
            severity = min(1.0, 0.4 + worse)
            yield _finding(
                view, change.key, change.name, message, severity, change.before, change.after, p_value, change.n
            )

    def _changes(self, key: Key, before: Heard, after: Heard) -> Iterator[_Worsening]:
        o = self._options
        for name in _VOTES:
            b = after.judged.get(name, _NONE)
            a = before.judged.get(name, _NONE) if b.n >= o.min_ratings else _NONE
            if min(a.n, b.n) >= o.min_ratings and b.total * a.n < a.total * b.n:
                difference = mean_difference(a, b)
                if difference.interval.high < 0:
                    yield _Worsening(key, name, mean_interval(a), mean_interval(b), b.n, difference.p_value)
        for name in _REPROACHES:
            if name in after.judged and min(before.n_runs, after.n_runs) >= o.min_runs:
                (k_1, n_1), (k_2, n_2) = _reproaches(before, name), _reproaches(after, name)
                if k_2 * n_1 <= k_1 * n_2:
                    continue  # not more often than before
                difference = rate_difference(k_1, n_1, k_2, n_2)
                if difference.interval.low > 0:
                    yield _Worsening(
                        key, name, wilson_interval(k_1, n_1), wilson_interval(k_2, n_2), n_2, difference.p_value
                    )


def _reproaches(cell: Heard, name: str) -> tuple[int, int]:
    """Runs that were reproached, and all runs; a run is counted once at most."""
    said = round(cell.judged.get(name, _NONE).total / JUDGED_UNIT)
    return min(said, cell.n_runs), cell.n_runs


def _finding(
    view: View,
    key: Key,
    name: str,
    message: str,
    severity: float,
    before: Interval | None,
    after: Interval,
    p_value: float | None,
    n: int,
) -> Finding:
    return Finding(
        finding_id=f"dissatisfaction:{name}:{key[0]}:{key[1]}",
        analyzer="dissatisfaction",
        kind="dissatisfaction",
        message=message,
        deployment=key[0],
        operation=key[1],
        severity=severity,
        before=before,
        after=after,
        p_value=p_value,
        n_runs=n,
        evidence=view.evidence(key[0], key[1]),
    )


def _who(key: Key) -> str:
    return repr(key[0]) if key[0] else "agents"


def _stars(value: float) -> str:
    return f"{1 + 4 * value:.2f} of 5"


def _severity_of(finding: Finding | None) -> float:
    return finding.severity if finding else 0.0

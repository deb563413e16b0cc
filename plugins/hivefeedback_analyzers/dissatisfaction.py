"""Finds deployments whose users are not content.

Ratings and "helpful" votes are held against thresholds (3.5 of 5 warns, 2.5 of 5 is critical) and
against their own past; complaints, corrections and the tone of comments against their own past.
A finding is more than chance, adjusted for everything that was compared. Options::

    options:
      dissatisfaction: {warn_rating: 3.5, critical_rating: 2.5, min_ratings: 10}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Finding, Interval
from hivefeedback.stats import (
    JUDGED_UNIT,
    Judged,
    View,
    mean_difference,
    mean_interval,
    rate_difference,
    wilson_interval,
)
from hivefeedback_analyzers.heard import Heard, heard
from hivefeedback_analyzers.odds import below_mean_p, more_p
from hivefeedback_analyzers.told import Suspected, told
from hivefeedback_analyzers.windows import Key, split_s

__all__ = ["DissatisfactionAnalyzer", "DissatisfactionOptions"]

_VOTES = ("rating", "helpful", "overall", "relevance", "accuracy", "helpfulness")
"""Names whose mean is held against the thresholds; ratings 1–5 are stored as (r − 1)/4."""
_TONES = ("sentiment",)
"""Names whose mean is held against its past alone: who comments is seldom content, and 0.5 is no bad tone."""
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
        alpha: Largest p-value, adjusted for everything that was compared; small, since the turn looks
            each minute.
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
    name: str
    before: Interval
    after: Interval
    n: int
    p_value: float


class DissatisfactionAnalyzer(PluginWithOptions[DissatisfactionOptions]):
    """Reads what users say."""

    name = "dissatisfaction"
    Options = DissatisfactionOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """At most one finding for each deployment × operation and name of feedback, the gravest."""
        split = split_s(view, now_s=now_s, recent_s=self.options.recent_s)
        before = heard(view.between(float("-inf"), split)) if split is not None else {}
        recent = heard(view.between(split, float("inf")) if split is not None else view)
        low, n_low = self._low(view, recent)
        worse, n_worse = self._worsened(view, before, recent)
        found: dict[str, Finding] = {}
        for finding in told([*worse, *low], n_low + n_worse, self.options.alpha):
            known = found.get(finding.finding_id)
            if known is None or finding.severity >= known.severity:
                found[finding.finding_id] = finding
        return list(found.values())

    def _low(self, view: View, recent: dict[Key, Heard]) -> tuple[list[Suspected], int]:
        """Means below a threshold, and how many were held against one."""
        o, n_tests = self.options, 0
        found: list[Suspected] = []
        for key, cell in recent.items():
            for name in _VOTES:
                judged = cell.judged.get(name)
                if judged is None or judged.n < o.min_ratings:
                    continue
                n_tests += 2
                for threshold, severity, word in (
                    (o.critical_rating, 1.0, "critical"),
                    (o.warn_rating, 0.6, "warning"),
                ):
                    if (judged.mean or 0.0) < (threshold - 1) / 4:
                        after = mean_interval(judged)
                        message = (
                            f"{name} of {_who(key)} on {key[1]!r} is {_stars(after.estimate)} (at most "
                            f"{_stars(after.high)}, n {judged.n}), below {threshold:g}: {word}"
                        )
                        finding = _finding(view, key, name, message, severity, None, after, judged.n)
                        found.append((below_mean_p(judged, (threshold - 1) / 4), finding))
        return found, n_tests

    def _worsened(self, view: View, before: dict[Key, Heard], recent: dict[Key, Heard]) -> tuple[list[Suspected], int]:
        """What is worse than before, and how much was compared."""
        found: list[Suspected] = []
        n_tests = 0
        for key in recent.keys() & before.keys():
            changes, n = self._changes(before[key], recent[key])
            n_tests += n
            for c in changes:
                message = (
                    f"{c.name} of {_who(key)} on {key[1]!r} went from {c.before.estimate:.1%} "
                    f"to {c.after.estimate:.1%} (n {c.n})"
                )
                severity = min(1.0, 0.4 + abs(c.after.estimate - c.before.estimate))
                finding = _finding(view, key, c.name, message, severity, c.before, c.after, c.n)
                found.append((c.p_value, finding))
        return found, n_tests

    def _changes(self, before: Heard, after: Heard) -> tuple[list[_Worsening], int]:
        o, n_tests = self.options, 0
        found: list[_Worsening] = []
        for name in (*_VOTES, *_TONES):
            a, b = before.judged.get(name), after.judged.get(name)
            if a is None or b is None or min(a.n, b.n) < o.min_ratings:
                continue
            n_tests += 1
            difference = mean_difference(a, b)
            if difference.interval.high < 0:
                found.append(_Worsening(name, mean_interval(a), mean_interval(b), b.n, difference.p_value))
        for name in _REPROACHES if min(before.n_runs, after.n_runs) >= o.min_runs else ():
            n_tests += 1
            (k_1, n_1), (k_2, n_2) = _reproaches(before, name), _reproaches(after, name)
            if k_2 * n_1 <= k_1 * n_2:
                continue
            if rate_difference(k_1, n_1, k_2, n_2).interval.low > 0:
                first, second = wilson_interval(k_1, n_1), wilson_interval(k_2, n_2)
                found.append(_Worsening(name, first, second, n_2, more_p(k_1, n_1, k_2, n_2)))
        return found, n_tests


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
        n_runs=n,
        evidence=view.evidence(key[0], key[1]),
    )


def _who(key: Key) -> str:
    return repr(key[0]) if key[0] else "agents"


def _stars(value: float) -> str:
    return f"{1 + 4 * value:.2f} of 5"

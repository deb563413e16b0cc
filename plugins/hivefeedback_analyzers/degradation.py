"""Finds deployments that got worse, and pinned ones that others beat.

Success by outcome and quality by reward are compared between recent runs and those before, for
each deployment × operation and each deployment. No extra is needed. Options::

    options:
      degradation: {recent_s: 3600, alpha: 0.001, min_drop: 0.05}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Finding, is_blamed
from hivefeedback.stats import View, newest_runs
from hivefeedback_analyzers.alternatives import better_alternatives
from hivefeedback_analyzers.changes import Change, Pair, Tested, measures, significant_falls
from hivefeedback_analyzers.windows import Key, comparisons

__all__ = ["DegradationAnalyzer", "DegradationOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationOptions:
    """When a fall is reported.

    Args:
        recent_s: What counts as recent; an hour holds enough runs of most deployments.
        newest: The newest runs that are also compared with the rest; 20 show a collapse at once.
        alpha: Largest p-value, adjusted for everything that was compared; small, since the turn
            looks each minute.
        min_drop: Smallest fall worth a change, in points of a rate in [0, 1].
        min_after, min_before: Fewest runs on either side.
    """

    recent_s: float = 3600.0
    newest: tuple[int, ...] = (20, 50)
    alpha: float = 0.001
    min_drop: float = 0.05
    min_after: int = 10
    min_before: int = 20


class DegradationAnalyzer(PluginWithOptions[DegradationOptions]):
    """Compares recent runs with those before."""

    name = "degradation"
    Options = DegradationOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """One finding for each deployment × operation, and each deployment, that fell."""
        o = self.options
        falls = significant_falls(self._pairs(view, now_s), min_after=o.min_after, min_drop=o.min_drop, alpha=o.alpha)
        worst: dict[Key, tuple[float, Tested]] = {}
        for t, p_value in falls:
            if t.key not in worst or p_value < worst[t.key][0]:
                worst[t.key] = p_value, t
        found = [_finding(view, key, t.change(), p_value) for key, (p_value, t) in sorted(worst.items())]
        found += better_alternatives(view, config, alpha=o.alpha, min_gain=o.min_drop, min_runs=o.min_before)
        return found

    def _pairs(self, view: View, now_s: float) -> list[Pair]:
        """Everything that can be compared."""
        o = self.options
        return [
            Pair(c.key, c.scale, measure, before, after)
            for c in comparisons(view, now_s=now_s, recent_s=o.recent_s, newest=o.newest)
            for measure, before, after in measures(c.before, c.after)
            if before.n >= o.min_before and after.n > 0
        ]


def _finding(view: View, key: Key, change: Change, p_value: float) -> Finding:
    deployment, operation = key
    drop = -change.difference.interval.estimate
    where = f" on {operation!r}" if operation else ""
    message = (
        f"{change.measure} of {deployment!r}{where} fell from {change.before.estimate:.1%} (n {change.n_before}) "
        f"to {change.after.estimate:.1%} (n {change.n_after}); "
        f"the fall is {-change.difference.interval.high:.1%} to {-change.difference.interval.low:.1%}, p {p_value:.2g}"
    )
    return Finding(
        finding_id=f"degradation:{deployment}:{operation}",
        analyzer="degradation",
        kind="degradation",
        message=message,
        deployment=deployment,
        operation=operation,
        severity=min(1.0, 0.3 + 2 * drop),
        before=change.before,
        after=change.after,
        p_value=p_value,
        n_runs=change.n_after,
        evidence=_evidence(view, deployment, operation),
    )


def _evidence(view: View, deployment: str, operation: str) -> tuple[str, ...]:
    """Trace ids of the newest runs that went badly."""
    operations = [o for d, o in view.exemplars if d == deployment and (not operation or o == operation)]
    bad = [
        e
        for o in operations
        for e in newest_runs(view, deployment, o)
        if is_blamed(e.outcome) or (e.reward is not None and e.reward < 0.5)
    ]
    bad.sort(key=lambda e: e.started_at_s, reverse=True)
    return tuple(e.trace_id or e.run_id for e in bad[:16])

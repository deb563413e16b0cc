"""Finds operations whose route binds them to a deployment that another one beats there.

Where the policy chooses freely it finds the better one itself, so nothing is said.
"""

from __future__ import annotations

from hivefeedback.model import Configuration, Finding, Route
from hivefeedback.stats import (
    Difference,
    Judged,
    Sample,
    View,
    adjusted_p_values,
    mean_difference,
    mean_interval,
    newest_runs,
    sample_of,
)

__all__ = ["better_alternatives", "is_binding"]


def is_binding(route: Route, deployment: str, other: str) -> bool:
    """True where a route gives traffic to one deployment and keeps the policy from choosing another."""
    if route.candidates and deployment not in route.candidates:
        return False
    return bool(route.weights) or bool(route.candidates and other not in route.candidates)


def better_alternatives(
    view: View, config: Configuration, *, alpha: float, min_gain: float, min_runs: int
) -> list[Finding]:
    """One finding for each bound (deployment, operation) that another deployment beats on the same operation."""
    pairs: list[tuple[str, str, str, Judged, Judged, Difference]] = []
    routes = {operation: config.route_of(operation) for operation in {o for _, o in view.exemplars}}
    newest = {key: sample_of(newest_runs(view, *key)) for key in view.exemplars if routes[key[1]] is not None}
    for (deployment, operation), mine in newest.items():
        route = routes[operation]
        for other in config.deployments:
            theirs = newest.get((other, operation))
            if other == deployment or theirs is None or route is None or not is_binding(route[1], deployment, other):
                continue
            first, second = _comparable(mine, theirs, min_runs)
            if first.n >= min_runs and second.n >= min_runs:
                pairs.append((deployment, operation, other, first, second, mean_difference(first, second)))
    adjusted = adjusted_p_values([p[-1].p_value for p in pairs])
    best: dict[tuple[str, str], Finding] = {}
    for (deployment, operation, other, first, second, difference), p_value in zip(pairs, adjusted, strict=True):
        gain = difference.interval.estimate
        known = best.get((deployment, operation))
        is_better = p_value <= alpha and difference.interval.low > 0 and gain >= min_gain
        if is_better and (known is None or known.severity < _severity(gain)):
            best[deployment, operation] = Finding(
                finding_id=f"degradation:better_alternative:{deployment}:{operation}",
                analyzer="degradation",
                kind="better_alternative",
                message=f"{other!r} does {gain:.1%} better than {deployment!r} on {operation!r} "
                f"({second.mean or 0:.1%}, n {second.n} against {first.mean or 0:.1%}, n {first.n})",
                deployment=deployment,
                operation=operation,
                severity=_severity(gain),
                before=mean_interval(second),
                after=mean_interval(first),
                p_value=p_value,
                n_runs=first.n,
                evidence=view.evidence(deployment, operation),
            )
    return list(best.values())


def _comparable(mine: Sample, theirs: Sample, min_runs: int) -> tuple[Judged, Judged]:
    """Rewards where both have enough of them, else outcomes."""
    if mine.rewards.n >= min_runs and theirs.rewards.n >= min_runs:
        return mine.rewards, theirs.rewards
    return mine.outcomes, theirs.outcomes


def _severity(gain: float) -> float:
    return min(1.0, 0.2 + gain)

"""Plans ROUTE_CHANGE: an operation that is bound to a deployment that got worse gets better candidates.

Bound means that a route leaves the better deployment out, or fixes the weights. Where the policy
chooses freely nothing is planned: it leaves a bad deployment by itself. Options::

    options:
      route_change_planner: {min_confidence: 0.7, min_gain: 0.05}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Effect, Finding, JsonValue, Mutation, MutationKind, Route, route_value
from hivefeedback.stats import View
from hivefeedback_planners.scene import Scene
from hivefeedback_planners.standing import Better, best_alternative
from hivefeedback_planners.traffic import resources_of_other
from hivefeedback_planners.worth import Worth

__all__ = ["RouteChangeOptions", "RouteChangePlanner"]

KINDS = frozenset({"degradation", "better_alternative", "dissatisfaction"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChangeOptions(Worth):
    """When a change is worth planning."""


class RouteChangePlanner(PluginWithOptions[RouteChangeOptions]):
    """Looks at the routes behind the findings."""

    name = "route_change_planner"
    Options = RouteChangeOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """At most one mutation for each route."""
        planned: dict[str, Mutation] = {}
        scene = Scene(findings, view, config)
        for finding in findings:
            if finding.kind not in KINDS:
                continue
            for target, route, operations in _bound(finding, view, config):
                mutation = self._planned(finding, target, route, operations, scene)
                known = planned.get(target)
                if mutation is not None and (known is None or mutation.priority > known.priority):
                    planned[target] = mutation
        return list(planned.values())

    def _planned(
        self, finding: Finding, target: str, route: Route, operations: set[str], scene: Scene
    ) -> Mutation | None:
        o, view, config, bad = self.options, scene.view, scene.config, scene.bad
        if finding.kind != "better_alternative" and not route.weights and set(route.candidates) - bad:
            return None  # the policy can turn to another candidate of the route
        excluded = bad | (set() if route.weights else set(route.candidates))
        better = best_alternative(view, config, finding.deployment, operations, excluded=excluded, min_runs=o.min_runs)
        if better is None or not o.is_met_by(better):
            return None
        kept: list[JsonValue] = [
            c for c in _served(route) if c not in bad and c not in (finding.deployment, better.deployment)
        ]
        before = route_value(config.routes.get(target))
        weight = scene.weight(
            gain=better.gain, urgency=finding.severity, deployment=finding.deployment, operations=operations
        )
        return Mutation(
            kind=MutationKind.ROUTE_CHANGE,
            target=target,
            to=[better.deployment, *kept],
            from_=before,
            expected_effect=Effect(change=better.gain, low=better.low, high=better.high),
            confidence=better.confidence,
            risk="low" if target and better.scope != "all" else "medium",
            reason=f"{_reason(finding, target, better)}; {weight.reason}",
            finding_id=finding.finding_id,
            evidence=finding.evidence,
            undo=f"route {target!r} as {before!r} again",
            priority=weight.priority,
            planner=self.name,
            resources=resources_of_other(scene.traffic, config, finding.deployment, better.deployment, operations),
        )


def _bound(finding: Finding, view: View, config: Configuration) -> Iterator[tuple[str, Route, set[str]]]:
    """Routes that bind operations of a finding to its deployment: (what to change, its route, operations).

    The route's own prefix where all of its traffic is concerned, else each operation by itself.
    """
    used = sorted({o for d, o in view.exemplars if d == finding.deployment})
    by_prefix: dict[str, set[str]] = {}
    all_of_prefix: dict[str, set[str]] = {}
    for operation in used:
        found = config.route_of(operation)
        if found is None or not _binds(found[1], finding.deployment):
            continue
        all_of_prefix.setdefault(found[0], set()).add(operation)
        if finding.operation in ("", operation):
            by_prefix.setdefault(found[0], set()).add(operation)
    for prefix, operations in by_prefix.items():
        route = config.routes[prefix]
        if operations == all_of_prefix[prefix]:
            yield prefix, route, operations
        else:
            for operation in sorted(operations):
                yield operation, route, {operation}


def _binds(route: Route, deployment: str) -> bool:
    if route.weights:
        return route.weights.get(deployment, 0.0) > 0 and (not route.candidates or deployment in route.candidates)
    return deployment in route.candidates


def _served(route: Route) -> tuple[str, ...]:
    return route.candidates or tuple(route.weights or ())


def _reason(finding: Finding, target: str, better: Better) -> str:
    where = {"operation": "there", "related": "on related operations", "all": "elsewhere"}[better.scope]
    return (
        f"{finding.message}; {target!r} is bound to it, and {better.deployment!r} does "
        f"{better.gain:.1%} better {where} (n {better.n_runs})"
    )

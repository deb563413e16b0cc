"""Plans MODEL_SWAP: a deployment that got worse, and that the host keeps asking for, gets a better model.

Where a policy chooses, it leaves a bad deployment within a dozen calls; where a route binds, the
route is what should change. So a swap is planned only where the newest runs of an operation still
go to the bad deployment, all along after its fall, and no route is the reason. Options::

    options:
      model_swap_planner: {min_confidence: 0.7, min_gain: 0.05, stuck_runs: 20, stuck_share: 0.9}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Effect, Finding, Mutation, MutationKind
from hivefeedback.stats import Exemplar, View, newest_runs, sample_of
from hivefeedback_planners.scene import Scene
from hivefeedback_planners.standing import best_alternative
from hivefeedback_planners.traffic import resources_of_other
from hivefeedback_planners.worth import Worth

__all__ = ["ModelSwapOptions", "ModelSwapPlanner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSwapOptions(Worth):
    """When a swap is worth planning.

    Args:
        stuck_runs: Runs after the fall that a free policy would no longer have sent.
        stuck_share: Share of an operation's runs during these that the deployment still served.
    """

    stuck_runs: int = 20
    stuck_share: float = 0.9


class ModelSwapPlanner(PluginWithOptions[ModelSwapOptions]):
    """Looks for traffic that is stuck with a deployment that got worse."""

    name = "model_swap_planner"
    Options = ModelSwapOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """At most one mutation for each deployment."""
        planned: dict[str, Mutation] = {}
        scene = Scene(findings, view, config)
        fallen = [f for f in findings if f.kind == "degradation" and f.deployment in config.deployments]
        for name in sorted({f.deployment for f in fallen}):
            mutation = self._planned(name, [f for f in fallen if f.deployment == name], scene)
            if mutation is not None:
                planned[name] = mutation
        return list(planned.values())

    def _planned(self, name: str, findings: Sequence[Finding], scene: Scene) -> Mutation | None:
        o, view, config = self.options, scene.view, scene.config
        stuck = {op for op in _operations(name, findings, view) if self._is_stuck(name, op, findings, view, config)}
        if not stuck:
            return None
        model = config.deployments[name].model
        same_model = {d.id for d in config.deployments.values() if d.model == model}
        better = best_alternative(view, config, name, stuck, excluded=scene.bad | same_model, min_runs=o.min_runs)
        if better is None or not o.is_met_by(better):
            return None
        finding = max(findings, key=lambda f: (f.operation in stuck, f.severity))
        other = config.deployments[better.deployment].model
        weight = scene.weight(gain=better.gain, urgency=finding.severity, deployment=name, operations=stuck)
        return Mutation(
            kind=MutationKind.MODEL_SWAP,
            target=name,
            to=other,
            from_=model,
            expected_effect=Effect(change=better.gain, low=better.low, high=better.high),
            confidence=better.confidence,
            risk="low" if better.scope != "all" else "medium",
            reason=f"{finding.message}; {', '.join(map(repr, sorted(stuck)))} cannot leave it, and model {other!r} of "
            f"{better.deployment!r} does {better.gain:.1%} better (n {better.n_runs}); {weight.reason}",
            finding_id=finding.finding_id,
            evidence=finding.evidence,
            undo=f"serve {name!r} with model {model!r} again",
            priority=weight.priority,
            planner=self.name,
            resources=resources_of_other(scene.traffic, config, name, better.deployment, stuck),
        )

    def _is_stuck(
        self, name: str, operation: str, findings: Sequence[Finding], view: View, config: Configuration
    ) -> bool:
        """True where the operation goes on sending its traffic to the deployment, well after the fall."""
        route = config.route_of(operation)
        if route is not None and (route[1].candidates or route[1].weights):
            return False  # the route can be changed instead
        o = self.options
        newest = newest_runs(view, name, operation)[-o.stuck_runs :]
        if len(newest) < o.stuck_runs:
            return False
        since_s = newest[0].started_at_s
        others = sum(
            e.started_at_s >= since_s
            for d, op in view.exemplars
            if op == operation and d != name
            for e in newest_runs(view, d, op)
        )
        if len(newest) < o.stuck_share * (len(newest) + others):
            return False
        half = len(newest) // 2
        limit = _midpoint(operation, findings)
        return all(_mean(part) <= limit for part in (newest[:half], newest[half:]))


def _operations(name: str, findings: Sequence[Finding], view: View) -> set[str]:
    """Operations that the findings are about; one about the deployment is about all of its operations."""
    used = {op for d, op in view.exemplars if d == name}
    return used if any(not f.operation for f in findings) else used & {f.operation for f in findings}


def _midpoint(operation: str, findings: Sequence[Finding]) -> float:
    """Half-way between before and after; runs above it were still from before the fall."""
    about = [f for f in findings if f.operation == operation] or [f for f in findings if not f.operation]
    for f in about:
        if f.before is not None and f.after is not None:
            return (f.before.estimate + f.after.estimate) / 2
    return 0.5


def _mean(runs: Sequence[Exemplar]) -> float:
    sample = sample_of(runs)
    mean = sample.rewards.mean
    return mean if mean is not None else sample.outcomes.mean or 0.0

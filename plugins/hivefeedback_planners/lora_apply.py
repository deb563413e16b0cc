"""Plans LORA_APPLY: a deployment that got worse on an operation gets an adapter that was made for it.

An adapter fits where one of its tags is a segment of the operation's path and it was made for the
deployment's model. It changes everything that the deployment serves, so most of its runs must be of
operations that fit. Where another deployment with the same model is served with that adapter, its
runs say what to expect; else nothing is known of it, and the canary has to show. Options::

    options:
      lora_apply_planner: {min_confidence: 0.7, min_gain: 0.05, min_share: 0.5}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Adapter, Configuration, Effect, Finding, Mutation, MutationKind
from hivefeedback.stats import View
from hivefeedback_planners.scene import Scene
from hivefeedback_planners.standing import Better, best_alternative
from hivefeedback_planners.worth import Worth

__all__ = ["LoraApplyOptions", "LoraApplyPlanner"]

KINDS = frozenset({"degradation", "dissatisfaction"})
_WON_BACK = 0.5
"""Part of a fall that an untried adapter is hoped to win back; only the order of plans hangs on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraApplyOptions(Worth):
    """When an adapter is worth trying.

    Args:
        min_share: Smallest share of the deployment's runs that must be of operations that fit.
        untried_confidence: Confidence in an adapter that no run has shown yet. Just what the limits
            gate asks for: a fitting tag says who made it for what, not that it is good.
    """

    min_share: float = 0.5
    untried_confidence: float = 0.7

    def __post_init__(self) -> None:
        for name in ("min_share", "untried_confidence"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected 0 to 1")


class _Choice(NamedTuple):
    """An adapter for a finding: what it should bring, and who has shown it."""

    adapter: Adapter
    operations: frozenset[str]
    gain: float
    confidence: float
    shown: Better | None
    depth: int


class LoraApplyPlanner(PluginWithOptions[LoraApplyOptions]):
    """Looks for a registered adapter for each operation on which a deployment got worse."""

    name = "lora_apply_planner"
    Options = LoraApplyOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """At most one mutation for each deployment."""
        if not config.adapters:
            return ()
        scene = Scene(findings, view, config)
        planned: dict[str, Mutation] = {}
        for finding in findings:
            if finding.kind not in KINDS or finding.deployment not in config.deployments:
                continue
            choices = list(self._choices(finding, scene))
            if not choices:
                continue
            best = max(choices, key=lambda c: (c.shown is not None, c.gain * c.confidence, c.depth, c.adapter.name))
            mutation = self._mutation(finding, best, scene)
            known = planned.get(finding.deployment)
            if known is None or mutation.priority > known.priority:
                planned[finding.deployment] = mutation
        return list(planned.values())

    def _choices(self, finding: Finding, scene: Scene) -> Iterator[_Choice]:
        """Adapters that fit what got worse."""
        deployment = scene.config.deployments[finding.deployment]
        runs = {o: load.n_runs for (d, o), load in scene.traffic.loads.items() if d == deployment.id}
        for adapter in scene.config.adapters.values():
            if adapter.name == deployment.adapter or not adapter.fits(deployment.model):
                continue
            fitting = {o for o in runs if _depth(adapter, o)}
            concerned = {finding.operation} if finding.operation else fitting
            depth = max((_depth(adapter, o) for o in concerned), default=0)
            share = sum(runs[o] for o in fitting) / max(1, sum(runs.values()))
            if depth and share >= self.options.min_share:
                choice = self._judged(adapter, finding, frozenset(concerned), depth, scene)
                if choice is not None:
                    yield choice

    def _judged(
        self, adapter: Adapter, finding: Finding, operations: frozenset[str], depth: int, scene: Scene
    ) -> _Choice | None:
        """What is to be expected of it; None where runs with it show that it is not worth it."""
        o, config = self.options, scene.config
        mine = config.deployments[finding.deployment]
        others = {d.id for d in config.deployments.values() if d.adapter != adapter.name or d.model != mine.model}
        shown = best_alternative(
            scene.view, config, mine.id, set(operations), excluded=others | scene.bad, min_runs=o.min_runs
        )
        if shown is not None:
            good = o.is_met_by(shown)
            return _Choice(adapter, operations, shown.gain, shown.confidence, shown, depth) if good else None
        gain = _WON_BACK * _fall(finding)
        return _Choice(adapter, operations, gain, o.untried_confidence, None, depth)

    def _mutation(self, finding: Finding, choice: _Choice, scene: Scene) -> Mutation:
        name, adapter, shown = finding.deployment, choice.adapter, choice.shown
        before = scene.config.deployments[name].adapter
        weight = scene.weight(gain=choice.gain, urgency=finding.severity, deployment=name, operations=choice.operations)
        why = f"{shown.deployment!r} does {shown.gain:.1%} better with it" if shown else "no run has shown it yet"
        tags = ", ".join(sorted(tag for tag in adapter.tags if any(tag in o.split("/") for o in choice.operations)))
        return Mutation(
            kind=MutationKind.LORA_APPLY,
            target=name,
            to=adapter.name,
            from_=before,
            expected_effect=Effect(
                change=choice.gain, low=shown.low if shown else None, high=shown.high if shown else None
            ),
            confidence=choice.confidence,
            risk="low" if shown else "medium",
            reason=f"{finding.message}; adapter {adapter.name!r} is for {tags!r}, {why}; {weight.reason}",
            finding_id=finding.finding_id,
            evidence=finding.evidence,
            undo=f"serve {name!r} with {f'adapter {before!r}' if before else 'no adapter'} again",
            priority=weight.priority,
            planner=self.name,
            resources={} if adapter.vram_gb is None else {"vram_gb": adapter.vram_gb},
        )


def _depth(adapter: Adapter, operation: str) -> int:
    """Place of the last segment of an operation that is a tag, from 1; 0: none is.

    >>> _depth(Adapter("x", tags=("medical",)), "text-to-text/medical"), _depth(Adapter("x"), "a/b")
    (2, 0)
    """
    return max((i for i, part in enumerate(operation.split("/"), start=1) if part in adapter.tags), default=0)


def _fall(finding: Finding) -> float:
    """How much was lost, 0–1; a tenth where the finding does not say."""
    if finding.before is None or finding.after is None:
        return 0.1
    return min(1.0, abs(finding.before.estimate - finding.after.estimate))

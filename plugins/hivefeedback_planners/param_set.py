"""Plans PARAM_SET: limits of calls that are hit too often are raised, needlessly wide ones of dear deployments lowered.

- many ``truncated`` runs: more ``max_tokens``;
- many ``timeout`` runs, of calls that are slow rather than dead: a longer timeout;
- a finding of the kind ``cost``, and truncations are rare: fewer ``max_tokens``.

Only parameters with declared bounds are changed, one step at a time, and never beyond these
(``Deployment("a", params={"max_tokens": 512}, bounds={"max_tokens": (128, 2048)})``). What was
served as it is served now counts, so a step is judged by its own runs before the next. Options::

    options:
      param_set_planner: {max_rate: 0.05, min_runs: 50, alpha: 0.01, factor: 1.5}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Deployment, Effect, Finding, Mutation, MutationKind, served_as
from hivefeedback.stats import View
from hivefeedback_planners.limit import Limit, limit_of, served_whole
from hivefeedback_planners.limit_lower import Lowering, lowering
from hivefeedback_planners.limit_raise import Raise, raises
from hivefeedback_planners.scene import Scene

__all__ = ["ParamSetOptions", "ParamSetPlanner"]

_SURE = 0.99
"""No confidence above this from counts alone: what they mean rests on assumptions."""
_WORDS = {"truncated": "are truncated", "timeout": "time out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSetOptions:
    """When a limit is moved, and how far.

    Args:
        max_rate: Rate of truncations or timeouts that is put up with, in (0, 1).
        min_runs: Fewest runs behind a rate.
        alpha: Largest p-value, adjusted for all rates that were looked at.
        factor: What a limit is multiplied with or divided by in one step, above 1.
        token_params: Names of the parameter that limits an answer; the first that is bounded counts.
        timeout_params: Names of the parameter that limits the time of a call, in seconds.
    """

    max_rate: float = 0.05
    min_runs: int = 50
    alpha: float = 0.01
    factor: float = 1.5
    token_params: tuple[str, ...] = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    timeout_params: tuple[str, ...] = ("timeout", "timeout_s", "request_timeout")

    def __post_init__(self) -> None:
        if not 0.0 < self.max_rate < 1.0 or not 0.0 < self.alpha < 1.0:
            raise ValueError("max_rate and alpha must be between 0 and 1")
        if not self.factor > 1.0 or self.min_runs < 1:
            raise ValueError("factor must be > 1 and min_runs >= 1")


class ParamSetPlanner(PluginWithOptions[ParamSetOptions]):
    """Reads how often limits are hit, and the findings about cost."""

    name = "param_set_planner"
    Options = ParamSetOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """At most one change of each limit."""
        limits = dict(self._limits(config.deployments.values()))
        if not limits:
            return ()
        scene = Scene(findings, view, config)
        o = self.options
        served = {name: served_as(config, name) for name, _ in limits}
        raised = raises(view, served, limits, accepted=o.max_rate, min_runs=o.min_runs, alpha=o.alpha, factor=o.factor)
        is_short = {r.deployment for r in raised if r.outcome == "truncated"}
        dear = {f.deployment: f for f in reversed(findings) if f.kind == "cost"}  # the most severe comes first
        lowered = (self._lowered(f, limits, served, scene) for name, f in sorted(dear.items()) if name not in is_short)
        return [*(self._raised(r, scene) for r in raised), *(m for m in lowered if m is not None)]

    def _limits(self, deployments: Iterable[Deployment]) -> Iterator[tuple[tuple[str, str], Limit]]:
        names = {"truncated": self.options.token_params, "timeout": self.options.timeout_params}
        for deployment in deployments:
            for outcome, params in names.items():
                limit = limit_of(deployment, params)
                if limit is not None:
                    yield (deployment.id, outcome), limit

    def _raised(self, r: Raise, scene: Scene) -> Mutation:
        rate = r.hits.rate
        operations = [r.operation] if r.operation else None
        gain = max(0.0, rate.estimate - r.expected)
        urgency = min(1.0, 0.3 + 2 * rate.estimate)
        weight = scene.weight(gain=gain, urgency=urgency, deployment=r.deployment, operations=operations)
        resources = _more(r, scene)
        where = f" on {r.operation!r}" if r.operation else ""
        return Mutation(
            kind=MutationKind.PARAM_SET,
            target=r.deployment,
            to={r.limit.name: r.to},
            expected_effect=Effect(metric=f"{r.outcome}_rate", change=-gain, low=-rate.high, high=0.0),
            confidence=min(_SURE, 1.0 - r.hits.p_value),
            risk="low",
            reason=f"{rate.estimate:.1%} of the runs of {r.deployment!r}{where} {_WORDS[r.outcome]} ({rate.low:.1%} to "
            f"{rate.high:.1%}, n {r.hits.n_runs}, p {r.hits.p_value:.2g}) at {r.limit.name} {r.limit.value:g}; with "
            f"{r.to:g} about {r.expected:.1%} would; {_told(resources)}; {weight.reason}",
            evidence=_evidence(scene.view, r.deployment, r.operation, r.outcome),
            undo=_undo(r.deployment, r.limit),
            priority=weight.priority,
            planner=self.name,
            resources=resources,
        )

    def _lowered(
        self, finding: Finding, limits: dict[tuple[str, str], Limit], served: dict[str, str], scene: Scene
    ) -> Mutation | None:
        o, name = self.options, finding.deployment
        limit = limits.get((name, "truncated"))
        if limit is None:
            return None
        whole = served_whole(scene.view, name, served[name])
        found = lowering(whole, limit, accepted=o.max_rate, min_runs=o.min_runs, factor=o.factor)
        if found is None or found.p_value > o.alpha:
            return None
        weight = scene.weight(gain=found.saved_share, urgency=finding.severity, deployment=name)
        saved = scene.traffic.rate(found.saved, found.n_runs)
        resources = _with_cost(-saved, scene.traffic.per, scene.config.deployments[name])
        return Mutation(
            kind=MutationKind.PARAM_SET,
            target=name,
            to={limit.name: found.to},
            expected_effect=Effect(metric="tokens_out_share", change=-found.saved_share),
            confidence=min(_SURE, 1.0 - found.p_value),
            risk="low" if found.is_free else "medium",
            reason=f"{finding.message}; {_price_of(found)}; {_told(resources)}; {weight.reason}",
            finding_id=finding.finding_id,
            evidence=finding.evidence,
            undo=_undo(name, limit),
            priority=weight.priority,
            planner=self.name,
            resources=resources,
        )


def _price_of(found: Lowering) -> str:
    """What a lower limit costs, in words."""
    known = f"99 of 100 answers have at most {found.p99:.0f} tokens (n {found.n_runs})"
    if found.is_free:
        return f"{known}, so {found.to:g} costs nothing"
    return f"{known}, so {found.to:g} cuts about {found.cut:.1%} of them"


def _more(r: Raise, scene: Scene) -> dict[str, float]:
    """What a wider limit takes a day (or a run) at most: every run that hit it goes on to the new one."""
    per = scene.traffic.per
    more = scene.traffic.rate(r.hits.n_hits, r.hits.n_runs) * (r.to - r.limit.value)
    if r.outcome == "timeout":
        return {f"waiting_s_per_{per}": more}
    return _with_cost(more, per, scene.config.deployments[r.deployment])


def _with_cost(tokens: float, per: str, deployment: Deployment) -> dict[str, float]:
    found = {f"tokens_out_per_{per}": tokens}
    if deployment.price is not None:
        found[f"cost_usd_per_{per}"] = tokens * deployment.price.output_usd_per_mtok / 1e6
    return found


def _told(resources: dict[str, float]) -> str:
    units = {"tokens_out": "output tokens", "cost_usd": "USD", "waiting_s": "s of waiting"}
    parts = [f"{value:+.4g} {units[name.rpartition('_per_')[0]]}" for name, value in resources.items()]
    per = next(iter(resources)).rpartition("_per_")[2]
    return f"{' and '.join(parts)} a {per} at most"


def _evidence(view: View, deployment: str, operation: str, outcome: str) -> tuple[str, ...]:
    """Traces of the newest runs that hit the limit."""
    found = [
        e
        for (d, o), newest in view.exemplars.items()
        if d == deployment and operation in ("", o)
        for e in newest
        if e.outcome == outcome and not e.is_canary
    ]
    found.sort(key=lambda e: e.started_at_s, reverse=True)
    return tuple(dict.fromkeys(e.trace_id or e.run_id for e in found))[:16]


def _undo(deployment: str, limit: Limit) -> str:
    return f"call {deployment!r} with {limit.name}={limit.value:g} again"

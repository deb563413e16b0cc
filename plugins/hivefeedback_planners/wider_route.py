"""Plans ROUTE_CHANGE: an operation that loops back or fails fact checks too often gets at least four candidates.

A loop-back is a round that had to be done again (feedback ``loop_back``); a failed check is
``fact_check`` given as false. What can be planned is more deployments to choose from, where a route
leaves some out: the policy then finds the one that does the operation well. Where all are candidates
already, only stricter verification by the application helps. Options::

    options:
      wider_route_planner: {max_rate: 0.2, min_runs: 30, alpha: 0.01, candidates: 4}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import (
    Configuration,
    Effect,
    Finding,
    JsonValue,
    Mutation,
    MutationKind,
    drawn_from,
    route_value,
)
from hivefeedback.stats import JUDGED_UNIT, Cell, CellKey, View, adjusted_p_values
from hivefeedback_planners.limit import Hits
from hivefeedback_planners.scene import Scene
from hivefeedback_planners.standing import recent_sample
from hivefeedback_planners.worth import Weight

__all__ = ["WiderRouteOptions", "WiderRoutePlanner"]

_SURE = 0.8
"""That more candidates help is likely, not certain: all of them may fail alike."""
_KNOWN = 20
"""Newest runs from which a deployment's own record counts for more than its stated capability."""
_WORDS = {"loop_back": "loop back", "fact_check": "fail their fact check"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderRouteOptions:
    """When a route is widened.

    Args:
        max_rate: Rate of loop-backs, or of failed checks, that is put up with, in (0, 1).
        min_runs: Fewest runs (or checks) behind a rate.
        alpha: Largest p-value, adjusted for all rates that were looked at.
        candidates: So many candidates a widened route gets, as far as there are deployments.
    """

    max_rate: float = 0.2
    min_runs: int = 30
    alpha: float = 0.01
    candidates: int = 4

    def __post_init__(self) -> None:
        if not 0.0 < self.max_rate < 1.0 or not 0.0 < self.alpha < 1.0:
            raise ValueError("max_rate and alpha must be between 0 and 1")
        if self.min_runs < 1 or self.candidates < 2:
            raise ValueError("min_runs must be >= 1 and candidates >= 2")


@dataclass(frozen=True, slots=True)
class _Trouble:
    """An operation that goes wrong too often, by a name of feedback."""

    operation: str
    name: str
    hits: Hits


class WiderRoutePlanner(PluginWithOptions[WiderRouteOptions]):
    """Reads loop-backs and fact checks of each operation."""

    name = "wider_route_planner"
    Options = WiderRouteOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """At most one mutation for each operation, by its worst rate."""
        if not config.routes:
            return ()  # everybody is a candidate everywhere
        scene = Scene(findings, view, config)
        planned: dict[str, Mutation] = {}
        for trouble in self._troubles(view):
            mutation = self._planned(trouble, scene)
            known = planned.get(trouble.operation)
            if mutation is not None and (known is None or mutation.priority > known.priority):
                planned[trouble.operation] = mutation
        return list(planned.values())

    def _troubles(self, view: View) -> list[_Trouble]:
        tested = list(self._tested(view))
        adjusted = adjusted_p_values([t.hits.p_value for t in tested])
        return [t for t, p_value in zip(tested, adjusted, strict=True) if p_value <= self.options.alpha]

    def _tested(self, view: View) -> Iterator[_Trouble]:
        """Every rate with enough behind it: of the deployments' runs, and of the agents' runs above them."""
        o = self.options
        sides: tuple[Callable[[CellKey], bool], ...] = (
            lambda key: bool(key.deployment),
            lambda key: not key.deployment,
        )
        for side in sides:
            cells = view.totals("operation", where=side, bins=False)
            for (operation,), cell in sorted(cells.items()):
                for name in _WORDS:
                    k, n = _counted(cell, name)
                    if operation and n >= o.min_runs:
                        yield _Trouble(operation, name, Hits.of(k, n, o.max_rate))

    def _planned(self, trouble: _Trouble, scene: Scene) -> Mutation | None:
        found = scene.config.route_of(trouble.operation)
        served = drawn_from(scene.config, trouble.operation)
        added = self._added(trouble.operation, served, scene)
        if found is None or not added:
            return None
        candidates: list[JsonValue] = [*served, *added]
        before = route_value(scene.config.routes.get(trouble.operation))
        rate, excess = trouble.hits.rate, trouble.hits.rate.estimate - self.options.max_rate
        weight = _weight(trouble, excess, scene)
        return Mutation(
            kind=MutationKind.ROUTE_CHANGE,
            target=trouble.operation,
            to=candidates,
            from_=before,
            expected_effect=Effect(metric=f"{trouble.name}_rate", change=-excess, low=-rate.high, high=0.0),
            confidence=_SURE * (1.0 - trouble.hits.p_value),
            risk="low",
            reason=f"{self._why(trouble)}; its route {found[0]!r} has {_number(len(served))}, "
            f"{', '.join(map(repr, added))} would make it {len(candidates)}"
            f"{_short_of(len(candidates), self.options.candidates)}; {weight.reason}",
            evidence=tuple(dict.fromkeys(i for d in served for i in scene.view.evidence(d, trouble.operation)))[:16],
            undo=f"route {trouble.operation!r} as {before!r} again",
            priority=weight.priority,
            planner=self.name,
            resources=_memory(added, scene.config),
        )

    def _why(self, trouble: _Trouble) -> str:
        rate = trouble.hits.rate
        return (
            f"{rate.estimate:.1%} of the runs on {trouble.operation!r} {_WORDS[trouble.name]} ({rate.low:.1%} to "
            f"{rate.high:.1%}, n {trouble.hits.n_runs}), above {self.options.max_rate:.0%}"
        )

    def _added(self, operation: str, served: Sequence[str], scene: Scene) -> list[str]:
        """The most promising deployments that the route leaves out, as many as are missing."""
        missing = self.options.candidates - len(served)
        others = [d for d in scene.config.deployments if d not in served and d not in scene.bad]
        return sorted(others, key=lambda d: -_promise(d, operation, scene))[: max(0, missing)]


def _counted(cell: Cell, name: str) -> tuple[int, int]:
    """How often it went wrong, of how many: loop-backs of all runs, failed checks of the checked ones."""
    judged = cell.judged.get(name)
    if judged is None or judged.n <= 0:
        return 0, 0
    yes = min(max(0, round(judged.total / JUDGED_UNIT)), judged.n)
    if name == "fact_check":
        return judged.n - yes, judged.n
    return min(yes, cell.n_runs), cell.n_runs


def _promise(deployment: str, operation: str, scene: Scene) -> float:
    """What its newest runs earned there, else anywhere, else its stated capability; 0–1."""
    everywhere = [o for d, o in scene.view.exemplars if d == deployment]
    for operations in ([operation], everywhere):
        rewards = recent_sample(scene.view, deployment, operations).rewards
        if rewards.n >= _KNOWN:
            return rewards.mean or 0.0
    return scene.config.deployments[deployment].capability / 100


def _weight(trouble: _Trouble, excess: float, scene: Scene) -> Weight:
    n_runs = sum(cell.n_runs for (_, operation), cell in scene.traffic.loads.items() if operation == trouble.operation)
    urgency = 0.3 + 2 * trouble.hits.rate.estimate
    return Weight.of(gain=excess, share=scene.traffic.share(n_runs), urgency=urgency)


def _memory(added: Sequence[str], config: Configuration) -> dict[str, float]:
    """GPU memory of the deployments that come in, as far as it is known."""
    known = [v for v in (config.deployments[d].vram_gb for d in added) if v is not None]
    return {"vram_gb": sum(known)} if known else {}


def _number(n: int) -> str:
    return f"{n} candidate" + ("" if n == 1 else "s")


def _short_of(n: int, wanted: int) -> str:
    return f" (no more of {wanted} are in service)" if n < wanted else ""

"""How well a deployment does on an operation now, and who would do better.

Only the newest runs count (at most 100 of each deployment × operation, canaries aside), since what
is planned for is the present.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import erf, sqrt
from typing import NamedTuple

from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import Judged, Sample, View, mean_difference, newest_runs, sample_of

__all__ = ["Better", "best_alternative", "degraded_deployments", "recent_sample"]

_TRUST = {"operation": 1.0, "related": 0.9, "all": 0.8}
"""What evidence is worth by where it was gathered: on the very operation, on its siblings, anywhere."""
_Z95 = 1.959964


class Better(NamedTuple):
    """A deployment that is expected to do better than another.

    Args:
        deployment: Who.
        gain: Expected change of the success rate, with ``low`` and ``high`` at 95 %.
        confidence: Chance that it is better, times what the evidence is worth.
        scope: Where the evidence was gathered: ``operation``, ``related`` or ``all``.
        n_runs: Runs of it behind this.
    """

    deployment: str
    gain: float
    low: float
    high: float
    confidence: float
    scope: str
    n_runs: int


def recent_sample(view: View, deployment: str, operations: Iterable[str], *, newest: int = 100) -> Sample:
    """The newest runs of a deployment on some operations."""
    total = sample_of(())
    for operation in sorted(set(operations)):
        total = total.plus(sample_of(newest_runs(view, deployment, operation)[-newest:]))
    return total


def best_alternative(
    view: View, config: Configuration, deployment: str, operations: set[str], *, excluded: set[str], min_runs: int
) -> Better | None:
    """The deployment with the best prospects on these operations, in place of another.

    Args:
        view, config: What is known and served.
        deployment: The one to be replaced; measured by its newest 30 runs of each operation.
        operations: Where.
        excluded: Deployments that are no choice.
        min_runs: Fewest runs of an alternative; evidence is widened to sibling operations and
            then to all until there are as many.
    """
    mine = recent_sample(view, deployment, operations, newest=30)
    found = []
    for other in config.deployments:
        if other != deployment and other not in excluded:
            better = _compared(view, mine, other, operations, min_runs)
            if better is not None:
                found.append(better)
    return max(found, key=lambda b: (b.low * _TRUST[b.scope], b.gain), default=None)


def _compared(view: View, mine: Sample, other: str, operations: set[str], min_runs: int) -> Better | None:
    served = {o for d, o in view.exemplars if d == other}
    parents = {o.rpartition("/")[0] for o in operations}
    scopes = {
        "operation": served & operations,
        "related": {o for o in served if o.rpartition("/")[0] in parents},
        "all": served,
    }
    for scope, where in scopes.items():
        theirs = recent_sample(view, other, where)
        first, second = _comparable(mine, theirs, min_runs)
        if first.n > 0 and second.n >= min_runs:
            return _better(other, scope, first, second)
    return None


def _comparable(mine: Sample, theirs: Sample, min_runs: int) -> tuple[Judged, Judged]:
    """Rewards where both have them, else outcomes; never one against the other."""
    if mine.rewards.n > 0 and theirs.rewards.n >= min_runs:
        return mine.rewards, theirs.rewards
    return mine.outcomes, theirs.outcomes


def _better(other: str, scope: str, first: Judged, second: Judged) -> Better:
    interval = mean_difference(first, second).interval
    error = (interval.high - interval.low) / 2 / _Z95
    chance = 0.5 * (1 + erf(interval.estimate / error / sqrt(2))) if error > 0 else 0.5
    confidence = _TRUST[scope] * chance
    return Better(other, interval.estimate, interval.low, interval.high, confidence, scope, second.n)


def degraded_deployments(findings: Iterable[Finding]) -> set[str]:
    """Deployments of which something bad was found; none of them is an alternative to another."""
    return {f.deployment for f in findings if f.deployment and f.kind in ("degradation", "dissatisfaction")}

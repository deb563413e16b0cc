"""Whether a prompt or a model is to blame for what fell.

Each (deployment, operation) that was served lately is a place that fell or is sound, and that asks
for a prompt or does not. A prompt is suspected where what fell is what asks for it: at least two
thirds of the places that ask for it fell, and at most a third of the others. Beyond that:

- two or more deployments fell with it: they have only the prompt in common, so it is suspected most;
- one deployment fell, and is sound where it is not asked for the prompt: suspected;
- one deployment fell, and another one is sound with the same prompt: its model is to blame, which is
  the business of MODEL_SWAP and ROUTE_CHANGE, so nothing is said of the prompt;
- one deployment fell, and there is no other in service: suspected least, but nothing else could be
  changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import Exemplar, View, mean_difference, newest_runs, sample_of

__all__ = ["Place", "Suspicion", "is_fall", "places_of", "suspicion_of"]

_KINDS = frozenset({"degradation", "dissatisfaction"})
_NEWEST = 30
"""Newest runs of a place that are looked at: what matters is what it asks for now."""
_MIN_RUNS = 10
"""Places with fewer of them are left aside."""


@dataclass(frozen=True, slots=True)
class Place:
    """A (deployment, operation), the prompts that at least half of its newest runs asked for as they are
    served now, and how it is.

    ``findings`` are those that say that it fell; none: it is sound.
    """

    deployment: str
    operation: str
    prompts: frozenset[str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A prompt that is suspected.

    Args:
        places: Those that ask for it and fell.
        confidence: How sure that is, 0–1, before the findings' own doubts.
        reason: The numbers in words.
    """

    places: tuple[Place, ...]
    confidence: float
    reason: str


def is_fall(finding: Finding) -> bool:
    """True where a finding says that users or scores are less content than they were, or should be."""
    return finding.kind in _KINDS


def places_of(findings: Sequence[Finding], view: View, config: Configuration) -> list[Place]:
    """Every place with enough runs. Runs of agents and tools belong to no deployment and stay aside."""
    falls = [f for f in findings if is_fall(f)]
    served = {f"{name}@{prompt.current}": name for name, prompt in config.prompts.items()}
    places = []
    for deployment, operation in sorted(view.exemplars):
        known = newest_runs(view, deployment, operation) if deployment else []
        runs, before = known[-_NEWEST:], known[:-_NEWEST]
        if len(runs) >= _MIN_RUNS:
            about = _about(falls, deployment, operation, runs)
            if about and _is_mended(before, runs):
                about = ()
            places.append(Place(deployment, operation, _asked(runs, served), about))
    return places


def suspicion_of(prompt: str, places: Iterable[Place], config: Configuration) -> Suspicion | None:
    """Whether a prompt is to blame, or None."""
    known = list(places)
    users = [p for p in known if prompt in p.prompts]
    others = [p for p in known if prompt not in p.prompts]
    fell = [p for p in users if p.findings]
    others_fell = sum(bool(p.findings) for p in others)
    if not fell or 3 * len(fell) < 2 * len(users) or 3 * others_fell > len(others):
        return None
    names = {p.deployment for p in fell}
    counted = f"{len(fell)} of {len(users)} places that ask for prompt {prompt!r} fell"
    counted += f" and {others_fell} of {len(others)} that do not" if others else ""
    if len(names) > 1:
        return Suspicion(tuple(fell), 0.95, f"{counted}, with {len(names)} deployments, so the prompt is suspected")
    if any(p.deployment not in names for p in users):
        return None
    if any(p.deployment in names for p in others if not p.findings):
        return Suspicion(tuple(fell), 0.85, f"{counted}, with one deployment that is sound elsewhere")
    if set(config.deployments) <= names:
        return Suspicion(tuple(fell), 0.75, f"{counted}, and there is no other deployment to compare with")
    return None


def _asked(runs: Sequence[Exemplar], served: Mapping[str, str]) -> frozenset[str]:
    """Prompts that at least half of the runs asked for, in the version that is served now: what earlier
    versions did says nothing against it."""
    counts: dict[str, int] = {}
    for run in runs:
        for used in run.prompts:
            if used in served:
                counts[served[used]] = counts.get(served[used], 0) + 1
    return frozenset(name for name, n in counts.items() if 2 * n >= len(runs))


def _about(falls: Sequence[Finding], deployment: str, operation: str, runs: Sequence[Exemplar]) -> tuple[Finding, ...]:
    """Findings that say that a place fell, as far as its newest runs agree. One about all operations of a
    deployment is believed where none of its operations is named."""
    direct = [f for f in falls if f.operation == operation and f.deployment in ("", deployment)]
    if not direct and not any(f.operation and f.deployment == deployment for f in falls):
        direct = [f for f in falls if f.deployment == deployment and not f.operation]
    if not direct:
        return ()
    sample = sample_of(runs)
    mean = sample.rewards.mean if sample.rewards.mean is not None else sample.outcomes.mean or 0.0
    is_judged = sample.rewards.n >= _MIN_RUNS
    return tuple(f for f in direct if mean <= _sound_from(f, is_judged=is_judged))


def _sound_from(finding: Finding, *, is_judged: bool) -> float:
    """A place whose newest runs earned more than this is sound again, whatever the hour before was like.

    Half-way between before and after for a degradation, which is measured as rewards are. Votes that fell
    are only a part of them, so three quarters of the way back are asked for, and enough runs that were
    judged. Complaints rise, and a mean below a threshold has no past: they are believed.
    """
    before, after = finding.before, finding.after
    if before is None or after is None:
        return 1.0
    if finding.kind == "degradation":
        return (before.estimate + after.estimate) / 2
    if is_judged and after.estimate < before.estimate:
        return before.estimate - (before.estimate - after.estimate) / 4
    return 1.0


def _is_mended(before: Sequence[Exemplar], runs: Sequence[Exemplar]) -> bool:
    """True where the newest runs earned beyond doubt more than those before: something helped already."""
    difference = mean_difference(sample_of(before).rewards, sample_of(runs).rewards)
    return difference.interval.low > 0

"""Plans PROMPT_PATCH: a prompt whose users are less content gets another of its registered versions.

Which prompts the runs asked for (``Decision.prompt``) says what to suspect; see ``suspicion`` for
when it is the prompt and when the model. Versions come from ``prompts.add``, declarations and
earlier changes; nothing is written by this planner. Each alternative is planned, the most
promising first: core lets one of them through at a time, and none again within its window that was
taken back. Options::

    options:
      prompt_patch_planner: {min_confidence: 0.7, min_runs: 20, max_versions: 3}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Effect, Finding, Mutation, MutationKind, PromptVersions
from hivefeedback.stats import Difference, Exemplar, Judged, View, mean_difference, newest_runs, sample_of
from hivefeedback_planners.scene import Scene
from hivefeedback_planners.suspicion import Place, Suspicion, is_fall, places_of, suspicion_of
from hivefeedback_planners.worth import Weight

__all__ = ["PromptPatchOptions", "PromptPatchPlanner"]

_CONTENT = 0.625
"""3.5 of 5, the rating below which users are not content: what is hoped for where no past is known."""
_LATER = 0.9
"""An alternative of which as little is known as of the one before it comes after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPatchOptions:
    """When another version is worth trying.

    Args:
        min_confidence: Smallest confidence; the limits gate asks for as much.
        min_runs: Fewest newest runs of a version before its own record counts.
        max_versions: So many alternatives of a prompt are planned at most.
    """

    min_confidence: float = 0.7
    min_runs: int = 20
    max_versions: int = 3


@dataclass(frozen=True, slots=True)
class _Alternative:
    """A version, and its difference to the served one where both are known."""

    version: int
    known: Difference | None
    n_runs: int = 0


class PromptPatchPlanner(PluginWithOptions[PromptPatchOptions]):
    """Looks for a prompt in common among what fell."""

    name = "prompt_patch_planner"
    Options = PromptPatchOptions

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        """The alternatives of each suspected prompt, the most promising first."""
        choices = {name: p for name, p in config.prompts.items() if sum(map(bool, p.bodies)) > 1 and p.body}
        if not choices or not any(map(is_fall, findings)):
            return ()
        scene = Scene(findings, view, config)
        places = places_of(findings, view, config)
        planned: list[Mutation] = []
        for name, prompt in sorted(choices.items()):
            suspicion = suspicion_of(name, places, config)
            if suspicion is not None:
                planned += self._planned(name, prompt, suspicion, scene)
        return planned

    def _planned(self, name: str, prompt: PromptVersions, suspicion: Suspicion, scene: Scene) -> Iterator[Mutation]:
        finding = max((f for p in suspicion.places for f in p.findings), key=lambda f: f.severity)
        confidence = suspicion.confidence * (1.0 - (finding.p_value or 0.0))
        if confidence < self.options.min_confidence:
            return
        n_runs = sum(scene.traffic.of(p.deployment, [p.operation]).n_runs for p in suspicion.places)
        alternatives = self._alternatives(name, prompt, suspicion.places, scene.view)
        for place, other in enumerate(alternatives[: self.options.max_versions]):
            effect = _effect(other, finding, confidence)
            gain = effect.change * _LATER**place
            weight = Weight.of(gain=gain, share=scene.traffic.share(n_runs), urgency=finding.severity)
            yield Mutation(
                kind=MutationKind.PROMPT_PATCH,
                target=name,
                to=other.version,
                from_=prompt.current,
                expected_effect=effect,
                confidence=confidence,
                risk="medium",
                reason=f"{finding.message}; {suspicion.reason}; {_record(other)}; {weight.reason}",
                finding_id=finding.finding_id,
                evidence=_evidence(suspicion.places),
                undo=f"serve version {prompt.current} of prompt {name!r} again",
                priority=weight.priority,
                planner=self.name,
            )

    def _alternatives(
        self, name: str, prompt: PromptVersions, places: Sequence[Place], view: View
    ) -> list[_Alternative]:
        """Versions that have done better come first, then those of which nothing is known, the newest first."""
        rewards = _rewards(name, places, view)
        served = rewards.get(prompt.current, Judged())
        found = []
        for version, body in enumerate(prompt.bodies, start=1):
            if not body or version == prompt.current:
                continue
            theirs = rewards.get(version, Judged())
            is_known = min(served.n, theirs.n) >= self.options.min_runs
            known = mean_difference(served, theirs) if is_known else None
            if known is None or known.interval.estimate > 0:
                found.append(_Alternative(version, known, theirs.n))
        return sorted(found, key=lambda a: (-(a.known.interval.estimate if a.known else 0.0), -a.version))


def _rewards(name: str, places: Sequence[Place], view: View) -> dict[int, Judged]:
    """What the newest runs of each version earned, canaries aside."""
    by_version: dict[int, list[Exemplar]] = {}
    for place in places:
        for run in newest_runs(view, place.deployment, place.operation):
            for used, _, version in (p.rpartition("@") for p in run.prompts):
                if used == name and version.isdecimal():
                    by_version.setdefault(int(version), []).append(run)
    return {version: sample_of(runs).rewards for version, runs in by_version.items()}


def _effect(other: _Alternative, finding: Finding, confidence: float) -> Effect:
    """What its own record promises; else what was lost, as likely as the prompt is to blame."""
    if other.known is not None:
        interval = other.known.interval
        return Effect(metric="reward", change=interval.estimate, low=interval.low, high=interval.high)
    after = finding.after.estimate if finding.after else 0.5
    lost = abs(finding.before.estimate - after) if finding.before else max(0.0, _CONTENT - after)
    return Effect(metric="reward", change=lost * confidence, low=0.0, high=lost)


def _record(other: _Alternative) -> str:
    if other.known is None:
        return f"version {other.version} is registered, and little is known of it lately"
    interval = other.known.interval
    return f"version {other.version} earned {interval.estimate:.1%} more lately (n {other.n_runs})"


def _evidence(places: Sequence[Place]) -> tuple[str, ...]:
    """Traces of all places in turn, so that each is shown."""
    lists = [f.evidence for p in places for f in p.findings[:1]]
    longest = max(map(len, lists), default=0)
    return tuple(dict.fromkeys(ids[i] for i in range(longest) for ids in lists if i < len(ids)))[:16]

"""Finds deployments that are good and hardly used, and declared ones that are never used.

"Good" is better than the most used one on the same operation, beyond chance. "Never" takes so many
runs of others that even the exploration share would have found its way. Where a route binds the
traffic, ``degradation`` says which other deployment would be better, so nothing is said here. Options::

    options:
      underuse: {max_share: 0.1, min_gain: 0.05, alpha: 0.001}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log1p

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import Judged, Sample, View, mean_difference, mean_interval, wilson_interval
from hivefeedback_analyzers.alternatives import is_binding
from hivefeedback_analyzers.check import check_between
from hivefeedback_analyzers.service import expected_shares, used_by_operation
from hivefeedback_analyzers.told import Suspected, told

__all__ = ["UnderuseAnalyzer", "UnderuseOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderuseOptions:
    """When too little use is reported.

    Args:
        max_share: A deployment with more than this part of an operation's runs is in use.
        min_gain: Smallest advantage worth a word, in points of quality or success in [0, 1].
        min_runs: Fewest runs of the deployment and of the most used one.
        exploration_share: Part of the traffic that a policy spreads over all candidates.
        runs_per_draw: Runs that follow from one draw, since a session stays where it is.
        alpha: Largest p-value, adjusted for everything that was compared.
    """

    max_share: float = 0.1
    min_gain: float = 0.05
    min_runs: int = 20
    exploration_share: float = 0.02
    runs_per_draw: float = 10.0
    alpha: float = 0.001

    def __post_init__(self) -> None:
        check_between(
            max_share=self.max_share,
            min_gain=self.min_gain,
            exploration_share=self.exploration_share,
            alpha=self.alpha,
        )
        if self.min_runs < 2 or self.runs_per_draw < 1.0:
            raise ValueError("min_runs must be >= 2 and runs_per_draw >= 1")


class UnderuseAnalyzer(PluginWithOptions[UnderuseOptions]):
    """Compares the hardly used with the most used."""

    name = "underuse"
    Options = UnderuseOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """One finding for each deployment × operation that is good and hardly used, and each that is never used."""
        used = used_by_operation(view)
        found, n_tests = list[Suspected](), 0
        for operation, of in used.items():
            tested, n = self._hardly(view, config, operation, of)
            found += tested
            n_tests += n
        never = self._never(config, used)
        findings = told([*found, *never], n_tests + len(never), self.options.alpha)
        return sorted(findings, key=lambda f: f.finding_id)

    def _hardly(
        self, view: View, config: Configuration, operation: str, used: Mapping[str, Sample]
    ) -> tuple[list[Suspected], int]:
        """Those of an operation that beat the most used one, and how many were compared with it."""
        o = self.options
        total = sum(s.outcomes.n for s in used.values())
        most = max(used, key=lambda d: (used[d].outcomes.n, d))
        route = config.route_of(operation)
        found, n_tests = [], 0
        for deployment, sample in used.items():
            n = sample.outcomes.n
            if deployment == most or n > o.max_share * total or min(n, used[most].outcomes.n) < o.min_runs:
                continue
            if deployment not in config.deployments or (route and is_binding(route[1], most, deployment)):
                continue
            n_tests += 1
            suspected = self._better(view, operation, (most, used[most]), (deployment, sample), n / total)
            if suspected is not None:
                found.append(suspected)
        return found, n_tests

    def _better(
        self, view: View, operation: str, most: tuple[str, Sample], other: tuple[str, Sample], share: float
    ) -> Suspected | None:
        """The other one, which gets a small share of the runs, beats the most used one."""
        deployment, sample = other
        theirs, mine, measure = _comparable(most[1], sample, self.options.min_runs)
        difference = mean_difference(theirs, mine)
        gain = difference.interval
        if gain.low <= 0 or gain.estimate < self.options.min_gain:
            return None
        message = (
            f"{deployment!r} gets {share:.1%} of the runs on {operation!r} and is better than {most[0]!r}, which "
            f"gets most: {measure} {mine.mean or 0:.1%} (n {mine.n}) against {theirs.mean or 0:.1%} "
            f"(n {theirs.n}), {gain.low:+.1%} to {gain.high:+.1%}"
        )
        finding = Finding(
            finding_id=f"underuse:{deployment}:{operation}",
            analyzer="underuse",
            kind="underuse",
            message=message,
            deployment=deployment,
            operation=operation,
            severity=min(1.0, 0.2 + gain.estimate),
            before=mean_interval(theirs),
            after=mean_interval(mine),
            n_runs=sample.outcomes.n,
            evidence=view.evidence(deployment, operation),
        )
        return difference.p_value, finding

    def _never(self, config: Configuration, used: Mapping[str, Mapping[str, Sample]]) -> list[Suspected]:
        """Declared deployments without a run, with the chance that exploration passed them by."""
        o, idle = self.options, dict.fromkeys(config.deployments, 0.0)
        n_seen = dict.fromkeys(config.deployments, 0)
        for operation, of in used.items():
            n = sum(s.outcomes.n for s in of.values())
            shares, is_fixed = expected_shares(config, operation)
            for deployment, share in shares.items():
                drawn = share if is_fixed else share * o.exploration_share
                idle[deployment] += n / o.runs_per_draw * (log1p(-drawn) if drawn < 1.0 else -1e9)
                n_seen[deployment] += n
        active = {d for of in used.values() for d in of}
        return [(exp(idle[d]), _unused(d, n_seen[d])) for d in config.deployments if d not in active and n_seen[d] > 0]


def _comparable(most: Sample, other: Sample, min_runs: int) -> tuple[Judged, Judged, str]:
    """Rewards where both have enough of them, else outcomes."""
    if min(most.rewards.n, other.rewards.n) >= min_runs:
        return most.rewards, other.rewards, "quality"
    return most.outcomes, other.outcomes, "success"


def _unused(deployment: str, n: int) -> Finding:
    return Finding(
        finding_id=f"underuse:{deployment}:",
        analyzer="underuse",
        kind="underuse",
        message=f"{deployment!r} is declared and had none of the {n} runs that it may serve",
        deployment=deployment,
        severity=0.2,
        after=wilson_interval(0, n),
    )

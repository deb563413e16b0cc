"""What a policy implements, and what it learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

__all__ = ["KnowsOperations", "LearnsAlike", "LearnsShared", "Observation", "Policy"]


class Observation(Struct, frozen=True, gc=False):
    """One reward that a policy learns from.

    Args:
        operation: The operation path.
        deployment: The id that learns (a canary variant has its own).
        reward: In [0, 1].
        at_s: When the run ended, seconds since 1970 UTC.
        previous: The reward that this one corrects, or None for a first reward. Change detectors
            take first rewards only.
        duration_s, cost_usd: Of the run, where known.
        propensity: Of the decision, where it was drawn.
    """

    operation: str
    deployment: str
    reward: float
    at_s: float
    previous: float | None = None
    duration_s: float | None = None
    cost_usd: float | None = None
    propensity: float | None = None


class Policy(Protocol):
    """Learns which deployment is best for which operation. Called from one thread at a time."""

    name: str

    def learn(self, observations: Sequence[Observation]) -> None:
        """Take in the rewards of a batch, in order."""

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """A distribution over the candidates: each > 0, summing to 1. Called for each prepared
        set at a refresh; must take well under a millisecond."""

    def index(self, operation: str) -> Mapping[str, float]:
        """Share (> 0) of each known deployment for this operation, from which sets that are not
        prepared are served; ``""`` asks for the row of an operation never seen."""

    def declare(self, deployments: Mapping[str, tuple[float, float | None]]) -> None:
        """The deployments in service: id → (capability 0–100, price in USD per million tokens
        or None). Ones that left may be forgotten after a while."""

    def adopt(self, deployment: str, variant: str) -> None:
        """A canary was promoted: the deployment now is what the variant was."""

    def forget(self, variant: str) -> None:
        """A canary was taken back: drop what was learnt about the variant."""

    def due(self, now_s: float) -> Sequence[str]:
        """Operations whose shares changed by time or alarms since the last refresh, beside those
        that were just learnt from; ``""``: all."""

    def alarms(self) -> Sequence[tuple[str, str, dict[str, float]]]:
        """Change alarms since the last call: (deployment, operation, numbers)."""

    def dump(self) -> bytes:
        """What was learnt, as JSON; small (≤ 1 MiB for 1000 rows)."""

    def load(self, data: bytes) -> None:
        """Take back what ``dump`` wrote; data of another version or policy is ignored."""


@runtime_checkable
class KnowsOperations(Protocol):
    """A policy that can name what it learnt of, so that the first decisions after a start are drawn by it."""

    def operations(self) -> Sequence[str]:
        """Operations of which something is known; asked for once, after ``load``."""


@runtime_checkable
class LearnsAlike(Protocol):
    """A policy that takes many equal rewards at once."""

    def learn_alike(self, operation: str, deployment: str, reward: float, n: int) -> None:
        """Take in ``n`` first rewards, all the same, as ``learn`` would one after the other. Called
        instead of ``learn`` for runs that differ in nothing but their measures, in the order of their
        groups; a policy that needs times, costs or propensities of first rewards does not offer it."""


@runtime_checkable
class LearnsShared(Protocol):
    """A policy that takes in what other processes on the same store learnt. Without it a process learns
    from its own runs alone, and from the dump that it began with."""

    def learn_shared(self, operation: str, deployment: str, n: int, total: float) -> None:
        """Add ``n`` rewards with a sum to the estimates; either may be 0, and the sum negative, where
        later judgements corrected rewards that were told before.

        They are some seconds old, and each process watches for changes in its own runs: detectors
        do not take them, and of a deployment that has just fallen here they may be left out.
        """

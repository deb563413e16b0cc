"""What judges and changes: scorers, rankers, executors, gates; and how a plugin speaks later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from msgspec import Struct

from hivefeedback.model import (
    Configuration,
    Event,
    Feedback,
    Ledger,
    Mutation,
    MutationKind,
    Plan,
    Receipt,
    Score,
    Verdict,
)
from hivefeedback.stats import View

__all__ = ["Executor", "Gate", "Ranked", "Ranker", "Scorer", "Speaks", "Tag", "Voice"]


class Scorer(Protocol):
    """Judges runs in [0, 1]. One that has ``needs_output = True`` is asked about runs with an output only."""

    name: str

    def score(self, event: Event) -> Sequence[Score]:
        """Scores of a run (``event.body`` is a Run; its id is ``event.event_id``); empty where
        the scorer has nothing to say. Recorder thread; must be quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A deployment's place: score 0–100, taken apart, with the reason in words."""

    deployment: str
    score: float
    parts: Mapping[str, float]
    reason: str = ""


class Ranker(Protocol):
    """Orders deployments, best first.

    A ranker may offer two methods beside ``rank``, each answering a ranker that is otherwise the same:
    ``requiring(min_runs)`` with another minimum of runs from which on a deployment is known, and
    ``seeing(in_flight)`` told of the runs under way, a mapping of deployment to number. Questions that
    know these call them first.
    """

    name: str

    def rank(self, view: View, config: Configuration, *, operation: str, candidates: Sequence[str]) -> Sequence[Ranked]:
        """Score each candidate, 0–100."""


class Executor(Protocol):
    """Turns mutations of one kind into changes.

    For what the snapshot serves it is pure: ``apply`` answers a patch and nothing happens until
    the turn appends it. An external executor acts; the mutation's id is its idempotency key.
    """

    kind: MutationKind
    is_external: bool

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check the target and the value against the configuration, fill ``from_`` and ``undo``.

        Raises:
            InvalidInputError: The target is not known, or the value is not one of this kind.
        """

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The change; for an external executor: do it."""

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the change is in force in this configuration (or outside)."""

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The change back to ``mutation.from_``."""


class Gate(Protocol):
    """Says yes, no or ask to a mutation; no side effects."""

    name: str

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        """Judge one mutation of a plan."""


class Tag(Struct, frozen=True):
    """A small extra fact that a collect hook attaches to a run's attributes."""

    run_id: str
    name: str
    value: str | int | float | bool


class Voice(Protocol):
    """What a plugin may say of its own accord: at any time, from any thread. Never raises, never waits."""

    @property
    def is_inline(self) -> bool:
        """True where the loop was given a clock and has no thread: then nobody else should have one."""

    def say(self, feedback: Feedback) -> None:
        """A judgement of a run, however late; it joins like feedback from outside and is stored as such."""

    def note(self, name: str, detail: str = "") -> None:
        """Count one under a name in ``loop.counters``; ``detail`` is logged the first time."""


@runtime_checkable
class Speaks(Protocol):
    """A plugin that says something about runs later than it was asked, or about others than it was asked about."""

    def take_voice(self, voice: Voice) -> None:
        """Keep the voice. Called once, when the loop is made, after ``configure``; not in mode ``off``."""

"""Fakes with which the control room is tested without plugins: stages, executors, a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hivefeedback.control import Control, ControlOptions, counts_key, encode_counts
from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Executor, Gate, Journal, Record, Store
from hivefeedback.hooks.stages import CoreStages
from hivefeedback.model import (
    Answer,
    ArmCounts,
    Configuration,
    Decided,
    Finding,
    JournalEntry,
    JsonValue,
    Ledger,
    Mutation,
    MutationKind,
    Outlook,
    Plan,
    PromptVersions,
    PutDeployment,
    PutPrompt,
    Receipt,
    Rollout,
    StepCounts,
    UsePrompt,
    Verdict,
)
from hivefeedback.stats import View
from hivefeedback.testing.clock import FakeClock

__all__ = [
    "CrashError",
    "CrashingJournal",
    "FakeStages",
    "OutsideExecutor",
    "PromptExecutor",
    "Rig",
    "SwapExecutor",
    "swap",
]

T = TypeVar("T")


def swap(target: str = "a", to: JsonValue = "better", **more: Any) -> Mutation:
    """A change of a deployment's model; ``more`` are further fields of it."""
    return Mutation(kind=MutationKind.MODEL_SWAP, target=target, to=to, **more)


class SwapExecutor:
    """Changes a deployment's model."""

    kind = MutationKind.MODEL_SWAP
    is_external = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        deployment = config.deployments.get(mutation.target)
        if deployment is None:
            raise InvalidInputError(f"deployment {mutation.target!r} is not known")
        return replace(mutation, from_=deployment.model, undo="put the model back")

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        old = config.deployments[mutation.target]
        new = type(old)(old.id, model=str(mutation.to), params=old.params)
        return Receipt(mutation_id=mutation.mutation_id, patch=(PutDeployment(new),))

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        return config.deployments[mutation.target].model == mutation.to

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        return self.apply(replace(mutation, to=mutation.from_), config)


class PromptExecutor:
    """Serves a stored prompt text as the next version."""

    kind = MutationKind.PROMPT_PATCH
    is_external = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        if not isinstance(mutation.to, dict):
            raise InvalidInputError(f"{mutation.to!r} is no stored text")
        return replace(mutation, from_=config.prompts.get(mutation.target, PromptVersions()).current)

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        assert isinstance(mutation.to, dict)
        version = len(config.prompts.get(mutation.target, PromptVersions()).bodies) + 1
        patch = (PutPrompt(mutation.target, version, str(mutation.to["body"])), UsePrompt(mutation.target, version))
        return Receipt(mutation_id=mutation.mutation_id, patch=patch)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        return isinstance(mutation.to, dict) and config.prompts[mutation.target].body == mutation.to["body"]

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        return Receipt(mutation_id=mutation.mutation_id)


class OutsideExecutor:
    """Writes into ``outside``: target → (value, ids of the mutations that wrote it)."""

    kind = MutationKind.MEMORY_UPDATE
    is_external = True

    def __init__(self) -> None:
        self.outside: dict[str, JsonValue] = {}
        self.acts: list[str] = []
        self.is_broken = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        return mutation

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        if not self.is_broken:
            self.outside[mutation.target] = mutation.to
        self.acts.append(mutation.mutation_id)
        return Receipt(mutation_id=mutation.mutation_id, external=True)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        return self.outside.get(mutation.target) == mutation.to

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        self.outside.pop(mutation.target, None)
        return Receipt(mutation_id=mutation.mutation_id, external=True)


def _executors() -> dict[MutationKind, Executor]:
    return {e.kind: e for e in (SwapExecutor(), PromptExecutor(), OutsideExecutor())}


def _swallowed(thing: object, what: str, call: Callable[[], object], *, may_act: bool = False) -> object:
    """What a guard answers for a plugin that raises."""
    try:
        return call()
    except Exception:  # noqa: BLE001  # plays the plugin guard
        return None


@dataclass
class _NamedGate:
    """Stands for a gate that is only known by its name; ``FakeStages.validate`` answers for it."""

    name: str

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        return Verdict(gate=self.name, mutation_id=mutation.mutation_id, answer="yes", reason="")


@dataclass
class FakeStages:
    """Stages that answer what a test tells them to.

    ``answers`` holds gate → answer; ``outlooks`` monitor → what it decides for every rollout.
    """

    executors: Mapping[MutationKind, Executor] = field(default_factory=_executors)
    findings: list[Finding] = field(default_factory=list)
    planned: list[Mutation] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    outlooks: dict[str, Decided] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Names of the stages that were called, in order."""
    counts: list[Sequence[StepCounts]] = field(default_factory=list)
    during: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Called inside a stage, to play what another process does meanwhile."""

    def _enter(self, name: str) -> None:
        self.asked.append(name)
        self.during.get(name, lambda: None)()

    def analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        self._enter("analyze")
        return self.findings

    def plan(self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float) -> Sequence[Mutation]:
        self._enter("plan")
        return self.planned

    def validate(
        self, plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float
    ) -> Sequence[Verdict]:
        self._enter("validate")
        return [
            Verdict(gate=gate, mutation_id=m.mutation_id, answer=answer, reason=f"{gate} says {answer}")
            for m in plan.mutations
            for gate, answer in self.answers.items()
        ]

    @property
    def gates(self) -> Sequence[Gate]:
        return [_NamedGate(name) for name in self.answers]

    def ask_executor(self, kind: MutationKind, what: str, ask: Callable[[Executor], T]) -> T:
        core = CoreStages(_swallowed)
        core.executors = dict(self.executors)
        return core.ask_executor(kind, what, ask)

    def execute(self, mutation: Mutation, config: Configuration) -> Receipt | None:
        self._enter("execute")
        executor = self.executors.get(mutation.kind)
        return executor.apply(mutation, config) if executor else None

    def monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Sequence[Outlook]:
        self._enter("monitor")
        self.counts.append(counts)
        return [
            Outlook(
                rollout_id=rollout.rollout_id, decided=d, reason=f"{name} says so", monitor=name, numbers=self.numbers
            )
            for name, d in self.outlooks.items()
        ]


class CrashError(Exception):
    """The process would have died here."""


class CrashingJournal:
    """A journal that dies at its n-th append, before or after the entry is stored.

    Args:
        journal: The real one.
        at: Number of the append to die at, from 1.
        is_stored: Die after the entry was stored.
    """

    def __init__(self, journal: Journal, *, at: int, is_stored: bool) -> None:
        self._journal, self._at, self._is_stored = journal, at, is_stored
        self.n_appends = 0

    def append(self, entry: JournalEntry, *, expected_head: int) -> JournalEntry:
        self.n_appends += 1
        if self.n_appends == self._at and not self._is_stored:
            raise CrashError
        stored = self._journal.append(entry, expected_head=expected_head)
        if self.n_appends == self._at:
            raise CrashError
        return stored

    def head(self) -> int:
        return self._journal.head()

    def read(self, *, after: int = 0) -> Sequence[JournalEntry]:
        return self._journal.read(after=after)

    def put_body(self, text: str) -> str:
        return self._journal.put_body(text)

    def body(self, content_hash: str) -> str | None:
        return self._journal.body(content_hash)

    def erase_body(self, content_hash: str) -> bool:
        return self._journal.erase_body(content_hash)


@dataclass
class Rig:
    """Processes that share one store, and fakes around them."""

    store: Store
    stages: FakeStages = field(default_factory=FakeStages)
    clock: FakeClock = field(default_factory=FakeClock)

    def control(self, holder: str = "p1", **options: Any) -> Control:
        """One more process on the store."""
        return Control(self.store, self.stages, ControlOptions(**options), self.clock, holder)

    def count(
        self, rollout_id: str, *, share: float = 0.05, canary: int = 50, failures: tuple[int, int] = (0, 0)
    ) -> None:
        """Units whose end is known, as a recorder writes them: the control as many as the share says.

        ``failures`` are failing units (errors) of control and canary.
        """
        of_control, of_canary = ({"error": n} for n in failures)
        control = ArmCounts(units=round(canary * (1 - share) / share), failures=of_control)
        counts = [StepCounts(share=share, control=control, canary=ArmCounts(units=canary, failures=of_canary))]
        self.store.state.put(Record("rollout", counts_key(rollout_id, "rig", 1), encode_counts(counts)))

    def states(self, mutation_id: str = "") -> list[str]:
        """States of the journal's entries, of one mutation or of all."""
        entries = self.store.journal.read()
        return [e.state for e in entries if not mutation_id or e.mutation_id == mutation_id]

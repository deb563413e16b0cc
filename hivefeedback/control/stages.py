"""What control asks of the plugins; the hook registry is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from hivefeedback.hooks import Executor, Gate
from hivefeedback.model import (
    Configuration,
    Finding,
    Ledger,
    Mutation,
    MutationKind,
    Outlook,
    Plan,
    Receipt,
    Rollout,
    StepCounts,
    Verdict,
)
from hivefeedback.stats import View

__all__ = ["Stages"]

T = TypeVar("T")


class Stages(Protocol):
    """The guarded stages of the turn: a plugin that fails costs its own answer and never raises here."""

    @property
    def executors(self) -> Mapping[MutationKind, Executor]:
        """Executors by mutation kind."""

    @property
    def gates(self) -> Sequence[Gate]:
        """The gates that ``validate`` asks."""

    def ask_executor(self, kind: MutationKind, what: str, ask: Callable[[Executor], T]) -> T:
        """An executor's answer to ``prepare``, ``verify`` or ``undo``, in bounded time.

        Raises:
            InvalidInputError: There is none, or it refuses.
            PluginError: It failed, hung, or its plugin is quarantined.
        """

    def analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """Findings, the most severe first."""

    def plan(self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float) -> Sequence[Mutation]:
        """Candidate mutations, the most urgent first."""

    def validate(
        self, plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float
    ) -> Sequence[Verdict]:
        """Every gate's answer to every mutation of the plan."""

    def execute(self, mutation: Mutation, config: Configuration) -> Receipt | None:
        """The change, or None where nobody could make it."""

    def monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Sequence[Outlook]:
        """Every monitor's answer for one rollout."""

"""Core's own implementation of collect, validate and execute: it walks what plugins registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar, cast

from hivefeedback.errors import HiveFeedbackError, InvalidInputError, PluginError
from hivefeedback.hooks.plugin import Plugin
from hivefeedback.hooks.protocols import Executor, Gate, Scorer
from hivefeedback.hooks.specs import Collected, hookimpl
from hivefeedback.hooks.wellformed import well_formed
from hivefeedback.model import Configuration, Event, Ledger, Mutation, MutationKind, Plan, Receipt, Run, Score, Verdict
from hivefeedback.stats import View

__all__ = ["CoreStages", "Guarded", "check_score"]

T = TypeVar("T")
P = TypeVar("P")

JUDGED_KINDS = frozenset({"llm", "agent"})


class Guarded(Protocol):
    """Runs a callable on behalf of a registered thing; answers None where it failed, hung, or its
    plugin is out of service. ``may_act`` gives it the time of an act instead of a hook's."""

    def __call__(self, thing: object, what: str, call: Callable[[], object], *, may_act: bool = False) -> object: ...


class CoreStages(Plugin):
    """Asks each scorer, gate and executor in name order, each under its own plugin's guard.

    Args:
        guarded: Runs a callable on behalf of a registered thing.
    """

    name = "core"

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded
        self.scorers: list[Scorer] = []
        self.gates: list[Gate] = []
        self.executors: dict[MutationKind, Executor] = {}

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> Collected | None:
        """Scores of every scorer for every run of the batch."""
        if not self.scorers:
            return None
        answered = _judged([e for e in events if isinstance(e.body, Run) and e.body.output is not None])
        needs_all = not all(getattr(scorer, "needs_output", False) for scorer in self.scorers)
        runs = _judged([e for e in events if isinstance(e.body, Run)]) if needs_all else []
        scores: list[Score] = []
        for scorer in self.scorers:
            asked = answered if getattr(scorer, "needs_output", False) else runs
            if not asked:
                continue
            answer = self._guarded(scorer, f"scorer {scorer.name!r}", partial(_scores, scorer, asked))
            if isinstance(answer, list):
                scores += answer
        return Collected(scores=scores) if scores else None

    @hookimpl
    def hive_validate(
        self, plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float
    ) -> Sequence[Verdict]:
        """Every gate's verdict on every mutation; a gate that fails says no, since nothing unjudged may pass."""
        verdicts: list[Verdict] = []
        for gate in self.gates:
            for mutation in plan.mutations:
                verdicts.append(self._verdict(gate, mutation, plan, view, config, ledger, now_s))
        return verdicts

    def _verdict(
        self,
        gate: Gate,
        mutation: Mutation,
        plan: Plan,
        view: View,
        config: Configuration,
        ledger: Ledger,
        now_s: float,
    ) -> Verdict:
        def ask() -> Verdict:
            verdict = well_formed(gate.check(mutation, plan, view, config, ledger, now_s=now_s), Verdict)
            return replace(
                verdict, gate=gate.name, mutation_id=mutation.mutation_id
            )  # what was asked, whatever it says

        answer = self._guarded(gate, f"gate {gate.name!r}", ask)
        if isinstance(answer, Verdict):
            return answer
        return Verdict(gate=gate.name, mutation_id=mutation.mutation_id, answer="no", reason="the gate failed")

    @hookimpl
    def hive_execute(self, mutation: Mutation, config: Configuration) -> Receipt | None:
        """The receipt of the executor of the mutation's kind."""
        executor = self.executors.get(mutation.kind)
        if executor is None:
            return None
        what = f"executor {mutation.kind}"
        answer = self._guarded(executor, what, lambda: executor.apply(mutation, config), may_act=True)
        return answer if isinstance(answer, Receipt) else None

    def ask_executor(self, kind: MutationKind, what: str, ask: Callable[[Executor], T]) -> T:
        """The answer of a kind's executor to anything but ``apply``, under its plugin's guard.

        Args:
            kind: Whose executor.
            what: ``prepare``, which has a hook's time, or ``verify`` or ``undo``, which may act.
            ask: Asks it; raises PluginError where the answer is none.

        Raises:
            InvalidInputError: No plugin brings an executor of that kind.
            HiveFeedbackError: What the executor raises on purpose.
            PluginError: It failed, did not return in time, or its plugin is quarantined.
        """
        executor = self.executors.get(kind)
        if executor is None:
            known = ", ".join(sorted(self.executors)) or "none"
            raise InvalidInputError(f"no plugin can execute {kind}; kinds that can be executed: {known}")
        return self.ask(executor, f"executor {kind}", what, ask, may_act=what != "prepare")

    def ask(self, thing: P, noun: str, what: str, ask: Callable[[P], T], *, may_act: bool = False) -> T:
        """What something that a plugin registered answers, under its plugin's guard.

        Args:
            thing: Whom to ask.
            noun: What it is, for messages.
            what: The method that is called.
            ask: Asks it; raises PluginError where the answer is none.
            may_act: It has the time of execute.

        Raises:
            HiveFeedbackError: What it raises on purpose.
            PluginError: It failed, did not return in time, or its plugin is quarantined.
        """
        failure: Exception | None = None

        def call() -> tuple[T] | HiveFeedbackError:
            nonlocal failure
            try:
                return (ask(thing),)
            except PluginError as error:
                failure = error
                raise
            except HiveFeedbackError as error:
                return error  # a refusal is an answer: it does not count against the plugin
            except Exception as error:  # the plugin guard's, which catches it; kept for the message
                failure = error
                raise

        answer = self._guarded(thing, f"{noun}.{what}", call, may_act=may_act)
        if isinstance(answer, tuple):
            return cast(T, answer[0])
        if isinstance(answer, HiveFeedbackError):
            raise answer
        if failure is None:
            raise PluginError(
                f"the {noun} did not return from {what} in time, or its plugin is quarantined; "
                f"see: hivefeedback plugins list"
            )
        raise PluginError(f"the {noun} failed in {what}: {type(failure).__name__}: {failure}") from failure


def _judged(events: Sequence[Event]) -> list[Event]:
    """Runs of kinds that are scored."""
    return [e for e in events if isinstance(e.body, Run) and e.body.kind in JUDGED_KINDS]


def _scores(scorer: Scorer, runs: Sequence[Event]) -> list[Score]:
    scores: list[Score] = []
    for event in runs:
        for score in scorer.score(event):
            scores.append(check_score(score))
    return scores


def check_score(score: object) -> Score:
    """A score as it can be counted and stored.

    Raises:
        PluginError: It is none.
    """
    if isinstance(score, Score):
        texts = (score.run_id, score.name, score.source, score.explanation)
        is_number = isinstance(score.value, int | float) and 0.0 <= score.value <= 1.0
        if is_number and all(isinstance(text, str) for text in texts):
            return score
    raise PluginError(f"answered {score!r:.200}; expected Score with a value in [0, 1]")

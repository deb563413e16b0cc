"""Calls executors under their plugin's guard, and checks what they answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from hivefeedback.control.stages import Stages
from hivefeedback.errors import HiveFeedbackError, InvalidInputError, PluginError, StoreError
from hivefeedback.hooks import Executor, KeepsState, State, Tends
from hivefeedback.model import Configuration, Ledger, Mutation, MutationKind, Receipt

__all__ = ["Executors"]

log = logging.getLogger(__name__)
T = TypeVar("T")


class Executors:
    """The executor of each mutation kind.

    Every method raises InvalidInputError where no plugin brings an executor of the kind or where it
    refuses, and PluginError where it fails, hangs, or is quarantined.
    """

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def open(self, state: State, clock: Callable[[], float]) -> None:
        """Hand the store's small records to those that keep something there. One that fails says so
        when it is asked for something."""

        def opened(executor: Executor) -> bool:
            if isinstance(executor, KeepsState):
                executor.open(state, clock)
            return True

        for kind in self._stages.executors:
            try:
                self._ask(kind, "open", opened, bool)
            except HiveFeedbackError as error:
                log.warning("%s", error)

    def tend(self, config: Configuration, ledger: Ledger) -> tuple[Receipt, ...]:
        """What those with a side outside did to bring it in line; one that fails is tried next time."""

        def tended(executor: Executor) -> tuple[Receipt, ...]:
            return tuple(executor.tend(config, ledger)) if isinstance(executor, Tends) else ()

        receipts: list[Receipt] = []
        for kind in self._stages.executors:
            try:
                receipts += self._ask(kind, "tend", tended, tuple)
            except StoreError:
                raise
            except HiveFeedbackError as error:
                log.warning("%s", error)
        return tuple(receipts)

    def is_external(self, kind: MutationKind) -> bool:
        """True where executing means to act on something outside."""
        executor = self._stages.executors.get(kind)
        if executor is None:
            known = ", ".join(sorted(self._stages.executors)) or "none"
            raise InvalidInputError(f"no plugin can execute {kind}; kinds that can be executed: {known}")
        return executor.is_external

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """The mutation, checked and completed by its executor."""
        return self._ask(mutation.kind, "prepare", lambda executor: executor.prepare(mutation, config), Mutation)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the change is in force."""
        return self._ask(mutation.kind, "verify", lambda executor: executor.verify(mutation, config), bool)

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """Take back what an external executor did."""
        return self._ask(mutation.kind, "undo", lambda executor: executor.undo(mutation, config), Receipt)

    def _ask(self, kind: MutationKind, what: str, ask: Callable[[Executor], T], expected: type[T]) -> T:
        def checked(executor: Executor) -> T:
            answer = ask(executor)
            if not isinstance(answer, expected):
                raise PluginError(f"it answered {type(answer).__name__}; expected {expected.__name__}")
            return answer

        return self._stages.ask_executor(kind, what, checked)

"""Calls executors so that whatever one of them raises is an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hivefeedback.control.stages import Stages
from hivefeedback.errors import HiveFeedbackError, InvalidInputError, PluginError
from hivefeedback.hooks import Executor
from hivefeedback.model import Configuration, Mutation, MutationKind, Receipt

__all__ = ["Executors"]

T = TypeVar("T")


class Executors:
    """The executor of each mutation kind."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def of(self, kind: MutationKind) -> Executor:
        """The executor of a kind.

        Raises:
            InvalidInputError: No plugin brings one.
        """
        executor = self._stages.executors.get(kind)
        if executor is None:
            known = ", ".join(sorted(self._stages.executors)) or "none"
            raise InvalidInputError(f"no plugin can execute {kind}; kinds that can be executed: {known}")
        return executor

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """The mutation, checked and completed by its executor.

        Raises:
            InvalidInputError: Target or value do not fit the configuration.
            PluginError: The executor failed.
        """
        executor = self.of(mutation.kind)
        return _call(mutation.kind, "prepare", lambda: executor.prepare(mutation, config), Mutation)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the change is in force."""
        executor = self.of(mutation.kind)
        return _call(mutation.kind, "verify", lambda: executor.verify(mutation, config), bool)

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """Take back what an external executor did."""
        executor = self.of(mutation.kind)
        return _call(mutation.kind, "undo", lambda: executor.undo(mutation, config), Receipt)


def _call(kind: MutationKind, what: str, call: Callable[[], T], expected: type[T]) -> T:
    try:
        answer = call()
    except HiveFeedbackError:
        raise
    except Exception as error:  # the plugin guard: an executor may raise anything
        raise PluginError(f"the executor of {kind} failed in {what}: {type(error).__name__}: {error}") from error
    if not isinstance(answer, expected):
        raise PluginError(f"the executor of {kind} answered {type(answer).__name__} in {what}")
    return answer

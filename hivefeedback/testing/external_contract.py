"""What every executor that acts outside the configuration must do; inherit, and say how to make yours."""

from __future__ import annotations

from dataclasses import replace

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Executor, KeepsState, State
from hivefeedback.model import Configuration, Deployment, Mutation

__all__ = ["ExternalExecutorContract"]


class ExternalExecutorContract:
    """Inherit as ``class TestMyExecutor(ExternalExecutorContract)``; override ``make_executor``,
    ``make_state``, ``make_mutation`` and ``make_nonsense``.

    An act may be repeated after a crash, or asked of a process that has not done it: everything
    hangs on the mutation's id.
    """

    config = Configuration(version=3, deployments={"a": Deployment("a")})

    def make_executor(self) -> Executor:
        """A new executor."""
        raise NotImplementedError

    def make_state(self) -> State:
        """An empty ``State``; executors that keep nothing there ignore it."""
        raise NotImplementedError

    def make_mutation(self) -> Mutation:
        """A mutation that can be done, as core hands it on (texts by their hash), without an id."""
        raise NotImplementedError

    def make_nonsense(self) -> Mutation:
        """One whose value is not of this kind."""
        raise NotImplementedError

    def _opened(self, state: State) -> Executor:
        executor = self.make_executor()
        if isinstance(executor, KeepsState):
            executor.open(state, lambda: 1_700_000_000.0)
        return executor

    def _refusal(self, mutation: Mutation) -> str:
        """The sentence with which a mutation is refused; empty where it is not."""
        try:
            self._opened(self.make_state()).prepare(mutation, self.config)
        except InvalidInputError as error:
            return str(error)
        return ""

    def _prepared(self, executor: Executor) -> Mutation:
        return executor.prepare(replace(self.make_mutation(), mutation_id="m-1"), self.config)

    def test_it_says_that_it_is_external(self) -> None:
        assert self.make_executor().is_external

    def test_prepare_says_the_way_back_and_keeps_its_own_answer(self) -> None:
        executor = self._opened(self.make_state())
        prepared = self._prepared(executor)
        assert prepared.undo
        assert executor.prepare(prepared, self.config) == prepared

    def test_a_value_of_another_kind_is_refused(self) -> None:
        assert self._refusal(self.make_nonsense())

    def test_it_is_in_force_once_it_was_applied_and_not_before(self) -> None:
        executor = self._opened(self.make_state())
        prepared = self._prepared(executor)
        assert not executor.verify(prepared, self.config)
        receipt = executor.apply(prepared, self.config)
        assert (receipt.mutation_id, receipt.external, receipt.patch) == ("m-1", True, ())
        assert receipt.message
        assert executor.verify(prepared, self.config)

    def test_applying_again_after_a_crash_changes_nothing(self) -> None:
        state = self.make_state()
        prepared = self._prepared(self._opened(state))
        self._opened(state).apply(prepared, self.config)
        self._opened(state).apply(prepared, self.config)
        executor = self._opened(state)
        assert executor.verify(prepared, self.config)
        executor.undo(prepared, self.config)
        assert not executor.verify(prepared, self.config)

    def test_undo_leads_back_and_can_be_asked_again_of_any_process(self) -> None:
        state = self.make_state()
        prepared = self._prepared(self._opened(state))
        self._opened(state).apply(prepared, self.config)
        for _ in range(2):
            receipt = self._opened(state).undo(prepared, self.config)
            assert receipt.external
            assert not self._opened(state).verify(prepared, self.config)
        assert self._prepared(self._opened(state)).undo  # it can be proposed again

    def test_undoing_what_was_never_applied_is_no_error(self) -> None:
        executor = self._opened(self.make_state())
        executor.undo(self._prepared(executor), self.config)

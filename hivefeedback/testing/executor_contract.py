"""What every executor of something that the snapshot serves must do; inherit, and say how to make yours."""

from __future__ import annotations

from dataclasses import replace

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Executor
from hivefeedback.model import Configuration, Deployment, Mutation, PromptVersions, Route, inverse, live_value, patched

__all__ = ["ExecutorContract"]


class ExecutorContract:
    """Inherit as ``class TestMyExecutor(ExecutorContract)``; override ``make_executor``, ``make_mutation``,
    ``make_unknown`` and ``make_nonsense``."""

    config = Configuration(
        version=3,
        deployments={"a": Deployment("a"), "b": Deployment("b", model="model-b")},
        routes={"qa": Route(candidates=("a",))},
        prompts={"p": PromptVersions(bodies=("hash-1", "hash-2"), current=1)},
    )

    def make_executor(self) -> Executor:
        """A new executor."""
        raise NotImplementedError

    def make_mutation(self) -> Mutation:
        """A mutation that fits ``config``, without ``from_`` and ``undo``."""
        raise NotImplementedError

    def make_unknown(self) -> Mutation:
        """One that names something unknown."""
        raise NotImplementedError

    def make_nonsense(self) -> Mutation:
        """One whose value is not of this kind."""
        raise NotImplementedError

    def _prepared(self) -> Mutation:
        return self.make_executor().prepare(replace(self.make_mutation(), mutation_id="m-1"), self.config)

    def _refuses(self, mutation: Mutation, config: Configuration) -> bool:
        try:
            self.make_executor().prepare(mutation, config)
        except InvalidInputError as error:
            return bool(str(error))
        return False

    def test_prepare_fills_the_live_value_and_the_way_back(self) -> None:
        prepared = self._prepared()
        assert prepared.from_ == live_value(self.config, prepared.kind, prepared.target)
        assert prepared.undo

    def test_prepare_keeps_its_own_answer(self) -> None:
        prepared = self._prepared()
        assert self.make_executor().prepare(prepared, self.config) == prepared

    def test_something_unknown_is_refused(self) -> None:
        assert self._refuses(self.make_unknown(), self.config)

    def test_a_value_of_another_kind_is_refused(self) -> None:
        assert self._refuses(self.make_nonsense(), self.config)

    def test_what_is_in_force_already_is_refused(self) -> None:
        executor, prepared = self.make_executor(), self._prepared()
        after = patched(self.config, executor.apply(prepared, self.config).patch)
        assert self._refuses(replace(prepared, from_=None, undo=""), after)

    def test_apply_changes_nothing_but_answers_a_patch_that_verify_confirms(self) -> None:
        executor, prepared = self.make_executor(), self._prepared()
        receipt = executor.apply(prepared, self.config)
        assert receipt.mutation_id == "m-1"
        assert receipt.message
        assert not executor.verify(prepared, self.config)
        assert executor.verify(prepared, patched(self.config, receipt.patch))

    def test_undo_leads_back_to_what_was_live(self) -> None:
        executor, prepared = self.make_executor(), self._prepared()
        after = patched(self.config, executor.apply(prepared, self.config).patch)
        back = patched(after, executor.undo(prepared, after).patch)
        assert live_value(back, prepared.kind, prepared.target) == prepared.from_
        assert not executor.verify(prepared, back)

    def test_the_inverse_of_its_patch_leads_back_too(self) -> None:
        executor, prepared = self.make_executor(), self._prepared()
        patch = executor.apply(prepared, self.config).patch
        back = patched(patched(self.config, patch), inverse(self.config, patch))
        assert live_value(back, prepared.kind, prepared.target) == prepared.from_

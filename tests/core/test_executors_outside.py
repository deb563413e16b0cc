"""Executors with a side outside the configuration: opened when a loop is made, tended by each turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hivefeedback import FeedbackLoop, Mutation, MutationKind, Plugin, hookimpl
from hivefeedback.hooks import Executor, KeepsState, Record, State, Tends
from hivefeedback.model import Configuration, Ledger, Receipt
from hivefeedback.testing import FakeClock
from tests.core.loops import sync_loop


class _Outside:
    """Writes down what it is asked."""

    kind = MutationKind.MEMORY_UPDATE
    is_external = True

    def __init__(self, *, breaks: str = "") -> None:
        self.state: State | None = None
        self.clock: Callable[[], float] = lambda: 0.0
        self.tended: list[Configuration] = []
        self._breaks = breaks

    def open(self, state: State, clock: Callable[[], float]) -> None:
        if self._breaks == "open":
            raise RuntimeError("no room")
        self.state, self.clock = state, clock

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        return replace(mutation, undo="back")

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        assert self.state is not None
        self.state.put(Record("outside", mutation.mutation_id, repr(self.clock()).encode()))
        return Receipt(mutation_id=mutation.mutation_id, external=True, message="it was done")

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        return self.state is not None and self.state.get("outside", mutation.mutation_id) is not None

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        assert self.state is not None
        self.state.delete("outside", mutation.mutation_id)
        return Receipt(mutation_id=mutation.mutation_id, external=True)

    def tend(self, config: Configuration, ledger: Ledger) -> Sequence[Receipt]:
        self.tended.append(config)
        if self._breaks == "tend":
            raise RuntimeError("it is raining")
        return (Receipt(mutation_id="", external=True, message="tidied"),) if ledger.lives else ()


class _Brings(Plugin):
    name = "brings"

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        return (self._executor,)


def _loop(executor: _Outside, **more: Any) -> FeedbackLoop:
    return sync_loop("a", plugins=[_Brings(executor)], **more)


FORGET = Mutation(kind=MutationKind.MEMORY_UPDATE, target="x", to={"forget": "m-1"})


def test_an_executor_that_keeps_something_is_handed_the_small_records_and_the_clock() -> None:
    executor, clock = _Outside(), FakeClock(77.0)
    assert isinstance(executor, KeepsState)
    assert isinstance(executor, Tends)
    with _loop(executor, clock=clock) as loop:
        mutation_id = loop.propose(FORGET)
        receipts = loop.turn().receipts
        assert [r.message for r in receipts] == ["it was done", "tidied"]
        record = loop.store.state.get("outside", mutation_id)
        assert record is not None
        assert record.value == b"77.0"
        assert loop.why(mutation_id).steps[-1].reason == "it was done"


def test_tending_happens_in_every_turn_that_may_act_and_in_no_other() -> None:
    for mode, n in (("act", 2), ("advise", 0), ("observe", 0)):
        executor = _Outside()
        with _loop(executor, mode=mode) as loop:
            loop.turn()
            loop.turn()
            assert len(executor.tended) == n


@pytest.mark.parametrize("breaks", ["open", "tend"])
def test_one_that_breaks_is_named_and_stops_neither_the_loop_nor_the_turn(
    breaks: str, caplog: pytest.LogCaptureFixture
) -> None:
    with _loop(_Outside(breaks=breaks)) as loop:
        assert loop.turn().leader
        assert loop.decide("x").deployment == "a"
        assert next(p for p in loop.plugins() if p.name == "brings").errors == 1
    assert f"executor MEMORY_UPDATE.{breaks}" in caplog.text


def test_what_was_undone_outside_is_gone_and_a_second_rollback_changes_nothing() -> None:
    executor = _Outside()
    with _loop(executor) as loop:
        mutation_id = loop.propose(FORGET)
        loop.turn()
        for _ in range(2):
            loop.rollback(mutation_id)
        assert loop.store.state.get("outside", mutation_id) is None

"""A run that tells tokens and no cost costs its deployment's list price, and says that it was worked out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.model import Price, PutDeployment
from hivefeedback.recording.learning.prices import COST_SOURCE, LIST_PRICE
from tests.core.loops import bodies, events, open_rollout, sync_loop

PRICED = Deployment("a", price=Price(1.0, 4.0))


def learn(loop: FeedbackLoop, runs: Sequence[Run], *, is_slice: bool) -> list[Run]:
    """The runs as they were logged."""
    if is_slice:
        assert loop._engine is not None
        loop._engine.recorder.process([(next(loop._engine.numbers), loop._clock(), run) for run in runs])
    else:
        for run in runs:
            loop.record(run)
    return bodies(loop, Run)


@pytest.mark.parametrize("is_slice", [False, True])
def test_tokens_cost_the_list_price_and_that_is_marked(is_slice: bool) -> None:
    """S2.13: cost tracking."""
    runs = [Run("a", "x", "ok", 1.0, tokens_in=1000, tokens_out=500)] * 5
    with sync_loop(PRICED, "b") as loop:
        logged = learn(loop, runs, is_slice=is_slice)
        assert [run.cost_usd for run in logged] == pytest.approx([0.003] * 5)
        assert {run.attributes[COST_SOURCE] for run in logged} == {LIST_PRICE}
        (row,) = loop.stats()
        assert row.cost_usd == pytest.approx(0.015)


@pytest.mark.parametrize("is_slice", [False, True])
def test_a_cost_that_was_told_or_cannot_be_known_stays(is_slice: bool) -> None:
    runs = [
        Run("a", "x", cost_usd=0.5, tokens_in=1000),
        Run("a", "x"),
        Run("b", "x", tokens_in=1000),
        Run("a", "x", "cache_hit", tokens_in=1000),
        Run("a", "x", tokens_out=1_000_000),
    ]
    with sync_loop(PRICED, "b") as loop:
        logged = learn(loop, runs, is_slice=is_slice)
        assert [run.cost_usd for run in logged] == [0.5, None, None, None, 4.0]
        assert [dict(run.attributes) for run in logged[:4]] == [{}] * 4


def test_prices_come_from_the_settings_too() -> None:
    with sync_loop("a", prices={"a": {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 0.0}}) as loop:
        (run,) = learn(loop, [Run("a", "x", tokens_in=500_000, attributes={"k": 1})], is_slice=False)
        assert (run.cost_usd, run.attributes) == (1.0, {"k": 1, COST_SOURCE: LIST_PRICE})


def test_a_canary_costs_what_it_serves() -> None:
    with sync_loop(PRICED) as loop:
        open_rollout(loop, [PutDeployment(Deployment("a", model="cheap", price=Price(0.1, 0.4)))], share=0.5)
        arms: dict[str, str] = {}
        for _ in range(20):
            decision = loop.decide("x")
            (assignment,) = decision.assignments
            arms[loop.record(Run("a", "x", tokens_in=1_000_000, decision_id=decision.decision_id))] = assignment.variant
        runs = [event for event in events(loop) if isinstance(event.body, Run)]
        costs = {arms[event.event_id]: event.body.cost_usd for event in runs if isinstance(event.body, Run)}
        assert costs == {"control": 1.0, "canary": pytest.approx(0.1)}

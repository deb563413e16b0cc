"""All six stages with the built-in plugins: a model falls, the host cannot leave it, the loop does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Mutation, MutationKind, Run
from hivefeedback.model import JournalEntry
from hivefeedback.testing import FakeClock

RATES = {"model-a": 0.9, "model-b": 0.85, "model-c": 0.6}


class _World:
    """Answers whose success depends on model and prompt; ``x/pin`` always asks for deployment ``a``."""

    def __init__(self, seed: int) -> None:
        self.clock, self.rng, self.is_fallen = FakeClock(), random.Random(seed), False
        self.loop = FeedbackLoop(
            store="memory://",
            deployments=[Deployment(n, model=f"model-{n}") for n in "abc"],
            prompts={"p": "Answer {question}"},
            clock=self.clock,
            seed=seed,
            judgements={"": ["success"]},
            canary_steps=[0.2, 0.5, 1.0],
            canary_min_units=10,
        )

    def play(self, n: int) -> None:
        """So many calls, with a turn after every 40."""
        for i in range(n):
            operation = self.rng.choice(["x/1", "x/2", "x/pin"])
            decision = self.loop.decide(operation, candidates=["a"] if operation == "x/pin" else None)
            rate = RATES[decision.model or ""]
            if self.is_fallen and decision.model == "model-a":
                rate *= 0.3
            if "nonsense" in decision.prompt("p", question="?"):
                rate *= 0.2
            run_id = self.loop.record(
                Run(decision.deployment or "", operation, "ok", 0.3, decision_id=decision.decision_id)
            )
            self.loop.feedback(Feedback(name="success", value=float(self.rng.random() < rate), run_id=run_id))
            self.clock.advance(0.05)
            if i % 40 == 39:
                self.loop.turn()

    def play_until(self, is_over: Callable[[], bool], *, at_most: int) -> None:
        """Calls until it is so; how many that takes is chance."""
        for _ in range(0, at_most, 40):
            if is_over():
                return
            self.play(40)
        assert is_over(), f"{at_most} calls were not enough: {[e.state for e in self.loop.store.journal.read()]}"

    def swaps(self) -> list[JournalEntry]:
        return [e for e in self.loop.store.journal.read() if e.state == "proposed"]

    def states(self, mutation_id: str) -> list[str]:
        return [e.state for e in self.loop.store.journal.read() if e.mutation_id == mutation_id]


@pytest.fixture(params=[1, 2, 3, 5])
def world(request: pytest.FixtureRequest) -> Iterator[_World]:
    made = _World(seed=request.param)
    yield made
    made.loop.close()


def test_a_fall_leads_to_a_swap_that_is_promoted_and_a_harmful_prompt_is_taken_back(world: _World) -> None:
    world.play(600)
    assert not [e for e in world.loop.store.journal.read() if e.mutation_id]  # nothing fell, nothing is planned
    world.is_fallen = True
    world.play_until(lambda: bool(world.swaps()), at_most=1200)
    swap = world.swaps()[0]
    assert swap.mutation is not None
    assert (swap.mutation.kind, swap.mutation.target, swap.mutation.to) == (MutationKind.MODEL_SWAP, "a", "model-b")
    world.play_until(lambda: world.states(swap.mutation_id)[-1] not in ("validated", "canary"), at_most=3000)
    assert world.states(swap.mutation_id)[-1] == "promoted"
    assert world.loop.configuration.deployments["a"].model == "model-b"

    patch = world.loop.propose(Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to="nonsense {question}"))
    world.play_until(lambda: world.states(patch)[-1] not in ("validated", "canary"), at_most=1200)
    assert world.states(patch)[-1] == "rolled_back"
    assert world.loop.configuration.prompts["p"].current == 1
    assert {e.mutation_id for e in world.loop.store.journal.read() if e.mutation_id} == {swap.mutation_id, patch}

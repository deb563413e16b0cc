"""From recorded runs to another version of a prompt, applied by evidence and undone, by all six stages."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.model import Mutation, MutationKind
from hivefeedback.testing import EvenPolicy, FakeClock


class _World:
    """Two deployments answer ``x/ask`` by the prompt ``answer`` and ``x/sum`` by ``summary``."""

    def __init__(self, seed: int = 3) -> None:
        self.clock, self.rng = FakeClock(), random.Random(seed)
        self.loop = FeedbackLoop(
            store="memory://",
            deployments=[Deployment("a"), Deployment("b")],
            prompts={"answer": "Answer {question}", "summary": "Sum up {question}"},
            policy=EvenPolicy(),
            clock=self.clock,
            seed=seed,
            judgements={"": ["success"]},
            canary_steps=[0.5, 1.0],
            canary_min_units=10,
        )

    def play(self, n: int) -> None:
        """So many calls, with a turn after every 50; whoever is asked vaguely answers badly."""
        for i in range(n):
            operation = self.rng.choice(["x/ask", "x/sum"])
            decision = self.loop.decide(operation)
            text = decision.prompt("answer" if operation == "x/ask" else "summary", question="?")
            rate = 0.05 if "nonsense" in text else 0.35 if "vaguely" in text else 0.95
            run_id = self.loop.record(
                Run(decision.deployment or "", operation, "ok", 0.3, decision_id=decision.decision_id)
            )
            self.loop.feedback(Feedback(name="success", value=self.rng.random() < rate, run_id=run_id))
            self.clock.advance(1.0)
            if i % 50 == 49:
                self.loop.turn()

    def lives(self) -> list[tuple[Mutation, str]]:
        return [(life.mutation, life.state) for life in self.loop.ledger.lives.values()]


@pytest.fixture
def world() -> Iterator[_World]:
    made = _World()
    yield made
    made.loop.close()


def test_newest_runs_tell_what_their_decisions_were_asked_for(world: _World) -> None:
    world.loop.prompts.add("answer", "Answer well: {question}")
    world.play(20)
    exemplars = world.loop.view().exemplars
    assert {e.prompts for e in exemplars["a", "x/ask"]} == {("answer@2",)}
    assert {e.prompts for e in exemplars["b", "x/sum"]} == {("summary@1",)}
    decision = world.loop.decide("x/quiet")
    world.loop.record(Run("a", "x/quiet", decision_id=decision.decision_id))
    assert [e.prompts for e in world.loop.view().exemplars["a", "x/quiet"]] == [()]


def test_a_prompt_whose_satisfaction_fell_gets_its_other_version_by_evidence_and_the_change_can_be_taken_back(
    world: _World,
) -> None:
    """S4.5: PROMPT_PATCH, from recorded runs to applied and undone."""
    world.play(400)
    assert world.lives() == []
    world.loop.prompts.add("answer", "Answer {question} vaguely")
    world.play(600)
    ((patch, state),) = world.lives()
    assert (patch.kind, patch.target, patch.from_, patch.to) == (MutationKind.PROMPT_PATCH, "answer", 2, 1)
    assert (patch.planner, state) == ("prompt_patch_planner", "promoted")
    assert world.loop.decide("x/ask").prompt("answer", question="why") == "Answer why"
    assert "so the prompt is suspected" in world.loop.why(patch.mutation_id).text()
    assert world.loop.configuration.prompts["summary"].current == 1

    world.loop.rollback(patch.mutation_id, why="it was meant to be vague")
    assert world.loop.configuration.prompts["answer"].current == 2
    assert world.loop.decide("x/ask").prompt("answer", question="why") == "Answer why vaguely"
    world.play(200)
    assert len(world.lives()) == 1, "what a person took back is not tried again within the window"


def test_an_alternative_that_is_worse_is_taken_back_by_evidence_and_the_next_one_is_tried(world: _World) -> None:
    """S4.5: the newest unknown version first; each is tried once, and by evidence alone."""
    world.loop.prompts.add("answer", "Answer {question} with nonsense")
    world.loop.prompts.add("answer", "Answer {question}, please")
    world.play(400)
    world.loop.prompts.add("answer", "Answer {question} vaguely")
    world.play(500)
    ((patch, state),) = world.lives()
    assert (patch.to, state) == (3, "promoted")
    world.loop.rollback(patch.mutation_id, why="a person does not want it")
    for _ in range(50):
        world.play(50)
        if [state for _, state in world.lives()[1:]] == ["rolled_back", "promoted"]:
            break
    assert [(m.to, state) for m, state in world.lives()] == [(3, "rolled_back"), (2, "rolled_back"), (1, "promoted")]

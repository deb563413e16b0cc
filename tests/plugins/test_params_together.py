"""From recorded runs to an applied and undone change of parameters, by all six stages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.hooks import Plugin, hookimpl
from hivefeedback.model import Finding, Mutation, MutationKind
from hivefeedback.testing import EvenPolicy, FakeClock


class _World:
    """Calls that want some tokens and some seconds, and get what the deployment's parameters allow."""

    def __init__(self, deployment: Deployment, *plugins: object, seed: int = 1) -> None:
        self.clock, self.rng = FakeClock(), random.Random(seed)
        self.loop = FeedbackLoop(
            store="memory://",
            deployments=[deployment],
            policy=EvenPolicy(),
            plugins=plugins,
            clock=self.clock,
            seed=seed,
            judgements={"": ["success"]},
            canary_steps=[0.5, 1.0],
            canary_min_units=10,
        )

    def call(self) -> None:
        decision = self.loop.decide("x/answer")
        wanted, slow_s = self.rng.randint(100, 1000), self.rng.uniform(1.0, 14.0)
        cap, timeout_s = decision.params.get("max_tokens", 10_000), decision.params.get("timeout_s", 1e9)
        assert isinstance(cap, int)
        assert isinstance(timeout_s, float)
        outcome = "timeout" if slow_s > timeout_s else "truncated" if wanted > cap else "ok"
        run_id = self.loop.record(
            Run(
                decision.deployment or "",
                "x/answer",
                outcome,
                min(slow_s, timeout_s),
                decision_id=decision.decision_id,
                tokens_out=min(wanted, cap),
            )
        )
        if outcome != "timeout":
            self.loop.feedback(Feedback(name="success", value=outcome == "ok", run_id=run_id))
        self.clock.advance(1.0)

    def play(self, n: int) -> None:
        """So many calls, with a turn after every 50."""
        for i in range(n):
            self.call()
            if i % 50 == 49:
                self.loop.turn()

    def lives(self) -> list[tuple[Mutation, str]]:
        return [(life.mutation, life.state) for life in self.loop.ledger.lives.values()]


@contextmanager
def _world(deployment: Deployment, *plugins: object) -> Iterator[_World]:
    world = _World(deployment, *plugins)
    try:
        yield world
    finally:
        world.loop.close()


def test_truncated_answers_widen_the_limit_by_evidence_and_the_change_can_be_taken_back() -> None:
    """S4.5: PARAM_SET, truncated → more max_tokens, from recorded runs to applied and undone."""
    deployment = Deployment("a", params={"max_tokens": 500, "top_p": 0.9}, bounds={"max_tokens": (100, 750)})
    with _world(deployment) as world:
        world.play(600)
        ((mutation, state),) = world.lives()
        assert (mutation.kind, mutation.to, state) == (MutationKind.PARAM_SET, {"max_tokens": 750}, "promoted")
        assert mutation.planner == "param_set_planner"
        assert mutation.resources["tokens_out_per_run"] > 0
        assert world.loop.configuration.deployments["a"].params == {"max_tokens": 750, "top_p": 0.9}
        assert world.loop.decide("x/answer").params["max_tokens"] == 750
        story = world.loop.why(mutation.mutation_id).text()
        assert "are truncated" in story
        assert "resources: tokens_out_per_run +" in story

        world.play(100)
        assert len(world.lives()) == 1  # the bound is reached
        world.loop.rollback(mutation.mutation_id, why="too dear")
        assert world.loop.configuration.deployments["a"] == deployment
        assert world.loop.decide("x/answer").params == {"max_tokens": 500, "top_p": 0.9}
        world.play(100)
        assert len(world.lives()) == 1  # what a person took back is not tried again within the window


def test_a_second_step_rests_on_what_was_served_after_the_first() -> None:
    deployment = Deployment("a", params={"max_tokens": 450}, bounds={"max_tokens": (100, 4000)})
    with _world(deployment) as world:
        world.play(1600)
        steps = [m.to for m, state in world.lives() if state == "promoted"]
        assert steps[:2] == [{"max_tokens": 675}, {"max_tokens": 1012}]
        assert world.loop.configuration.deployments["a"].params == {"max_tokens": 1012}  # nobody wants more
        first, second = (m for m, state in world.lives() if state == "promoted")
        assert second.reason.startswith(("3", "4"))  # a third and more want above 675 of at most 1000
        assert first.reason.startswith(("5", "6"))


def test_slow_calls_that_time_out_get_more_time_and_the_change_can_be_taken_back() -> None:
    """S4.5: PARAM_SET, timeouts → longer timeout."""
    deployment = Deployment("a", params={"timeout_s": 10.0}, bounds={"timeout_s": (1.0, 30.0)})
    with _world(deployment) as world:
        world.play(600)
        ((mutation, state),) = world.lives()
        assert (mutation.to, state) == ({"timeout_s": 15.0}, "promoted")
        world.loop.rollback(mutation.mutation_id)
        assert world.loop.configuration.deployments["a"] == deployment


class _Dear(Plugin):
    """Says that the deployment is dear, as the analyzer of costs does."""

    name = "dear"

    @hookimpl
    def hive_analyze(self, view: object, config: object, now_s: float) -> list[Finding]:
        return [Finding(finding_id="cost:cost:a:", analyzer="cost", kind="cost", message="'a' is dear", deployment="a")]


def test_a_dear_deployment_gets_fewer_tokens_once_harm_is_bounded_and_the_change_can_be_taken_back() -> None:
    """S4.5: PARAM_SET, cost → fewer tokens."""
    deployment = Deployment("a", params={"max_tokens": 4000}, bounds={"max_tokens": (3000, 4000)})
    with _world(deployment, _Dear()) as world:
        world.play(2500)
        ((mutation, state),) = world.lives()
        assert (mutation.to, state) == ({"max_tokens": 3000}, "promoted")
        assert "costs nothing" in mutation.reason
        world.loop.rollback(mutation.mutation_id)
        assert world.loop.configuration.deployments["a"] == deployment

"""From recorded runs to an adapter that is served, and back: the whole loop with the built-in plugins."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Mutation, MutationKind, Run
from hivefeedback.model import Adapter
from hivefeedback.testing import FakeClock
from hivefeedback_mutations import LoraApply, NoopServer

OPERATION = "text-to-text/medical"


class _World:
    """One deployment whose model forgot medicine; with the adapter ``med`` it knows it again."""

    def __init__(self, store: str = "memory://", *, seed: int = 1) -> None:
        self.clock, self.rng, self.is_fallen, self.helps = FakeClock(), random.Random(seed), False, True
        self.loop = FeedbackLoop(
            store=store,
            deployments=[Deployment("a", model="llama")],
            adapters=[
                Adapter("med", tags=("medical",), models=("llama",), vram_gb=2.0),
                Adapter("law", tags=("legal",)),
            ],
            clock=self.clock,
            seed=seed,
            judgements={"": ["success"]},
            canary_steps=[0.5, 1.0],
            canary_min_units=10,
            options={"lora": {"vram_gb": 8.0}},
        )

    def play(self, n: int) -> None:
        for i in range(n):
            decision = self.loop.decide(OPERATION)
            rate = 0.4 if self.is_fallen else 0.95
            if decision.adapter == "med":
                rate = 0.95 if self.helps else 0.05
            run_id = self.loop.record(Run("a", OPERATION, "ok", 0.3, decision_id=decision.decision_id))
            self.loop.feedback(Feedback("success", self.rng.random() < rate, run_id=run_id))
            self.clock.advance(0.5)
            if i % 40 == 39:
                self.loop.turn()

    def states(self, mutation_id: str) -> list[str]:
        return [e.state for e in self.loop.store.journal.read() if e.mutation_id == mutation_id]

    def server(self) -> NoopServer:
        server = NoopServer()
        server.open(self.loop.store.state, self.clock)
        return server

    def planned(self) -> Mutation:
        return next(x.mutation for x in self.loop.ledger.lives.values() if x.mutation.planner == "lora_apply_planner")


def test_a_fall_on_an_operation_leads_to_its_adapter_which_can_be_taken_off_again(tmp_path: Path) -> None:
    """S4.5: LORA_APPLY from recorded runs to an applied and undone change. S4.7: LoRA hot-plug."""
    world = _World(f"sqlite:///{tmp_path}/hive.db")
    with world.loop as loop:
        world.play(400)
        assert not loop.ledger.lives
        world.is_fallen = True
        world.play(1200)
        planned = world.planned()
        mutation_id = planned.mutation_id
        assert (planned.target, planned.to, planned.resources) == ("a", "med", {"vram_gb": 2.0})
        assert "canary" in world.states(mutation_id)
        assert world.states(mutation_id)[-1] == "promoted"
        assert loop.configuration.deployments["a"].adapter == "med"
        assert loop.decide(OPERATION).adapter == "med"
        assert [one.adapter for one in world.server().list()] == ["med"]
        story = loop.why(mutation_id).text()
        assert "LORA_APPLY of 'a': null -> \"med\"" in story
        assert "rollback" in story

        loop.rollback(mutation_id, why="the licence ran out")
        assert loop.decide(OPERATION).adapter is None
        turn = loop.turn()
        assert [r.message for r in turn.receipts if r.external] == [
            f"adapter 'med' of {mutation_id} was taken back; server noop: recorded, nothing was unloaded"
        ]
        assert [(a.act, a.key) for a in world.server().acts] == [
            ("apply", mutation_id), ("verify", mutation_id), ("undo", mutation_id),
        ]  # fmt: skip
        assert world.server().list() == ()
    with FeedbackLoop(f"sqlite:///{tmp_path}/hive.db", clock=world.clock) as again:  # the fold says the same
        assert again.configuration.deployments["a"].adapter is None
        assert again.ledger.lives[mutation_id].state == "rolled_back"


def test_an_adapter_that_harms_is_taken_back_and_unloaded_without_anybody(tmp_path: Path) -> None:
    """S4.7: performance tracking and rollback capabilities."""
    world = _World()
    world.helps = False
    with world.loop as loop:
        world.play(100)
        mutation_id = loop.propose(Mutation(kind=MutationKind.LORA_APPLY, target="a", to="med"))
        world.play(800)
        assert world.states(mutation_id)[-1] == "rolled_back"
        assert loop.configuration.deployments["a"].adapter is None
        assert world.server().list() == ()


def test_the_receipt_of_the_turn_says_that_nothing_was_loaded() -> None:
    """S4.7: safe no-op fallback."""
    with _World().loop as loop:
        mutation_id = loop.propose(Mutation(kind=MutationKind.LORA_APPLY, target="a", to="med"))
        (receipt,) = loop.turn().receipts
        assert receipt.mutation_id == mutation_id
        assert "server noop: recorded, nothing was loaded" in receipt.message
        assert next(p.note for p in loop.plugins() if p.name == "lora").startswith("server noop")


def test_an_adapter_that_is_gone_when_its_turn_comes_is_rejected_and_said_so() -> None:
    with _World().loop as loop:
        mutation_id = loop.propose(Mutation(kind=MutationKind.LORA_APPLY, target="a", to="med"))
        loop.remove_adapter("med")
        loop.turn()
        life = loop.ledger.lives[mutation_id]
        assert life.state == "rejected"
        assert "adapter 'med'" in loop.why(mutation_id).steps[-1].reason


@pytest.mark.parametrize("options", [{"server": "gpu"}, {"vram_gb": 0}])
def test_a_wrong_option_stops_the_start_with_a_sentence(options: dict[str, object]) -> None:
    from hivefeedback.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="options of plugin 'lora'"):
        FeedbackLoop("memory://", ["a"], clock=FakeClock(), options={"lora": options})


class _Dies(NoopServer):
    """The process ends when the adapter was loaded and nobody is served it yet."""

    def verify(self, *, key: str) -> bool:
        raise KeyboardInterrupt


def test_a_process_that_dies_between_loading_and_serving_is_taken_up_under_the_same_id(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hive.db"
    world = _World(url)
    with world.loop as loop:
        dying = LoraApply(_Dies())
        dying.open(loop.store.state, world.clock)
        loop.registry._stages.executors[MutationKind.LORA_APPLY] = dying
        mutation_id = loop.propose(Mutation(kind=MutationKind.LORA_APPLY, target="a", to="med"))
        with pytest.raises(KeyboardInterrupt):
            loop.turn()
    again = _World(url)
    with again.loop as loop:
        assert loop.ledger.lives[mutation_id].state == "validated"
        loop.turn()
        assert loop.ledger.lives[mutation_id].state == "canary"
        assert [(a.act, a.key) for a in again.server().acts] == [("apply", mutation_id), ("verify", mutation_id)]

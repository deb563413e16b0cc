"""From a correction that was given three times to something an agent remembers, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback import Feedback, FeedbackLoop, Mutation, MutationKind, Run
from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import State
from hivefeedback.model import CORRECTION, MEMORY, PRUNED, Configuration, JsonValue, Life, Receipt
from hivefeedback.testing import FakeClock
from hivefeedback_mutations import MemoryUpdate

SAID = "Prices are shown in EUR."


class _World:
    """Loops on one store, with the clock of a test."""

    def __init__(self, path: Path, scheme: str = "sqlite") -> None:
        self.url, self.clock = f"{scheme}:///{path}/hive", FakeClock()

    def loop(self, **more: object) -> FeedbackLoop:
        given = {"store": self.url, "deployments": ["a"], "clock": self.clock, **more}
        return FeedbackLoop(**given)  # type: ignore[arg-type]  # any settings

    def correct(self, loop: FeedbackLoop, text: str = SAID, *, agent: str = "support", user: str = "u") -> None:
        """A run of an agent, and somebody who corrects it."""
        run_id = loop.record(Run("a", "chat/prices", agent_id=agent, user_id=user, session_id=f"of-{user}"))
        loop.feedback(Feedback("correction", correction=text, run_id=run_id, source="person"))
        self.clock.advance(60.0)


@pytest.fixture
def world(tmp_path: Path) -> _World:
    return _World(tmp_path)


def _planned(loop: FeedbackLoop) -> list[Life]:
    return [x for x in loop.ledger.lives.values() if x.mutation.planner == "memory_update_planner"]


def _texts(loop: FeedbackLoop, agent: str = "support") -> list[str]:
    return [item.text for item in loop.memory(agent).items()]


def _approved(loop: FeedbackLoop) -> str:
    """The id of a planned memory that a person approved and that is in force."""
    loop.turn()
    (life,) = [x for x in _planned(loop) if x.is_open]
    loop.approve(life.mutation.mutation_id, by="ada")
    loop.turn()
    return life.mutation.mutation_id


def test_three_corrections_are_remembered_after_a_person_agreed_and_forgotten_by_an_undo(world: _World) -> None:
    """S4.5: MEMORY_UPDATE from recorded feedback to an applied and undone change. S4.7: memory graph."""
    with world.loop() as loop:
        for n in range(2):
            world.correct(loop, user=f"u-{n}")
        loop.turn()
        assert _planned(loop) == []  # twice may be a coincidence
        world.correct(loop, "  prices are shown in eur!", user="u-2")
        turn = loop.turn()
        (life,) = _planned(loop)
        mutation = life.mutation
        assert (mutation.kind, mutation.target, mutation.risk) == (MutationKind.MEMORY_UPDATE, "support", "high")
        assert (life.state, len(mutation.evidence), mutation.confidence) == ("awaiting_approval", 3, 0.8)
        assert {v.gate: v.answer for v in turn.verdicts}["taint"] == "ask"
        assert _texts(loop) == []

        loop.approve(mutation.mutation_id, by="ada", why="true")
        (receipt,) = loop.turn().receipts
        assert receipt.external
        assert receipt.message == f"agent 'support' remembers item {mutation.mutation_id}"
        assert loop.ledger.lives[mutation.mutation_id].state == "promoted"
        (recalled,) = loop.memory("support").recall("which currency are prices in?")
        assert recalled.text == "prices are shown in eur!"  # the newest wording
        assert set(recalled.item.sources) == set(mutation.evidence)
    with world.loop() as loop:  # S4.7: cross-session knowledge retention
        assert _texts(loop) == ["prices are shown in eur!"]
        assert _texts(loop, "another") == []
        story = loop.why(mutation.mutation_id).text()
        assert "stored text" in story
        assert "remembers item" in story
        assert "eur" not in story.lower().replace("hivefeedback", "")  # words are shown by `mutations show` alone
        loop.rollback(mutation.mutation_id, why="prices changed")
        assert _texts(loop) == []
        loop.turn()
        assert len(_planned(loop)) == 1  # its evidence is used up
    with world.loop() as loop:
        assert loop.ledger.lives[mutation.mutation_id].state == "rolled_back"
        assert _texts(loop) == []


def test_the_json_store_keeps_memories_as_well(tmp_path: Path) -> None:
    world = _World(tmp_path, "json")
    with world.loop() as loop:
        for n in range(3):
            world.correct(loop, user=f"u-{n}")
        mutation_id = _approved(loop)
    with world.loop() as loop:
        assert _texts(loop) == [SAID]
        loop.rollback(mutation_id)
        assert _texts(loop) == []


def test_no_entry_of_the_journal_holds_the_words_of_a_person(world: _World) -> None:
    with world.loop() as loop:
        for n in range(3):
            world.correct(loop, "Mr. Featherstone lives in Graz.", user=f"u-{n}")
        mutation_id = _approved(loop)
        loop.rollback(mutation_id)
        entries = repr(loop.store.journal.read())
        assert "Featherstone" not in entries
        assert "Featherstone" not in repr(loop.store.state.list(MEMORY)) + repr(loop.store.state.list(CORRECTION))


def test_what_a_person_refused_comes_again_only_after_as_many_new_corrections(world: _World) -> None:
    with world.loop() as loop:
        for n in range(3):
            world.correct(loop, user=f"u-{n}")
        loop.turn()
        loop.reject(_planned(loop)[0].mutation.mutation_id, by="ada", why="it is not so")
        world.clock.advance(2 * 86400.0)  # beyond the window in which the same change rests anyway
        for n in range(2):
            world.correct(loop, user=f"v-{n}")
            loop.turn()
        assert len(_planned(loop)) == 1
        world.correct(loop, user="v-2")
        loop.turn()
        first, again = _planned(loop)
        assert again.state == "awaiting_approval"
        assert not set(first.mutation.evidence) & set(again.mutation.evidence)


def test_what_an_agent_remembers_already_is_not_proposed_again_in_other_clothes(world: _World) -> None:
    with world.loop() as loop:
        for n in range(3):
            world.correct(loop, user=f"u-{n}")
        _approved(loop)
        for n in range(3):
            world.correct(loop, SAID.upper(), user=f"v-{n}")
        turn = loop.turn()
        assert len(_planned(loop)) == 1
        assert any("remembers this already" in sentence for sentence in turn.dropped)


def test_words_from_feedback_wait_for_a_person_whoever_proposes_them_and_whatever_gates_there_are(
    world: _World,
) -> None:
    with world.loop(plugins_deny=["taint"]) as loop:
        world.correct(loop)
        (event_id,) = [e.event_id for _, e in loop.store.log.read() if isinstance(e.body, Feedback)]
        to: JsonValue = {"feedback": event_id}
        mutation_id = loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to=to, risk="low"))
        loop.turn()
        life = loop.ledger.lives[mutation_id]
        assert (life.state, life.mutation.risk) == ("awaiting_approval", "high")


def test_what_nobody_decided_in_time_is_asked_again(world: _World) -> None:
    with world.loop(approval_expires_s=3600.0, turn_window_s=7200.0) as loop:
        for n in range(3):
            world.correct(loop, user=f"u-{n}")
        loop.turn()
        world.clock.advance(7000.0)
        loop.turn()
        world.clock.advance(10.0)
        loop.turn()
        assert [life.state for life in _planned(loop)] == ["rejected", "awaiting_approval"]


def test_two_corrections_of_one_agent_are_two_things_that_wait_side_by_side(world: _World) -> None:
    with world.loop() as loop:
        for text in ("Be short.", "Be polite."):
            for n in range(3):
                world.correct(loop, text, user=f"u-{n}")
        loop.turn()
        assert [life.state for life in _planned(loop)] == ["awaiting_approval"] * 2


def test_corrections_of_several_processes_make_one_plan_in_whichever_leads(world: _World) -> None:
    """S4.20: several instances on one store."""
    with world.loop() as one, world.loop() as other:
        for n in range(2):
            world.correct(one, user=f"u-{n}")
        world.correct(other, user="u-2")
        other.turn()
        one.turn()
        assert len(_planned(other)) == 1
        one.refresh()
        assert [x.mutation for x in _planned(one)] == [x.mutation for x in _planned(other)]


# --- own proposals ----------------------------------------------------------------------------------


def _remember(loop: FeedbackLoop, text: str, importance: float | None = None, agent: str = "support") -> str:
    to: JsonValue = text if importance is None else {"text": text, "importance": importance}
    mutation_id = loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target=agent, to=to))
    loop.turn()
    return mutation_id


def test_a_program_may_add_and_take_out_items_itself(world: _World) -> None:
    with world.loop() as loop:
        first = _remember(loop, "Be short.")
        assert _texts(loop) == ["Be short."]
        taken = loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to={"forget": first}))
        loop.turn()
        assert _texts(loop) == []
        loop.rollback(taken)
        assert _texts(loop) == ["Be short."]


def test_a_gate_can_be_told_to_ask_about_every_text(world: _World) -> None:
    with world.loop(options={"taint": {"ask_always": True}}) as loop:
        mutation_id = _remember(loop, "Be short.")
        assert loop.ledger.lives[mutation_id].state == "awaiting_approval"


@pytest.mark.parametrize(
    "to", ["", " ", {"text": 7}, {"feedback": "nobody"}, {"text": "x", "importance": 2}, [1], None]
)
def test_what_cannot_be_remembered_is_refused_at_the_door(world: _World, to: object) -> None:
    with world.loop() as loop, pytest.raises(InvalidInputError):
        loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to=to))  # type: ignore[arg-type]  # anything


def test_what_gave_way_is_told_and_comes_back_with_the_undo(world: _World) -> None:
    """S4.7: importance-based memory pruning, told and undone."""
    with world.loop(options={"memory": {"max_items": 2}}) as loop:
        least = _remember(loop, "One.", 0.1)
        _remember(loop, "Two.", 0.9)
        third = _remember(loop, "Three.", 0.5)
        assert _texts(loop) == ["Two.", "Three."]
        assert f"gave way to it, as the least important of 2: {least}" in loop.why(third).text()
        assert [item.text for item in loop.memory("support").pruned()] == ["One."]
        loop.rollback(third)
        assert _texts(loop) == ["Two.", "One."]
        assert loop.memory("support").pruned() == []


def test_rolling_everything_back_empties_the_memory(world: _World) -> None:
    with world.loop(options={"memory": {"max_items": 1}}) as loop:
        for text in ("One.", "Two.", "Three."):
            _remember(loop, text)
        loop.rollback_all("all of it")
        assert _texts(loop) == []
        assert loop.store.state.list(PRUNED) == []


# --- crashes ------------------------------------------------------------------------------------------


class _Dies(MemoryUpdate):
    """The process ends at one step."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        if self._step == "before":
            raise KeyboardInterrupt
        receipt = super().apply(mutation, config)
        if self._step == "after":
            raise KeyboardInterrupt
        return receipt


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_process_that_dies_while_it_acts_leaves_one_truth(world: _World, step: str) -> None:
    dying = _Dies(step)
    with world.loop() as loop:
        loop.registry._stages.executors[MutationKind.MEMORY_UPDATE] = dying
        state: State = loop.store.state
        dying.open(state, world.clock)
        mutation_id = loop.propose(Mutation(kind=MutationKind.MEMORY_UPDATE, target="support", to="Be short."))
        with pytest.raises(KeyboardInterrupt):
            loop.turn()
    with world.loop() as loop:
        assert loop.ledger.lives[mutation_id].state == "applying"
        loop.turn()
        assert loop.ledger.lives[mutation_id].state == "promoted"
        assert _texts(loop) == ["Be short."]
        assert len(loop.store.state.list(MEMORY)) == 1


# --- erasing ------------------------------------------------------------------------------------------


def test_erasing_an_agent_erases_what_it_remembers_with_the_words(world: _World) -> None:
    with world.loop() as loop:
        for n in range(3):
            world.correct(loop, user=f"u-{n}")
        mutation_id = _approved(loop)
        _remember(loop, "Be short.", agent="another")
        body = loop.ledger.lives[mutation_id].mutation.to
        assert isinstance(body, dict)
        loop.erase(agent="support")
        assert _texts(loop) == []
        assert loop.store.journal.body(str(body["body"])) is None
        assert loop.store.state.list(CORRECTION) == []
        assert _texts(loop, "another") == ["Be short."]
        loop.rollback(mutation_id)  # nothing is left to take back, and that is no error
        assert loop.ledger.lives[mutation_id].state == "rolled_back"


def test_erasing_an_agent_stops_what_waits_for_a_person(world: _World) -> None:
    with world.loop() as loop:
        for n in range(3):
            world.correct(loop, user=f"u-{n}")
        loop.turn()
        (life,) = _planned(loop)
        loop.erase(agent="support")
        from hivefeedback.errors import RefusedError

        with pytest.raises(RefusedError, match="was erased"):
            loop.approve(life.mutation.mutation_id, by="ada")
        assert _texts(loop) == []


def test_a_user_who_is_erased_takes_a_correction_along_and_what_others_said_too_stays(world: _World) -> None:
    with world.loop() as loop:
        for user in ("u-1", "u-2", "u-3"):
            world.correct(loop, user=user)
        _approved(loop)
        loop.erase(user="u-1")
        assert _texts(loop) == [SAID]
        loop.erase(user="u-2")
        loop.erase(user="u-3")
        assert _texts(loop) == []
        assert loop.store.state.list(CORRECTION) == []


def test_a_correction_that_was_erased_before_the_turn_counts_no_longer(world: _World) -> None:
    with world.loop() as loop:
        for user in ("u-1", "u-2", "u-3"):
            world.correct(loop, user=user)
        loop.erase(user="u-3")
        loop.turn()
        assert _planned(loop) == []


def test_the_words_of_a_change_that_is_not_in_force_can_be_erased(world: _World) -> None:
    with world.loop() as loop:
        mutation_id = _remember(loop, "Be short.")
        assert loop.erase(mutation=mutation_id) >= 0
        assert _texts(loop) == ["Be short."]  # in force: take it back first
        loop.rollback(mutation_id)
        body = loop.ledger.lives[mutation_id].mutation.to
        assert isinstance(body, dict)
        loop.erase(mutation=mutation_id)
        assert loop.store.journal.body(str(body["body"])) is None

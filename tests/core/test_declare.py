"""What the host declares is journalled once per content."""

from __future__ import annotations

import logging

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError, InvalidInputError, UnknownNameError
from hivefeedback.model import Deployment
from hivefeedback.testing import FakeClock
from hivefeedback.testing.control import Rig, swap
from hivefeedback_stores.memory import MemoryStore


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryStore())


def promoted(rig: Rig, to: str = "better") -> str:
    """A model swap of ``a`` that went all the way."""
    control = rig.control()
    mutation_id = control.propose(swap(to=to))
    rig.stages.outlooks = {"m": "promote"}
    rig.count(mutation_id)
    control.turn()
    control.close()
    assert control.ledger.lives[mutation_id].state == "promoted"
    return mutation_id


def test_a_declaration_is_journalled_once_however_often_the_process_starts(rig: Rig) -> None:
    for _ in range(3):
        rig.control().declare([Deployment("a"), Deployment("b")], {"p": "text {x}"})
    assert rig.states() == ["declared", "declared", "declared"]
    control = rig.control()
    assert set(control.configuration.deployments) == {"a", "b"}
    assert list(control.bodies().values()) == ["text {x}"]


def test_a_restart_does_not_undo_a_promotion(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.control().declare([Deployment("a")])
    promoted(rig)
    again = rig.control()
    with caplog.at_level(logging.INFO):
        again.declare([Deployment("a")])
    assert again.configuration.deployments["a"].model == "better"
    assert "'a' is declared as before" in caplog.text


def test_new_content_is_a_new_base_and_ends_only_the_rollouts_of_its_own_target(rig: Rig) -> None:
    control = rig.control()
    control.declare([Deployment("a"), Deployment("b")])
    on_a, on_b = control.propose(swap("a")), control.propose(swap("b"))
    control.turn()
    assert set(control.configuration.rollouts) == {on_a, on_b}
    control.declare([Deployment("a", model="third"), Deployment("b")])
    assert set(control.configuration.rollouts) == {on_b}
    assert control.configuration.deployments["a"].model == "third"
    assert control.ledger.lives[on_a].state == "rolled_back"
    assert "declared or edited anew" in control.why(on_a).text()


def test_a_rollout_that_lost_its_target_is_closed_by_the_next_turn_if_the_process_died_in_between(rig: Rig) -> None:
    control = rig.control()
    control.declare([Deployment("a")])
    mutation_id = control.propose(swap("a"))
    control.turn()
    entries = rig.store.journal.read()
    edit = rig.control("other")
    edit.keeper.append(lambda c, x: type(entries[0])(at_s=0.0, state="edited", patch=entries[0].patch))
    assert rig.states(mutation_id)[-1] == "canary"
    control.turn()
    assert rig.states(mutation_id)[-1] == "rolled_back"


def test_two_deployments_with_one_id_are_refused(rig: Rig) -> None:
    with pytest.raises(ConfigurationError, match="'a' is declared twice"):
        rig.control().declare([Deployment("a"), Deployment("a", model="x")])
    assert rig.states() == []


def test_a_prompt_with_a_stray_brace_is_refused_before_anything_is_journalled(rig: Rig) -> None:
    with pytest.raises(InvalidInputError, match="brace"):
        rig.control().declare([Deployment("a")], {"p": "{0}"})
    assert rig.states() == []


def test_a_changed_prompt_declaration_is_served_as_the_next_version(rig: Rig) -> None:
    rig.control().declare(prompts={"p": "one"})
    control = rig.control()
    control.declare(prompts={"p": "two"})
    prompt = control.configuration.prompts["p"]
    assert (len(prompt.bodies), prompt.current) == (2, 2)
    assert control.bodies()[prompt.body] == "two"


def test_adding_the_same_deployment_twice_is_one_entry(rig: Rig) -> None:
    control = rig.control()
    control.add_deployment(Deployment("a", params={"temperature": 0.1}))
    control.add_deployment(Deployment("a", params={"temperature": 0.1}))
    assert rig.states() == ["edited"]


def test_an_adopted_deployment_is_in_service_and_a_declared_one_stays_as_it_is(rig: Rig) -> None:
    control = rig.control()
    control.declare([Deployment("a", model="x")])
    control.adopt("a")
    control.adopt("seen")
    assert control.configuration.deployments["a"].model == "x"
    assert control.configuration.deployments["seen"].model == "seen"


def test_removing_what_is_not_there_names_what_is(rig: Rig) -> None:
    control = rig.control()
    control.declare([Deployment("a")])
    with pytest.raises(UnknownNameError, match="known: 'a'"):
        control.remove_deployment("b")
    control.remove_deployment("a")
    assert not control.configuration.deployments


def test_a_removed_deployment_does_not_come_back_with_a_restart(rig: Rig) -> None:
    rig.control().declare([Deployment("a")])
    rig.control().remove_deployment("a")
    control = rig.control()
    control.declare([Deployment("a")])
    assert not control.configuration.deployments


def test_an_added_prompt_is_served_and_a_known_text_changes_nothing(rig: Rig) -> None:
    control = rig.control()
    assert control.add_prompt("p", "one") == 1
    assert control.add_prompt("p", "two") == 2
    assert control.add_prompt("p", "one") == 1
    assert control.configuration.prompts["p"].current == 2
    assert rig.states() == ["edited", "edited"]


@pytest.mark.parametrize(("name", "text"), [("", "text"), ("p", "{a.b}"), ("p", "\x00")])
def test_an_unusable_prompt_is_refused(rig: Rig, name: str, text: str) -> None:
    with pytest.raises(InvalidInputError):
        rig.control().add_prompt(name, text)


def test_a_deployment_with_an_empty_id_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidInputError, match="empty id"):
        rig.control().add_deployment(Deployment(""))


def test_a_route_is_set_at_once_and_given_back() -> None:
    with FeedbackLoop(store="memory://", deployments=["a", "b"], clock=FakeClock(), seed=1) as loop:
        loop.set_route("x", ["b"])
        assert {loop.decide("x/deep").deployment for _ in range(20)} == {"b"}
        loop.set_route("x", ["a", "b"], {"a": 1.0, "b": 0.0})
        assert {loop.decide("x").deployment for _ in range(5)} == {"a"}
        loop.set_route("x", ["a", "b"], {"a": 1.0, "b": 3.0})
        assert (loop.decide("x").reason, loop.decide("x").offer is not None) == ("route", True)
        loop.set_route("x", None)
        assert loop.configuration.routes == {}
        with pytest.raises(UnknownNameError, match="known: 'a', 'b'"):
            loop.set_route("x", ["nope"])
        with pytest.raises(InvalidInputError, match="weights"):
            loop.set_route("x", ["a"], {"a": -1.0})

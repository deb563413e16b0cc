"""What a mutation must fit before it is stored or executed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hivefeedback.control import Control
from hivefeedback.errors import ConflictError, InvalidInputError
from hivefeedback.model import Configuration, Deployment, JsonValue, Mutation, MutationKind
from hivefeedback.testing.control import Rig, SwapExecutor, swap
from hivefeedback_mutations import PromptPatch
from hivefeedback_stores.memory import MemoryStore


@pytest.fixture
def rig() -> Rig:
    rig = Rig(MemoryStore())
    rig.stages.executors = {**rig.stages.executors, MutationKind.PROMPT_PATCH: PromptPatch()}
    rig.control("declarer").declare([Deployment("a")], {"p": "Answer {question} in {tone}"})
    return rig


def patch(to: JsonValue) -> Mutation:
    return Mutation(kind=MutationKind.PROMPT_PATCH, target="p", to=to)


# --- fields of a prompt ---------------------------------------------------------------------------


def test_a_patch_that_asks_for_a_field_that_nobody_gives_is_refused_and_says_so(rig: Rig) -> None:
    head = rig.store.journal.head()
    with pytest.raises(InvalidInputError, match=r"asks for \{length\}.*version 1 does not \(\{question\}, \{tone\}\)"):
        rig.control().propose(patch("Answer {question} in {length}"))
    assert rig.store.journal.head() == head


@pytest.mark.parametrize("to", ["{tone}: {question}", "{question}", "say nothing"])
def test_a_patch_may_use_the_same_fields_or_fewer(rig: Rig, to: str) -> None:
    assert rig.control().propose(patch(to))


def test_an_older_version_with_other_fields_is_refused_by_its_number_too(rig: Rig) -> None:
    control = rig.control()
    assert control.add_prompt("p", "Answer {question}") == 2
    with pytest.raises(InvalidInputError, match=r"\{tone\}"):
        control.propose(patch(1))


def test_a_planned_patch_with_a_new_field_is_dropped_and_named(rig: Rig) -> None:
    rig.stages.planned = [patch("{new}")]
    turn = rig.control().turn()
    assert turn.plan.mutations == ()
    assert "{new}" in turn.dropped[0]


def test_fields_of_an_erased_text_are_not_known_so_any_patch_fits(rig: Rig) -> None:
    control = rig.control()
    rig.store.journal.erase_body(control.configuration.prompts["p"].body)
    assert rig.control().propose(patch("{new}"))


def test_a_program_may_add_a_text_with_other_fields(rig: Rig) -> None:
    assert rig.control().add_prompt("p", "{other}") == 2


# --- preparing without the journal's lock ---------------------------------------------------------


class _Meanwhile(SwapExecutor):
    """Lets another process act while a change is prepared."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act, self.seen = act, list[str]()

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        self.seen.append(config.deployments["a"].model)
        self._act()
        return super().prepare(mutation, config)


def _proposed_while(rig: Rig, act: Callable[[int], None]) -> tuple[Control, str, list[str]]:
    calls = iter(range(1000))
    executor = _Meanwhile(lambda: act(next(calls)))
    rig.stages.executors = {**rig.stages.executors, MutationKind.MODEL_SWAP: executor}
    control = rig.control()
    return control, control.propose(swap()), executor.seen


def test_a_change_is_prepared_anew_where_what_is_served_changed_meanwhile(rig: Rig) -> None:
    other = rig.control("other")

    def act(n: int) -> None:
        if n == 0:
            other.add_deployment(Deployment("a", model="edited"))

    control, mutation_id, seen = _proposed_while(rig, act)
    assert seen == ["a", "edited"]
    assert control.ledger.lives[mutation_id].mutation.from_ == "edited"


def test_entries_that_change_nothing_served_do_not_make_it_prepare_anew(rig: Rig) -> None:
    other = rig.control("other")

    def act(n: int) -> None:
        if n == 0:
            other.propose(patch("{question}"))

    _, _, seen = _proposed_while(rig, act)
    assert seen == ["a"]


def test_an_executor_whose_target_never_stands_still_is_given_up(rig: Rig) -> None:
    other = rig.control("other")
    with pytest.raises(ConflictError, match="while a change was prepared"):
        _proposed_while(rig, lambda n: other.add_deployment(Deployment("a", model=f"m{n}")))

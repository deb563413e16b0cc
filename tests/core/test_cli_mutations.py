"""``mutations`` and ``why``: propose, look, approve, reject, take back."""

from __future__ import annotations

import getpass
import io
import sys
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.cli.values import TO_OF, mutation_value
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import MutationKind
from hivefeedback.testing import FakeClock
from tests.cli import PROMPT, Cli

pytestmark = pytest.mark.usefixtures("url")


@pytest.fixture
def n_runs() -> int:
    return 3


def proposed(cli: Cli, *words: str) -> str:
    """Id of a new mutation."""
    return str(cli.json("mutations", "propose", *words)["mutation_id"])


def state(cli: Cli, mutation_id: str) -> str:
    return str(cli.json("mutations", "show", mutation_id)["state"])


# --- propose ----------------------------------------------------------------------------------------


def test_a_change_of_low_risk_is_validated_and_one_of_high_risk_waits_for_a_person(cli: Cli) -> None:
    low = cli.json("mutations", "propose", "MODEL_SWAP", "a", "a-2")
    assert low["state"] == "validated"
    other = cli.done("mutations", "propose", "PROMPT_PATCH", "answer", "{question}")
    assert "validated; the next turn serves it" in other.out
    said = cli.done("mutations", "propose", "model-swap", "b", "b-2", "--risk", "high")
    assert "awaiting approval; approve it: hivefeedback mutations approve m-" in said.out


def test_who_proposes_and_why_is_in_the_story(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2", "--reason", "it is cheaper", "--by", "ada")
    assert "proposed by ada: it is cheaper" in cli.done("why", mutation_id).out
    other = proposed(cli, "MODEL_SWAP", "b", "b-2")
    assert f"proposed by {getpass.getuser()}" in cli.done("why", other).out


def test_a_program_reads_the_reason_as_well(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2", "--reason", "it is cheaper")
    (listed,) = cli.json("mutations", "list")["mutations"]
    assert listed["reason"] == cli.json("mutations", "show", mutation_id)["reason"] == "it is cheaper"
    cli.done("erase", "--mutation", mutation_id)
    (listed,) = cli.json("mutations", "list")["mutations"]
    assert listed["reason"] == ""


def test_it_is_said_of_every_kind_what_is_typed_for_it() -> None:
    assert set(TO_OF) == set(MutationKind)


def test_the_help_of_propose_offers_what_an_installed_plugin_can_execute(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "PROMPT_PATCH" in cli("mutations", "propose", "--help").out
    monkeypatch.setenv("HIVEFEEDBACK_PLUGINS_DENY", '["prompt_patch"]')
    offered = cli("mutations", "propose", "--help").out
    assert "MODEL_SWAP" in offered
    assert "PROMPT_PATCH" not in offered
    assert "PROMPT_PATCH" not in cli.refused(2, "mutations", "propose", "SWAP_PROMPT", "a", "b")
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "wrong")  # help is there whatever else is wrong
    assert "PROMPT_PATCH" in cli("mutations", "propose", "--help").out


def test_a_user_without_a_name_is_the_cli(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError("no such user")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert "proposed by cli" in cli.done("why", proposed(cli, "MODEL_SWAP", "a", "a-2")).out


def test_a_gate_that_says_no_is_named_with_code_4_and_the_change_stays_listed(cli: Cli) -> None:
    line = cli.refused(4, "mutations", "propose", "MODEL_SWAP", "a", "a-2", "--confidence", "0.3")
    assert "gate 'limits'" in line
    (found,) = cli.json("mutations", "list")["mutations"]
    assert (found["state"], found["is_open"]) == ("rejected", False)
    assert cli.json("mutations", "list", "--open")["mutations"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("MODEL_SWAP", "nosuch", "x"), "known: 'a', 'b'"),
        (("MODEL_SWAP", "a"), "give TO, or --file"),
        (("MODEL_SWAP", "a", "x", "--file", "y"), "give TO, or --file"),
        (("MODEL_SWAP", "a", "x", "--confidence", "2"), "from 0 to 1"),
        (("MODEL_SWAP", "a", "x", "--risk", "none"), "choose from"),
        (("PROMPT_PATCH", "answer", "7"), "known: [1]"),
        (("PROMPT_PATCH", "answer", "Hi {0}"), "brace"),
        (("ROUTE_CHANGE", "text-to-text", '["nosuch"]'), "nosuch"),
    ],
)
def test_a_change_that_cannot_be_is_wrong_use(cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert said in cli.refused(2, "mutations", "propose", *words)


def test_a_file_that_is_not_there_is_named(cli: Cli) -> None:
    assert "gone.txt" in cli.refused(1, "mutations", "propose", "PROMPT_PATCH", "answer", "--file", "gone.txt")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (MutationKind.MODEL_SWAP, "gpt-x", "gpt-x"),
        (MutationKind.MODEL_SWAP, "7", "7"),
        (MutationKind.MODEL_SWAP, '"7"', "7"),
        (MutationKind.LORA_APPLY, "null", None),
        (MutationKind.LORA_APPLY, "law", "law"),
        (MutationKind.ROUTE_CHANGE, "null", None),
        (MutationKind.ROUTE_CHANGE, '{"candidates": ["a"]}', {"candidates": ["a"]}),
        (MutationKind.PARAM_SET, '{"temperature": 0.2}', {"temperature": 0.2}),
        (MutationKind.PROMPT_PATCH, "2", 2),
        (MutationKind.PROMPT_PATCH, "Be {tone}.", "Be {tone}."),
    ],
)
def test_a_value_is_json_where_it_is_json_and_text_otherwise(kind: MutationKind, text: str, value: object) -> None:
    assert mutation_value(kind, text, None) == value


def test_a_file_or_standard_input_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("7", encoding="utf-8")
    assert mutation_value(MutationKind.PROMPT_PATCH, None, str(path)) == "7"
    assert mutation_value(MutationKind.ROUTE_CHANGE, None, str(path)) == 7
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1]"))
    assert mutation_value(MutationKind.ROUTE_CHANGE, None, "-") == [1]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="UTF-8"):
        mutation_value(MutationKind.PROMPT_PATCH, None, str(path))


# --- list, show, why --------------------------------------------------------------------------------


def test_mutations_are_listed_with_their_state_and_share(cli: Cli) -> None:
    assert cli.done("mutations", "list").out == "no mutations\n"
    first, second = proposed(cli, "MODEL_SWAP", "a", "a-2"), proposed(cli, "PROMPT_PATCH", "answer", "{question}")
    cli.done("turn")
    found = cli.json("mutations", "list")["mutations"]
    assert [(m["mutation_id"], m["state"], m["share"]) for m in found] == [
        (first, "canary", 0.05),
        (second, "canary", 0.05),
    ]
    assert found[0]["from"] == "a"
    lines = cli.done("mutations", "list").out.splitlines()
    assert lines[2].split()[:7] == [first, "canary", "MODEL_SWAP", "a", "a", "a-2", "5.0"]
    assert "stored text" in lines[3]


def test_mutations_can_be_listed_by_state(cli: Cli) -> None:
    waiting = proposed(cli, "MODEL_SWAP", "a", "a-2", "--risk", "high")
    proposed(cli, "MODEL_SWAP", "b", "b-2")
    found = cli.json("mutations", "list", "--state", "awaiting_approval")["mutations"]
    assert [m["mutation_id"] for m in found] == [waiting]
    assert "known: " in cli.refused(2, "mutations", "list", "--state", "waiting")


def test_show_has_the_change_of_a_prompt_line_by_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    path.write_text(PROMPT.replace("polite", "brief"), encoding="utf-8")
    mutation_id = proposed(cli, "PROMPT_PATCH", "answer", "--file", str(path))
    text = cli.done("mutations", "show", mutation_id).out
    assert "-Be polite." in text
    assert "+Be brief." in text
    data = cli.json("mutations", "show", mutation_id)
    assert (data["kind"], data["target"], data["from"]) == ("PROMPT_PATCH", "answer", 1)
    assert "+Be brief." in data["diff"]
    assert [s["state"] for s in data["steps"]] == ["proposed", "validated"]
    assert {v["gate"] for v in data["steps"][1]["verdicts"]} >= {"limits", "conflict", "undo"}


def test_show_of_a_prompt_whose_text_was_erased_says_so(cli: Cli, url: str) -> None:
    mutation_id = proposed(cli, "PROMPT_PATCH", "answer", "{question}")
    with FeedbackLoop(store=url, clock=FakeClock()) as loop:
        to = loop.ledger.lives[mutation_id].mutation.to
        assert isinstance(to, dict)
        loop.store.journal.erase_body(str(to["body"]))
    assert "erased" in cli.done("mutations", "show", mutation_id).out


def test_show_of_another_kind_has_no_diff(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2")
    assert cli.json("mutations", "show", mutation_id)["diff"] == ""
    assert f"hivefeedback mutations reject {mutation_id}" in cli.done("mutations", "show", mutation_id).out


def test_why_tells_the_same_to_people_and_programs(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2", "--risk", "high", "--reason", "cheaper")
    cli.done("mutations", "approve", mutation_id, "--by", "ada", "--why", "looks fine")
    text, data = cli.done("why", mutation_id).out, cli.json("why", mutation_id)
    assert "approved by ada: looks fine" in text
    assert "gate limits: yes" in text
    assert [(s["state"], s["by"]) for s in data["steps"]][-1] == ("approved", "ada")
    assert data["mutation"]["from"] == "a"
    assert data["state"] == "approved"


@pytest.mark.parametrize(
    "words",
    [("why",), ("mutations", "show"), ("mutations", "approve"), ("mutations", "reject"), ("mutations", "rollback")],
    ids=" ".join,
)
def test_an_unknown_mutation_is_refused_with_those_that_are_open(cli: Cli, words: tuple[str, ...]) -> None:
    known = proposed(cli, "MODEL_SWAP", "a", "a-2")
    assert f"known: '{known}'" in cli.refused(2, *words, "m-999")


# --- approve, reject, rollback ----------------------------------------------------------------------


def test_an_approved_change_is_served_after_the_next_turn_and_can_be_taken_back(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2", "--risk", "high")
    assert cli.json("turn")["receipts"] == [], "nobody approved it yet"
    assert cli.json("mutations", "approve", mutation_id)["state"] == "approved"
    assert len(cli.json("turn")["receipts"]) == 1
    assert cli.json("deployments", "list")["deployments"][0]["state"] == "canary"
    assert (
        cli.done("mutations", "rollback", mutation_id, "--why", "second thoughts").out
        == f"{mutation_id} is rolled back\n"
    )
    assert state(cli, mutation_id) == "rolled_back"
    assert "second thoughts" in cli.done("why", mutation_id).out


def test_a_rejected_change_cannot_be_approved_any_more(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2", "--risk", "high")
    assert cli.done("mutations", "reject", mutation_id).out == f"{mutation_id} is rejected\n"
    assert cli.json("mutations", "reject", mutation_id)["state"] == "rejected", "twice changes nothing"
    assert "rejected already" in cli.refused(4, "mutations", "approve", mutation_id)


def test_what_nobody_is_served_cannot_be_rolled_back(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2")
    assert "reject it instead" in cli.refused(4, "mutations", "rollback", mutation_id)


def test_everything_can_be_taken_back_at_once(cli: Cli) -> None:
    assert cli.json("mutations", "rollback", "--all")["rolled_back"] == []
    ids = {proposed(cli, "MODEL_SWAP", "a", "a-2"), proposed(cli, "MODEL_SWAP", "b", "b-2")}
    cli.done("turn")
    assert set(cli.json("mutations", "rollback", "--all")["rolled_back"]) == ids
    assert {state(cli, i) for i in ids} == {"rolled_back"}
    assert "nothing was in force" in cli.done("mutations", "rollback", "--all").out


def test_rollback_needs_one_mutation_or_all_of_them(cli: Cli) -> None:
    assert "give one mutation's ID, or --all" in cli.refused(2, "mutations", "rollback")
    assert "give one mutation's ID, or --all" in cli.refused(2, "mutations", "rollback", "m-1", "--all")


def test_an_empty_name_decides_nothing(cli: Cli) -> None:
    mutation_id = proposed(cli, "MODEL_SWAP", "a", "a-2", "--risk", "high")
    assert "who decides" in cli.refused(2, "mutations", "approve", mutation_id, "--by", " ")

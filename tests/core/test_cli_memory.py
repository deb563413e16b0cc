"""``adapters`` and ``memory``: what can be put on a deployment, and what agents remember."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.cli.values import mutation_value
from hivefeedback.model import MutationKind
from hivefeedback.testing import FakeClock
from tests.cli import Cli

pytestmark = pytest.mark.usefixtures("url")


@pytest.fixture
def n_runs() -> int:
    return 3


def _remember(cli: Cli, *words: str) -> str:
    mutation_id = str(cli.json("mutations", "propose", "MEMORY_UPDATE", *words)["mutation_id"])
    cli.json("turn")
    return mutation_id


def test_an_adapter_is_registered_listed_and_put_on_a_deployment(cli: Cli, url: str) -> None:
    """S4.7: LoRA hot-plug."""
    assert "no adapters; register one with" in cli.done("adapters", "list").out
    said = cli.done("adapters", "add", "legal", "--tag", "legal", "--model", "a", "--vram-gb", "1.5", "--by", "ada")
    assert "adapter 'legal' is registered" in said.out
    assert "was replaced" in cli.done("adapters", "add", "legal", "--tag", "legal", "--model", "a").out
    mutation_id = cli.json("mutations", "propose", "LORA_APPLY", "a", "legal")["mutation_id"]
    turn = cli.done("turn")
    assert turn.code == 0
    shown = cli.json("mutations", "show", str(mutation_id))
    assert (shown["state"], shown["is_external"]) == ("canary", False)
    with FeedbackLoop(url, clock=FakeClock(), options={}) as loop:
        loop.rollback(str(mutation_id))
    (entry,) = cli.json("adapters", "list")["adapters"]
    assert entry == {
        "name": "legal", "tags": ["legal"], "models": ["a"], "vram_gb": None, "deployments": [], "is_registered": True,
    }  # fmt: skip


def test_an_adapter_that_somebody_put_on_by_hand_is_listed_as_not_registered(cli: Cli) -> None:
    cli.done("deployments", "add", "z", "--adapter", "mine")
    out = cli.done("adapters", "list").out
    assert "mine" in out
    assert "no" in out.splitlines()[-1].split()


def test_a_wrong_adapter_is_refused_with_the_code_of_a_wrong_input(cli: Cli) -> None:
    assert "an adapter has the name ' '" in cli.refused(2, "adapters", "add", " ")
    assert cli("adapters", "add", "x", "--vram-gb", "-1").code == 2
    assert "adapter 'nobody'" in cli.refused(2, "mutations", "propose", "LORA_APPLY", "a", "nobody")


def test_what_an_agent_remembers_is_listed_and_found(cli: Cli) -> None:
    """S4.7: memory graph, context-aware retrieval."""
    assert "no agent remembers anything" in cli.done("memory", "list").out
    first = _remember(cli, "support", "Prices are in EUR.")
    _remember(cli, "support", '{"text": "Refunds take five days.", "importance": 0.9}')
    assert cli.json("memory", "list")["agents"] == {"support": 2}
    listed = cli.done("memory", "list", "support").out
    assert listed.index("Refunds take five days.") < listed.index("Prices are in EUR.")
    found = cli.json("memory", "recall", "support", "which prices?")
    assert [one["item"]["item_id"] for one in found["found"]] == [first]
    assert "Prices are in EUR." in cli.done("memory", "recall", "support", "prices").out
    assert "Refunds" in cli.done("memory", "recall", "support", "--k", "1").out
    assert "remembers nothing that fits" in cli.done("memory", "recall", "support", "weather").out
    assert "agent 'nobody' remembers nothing" in cli.done("memory", "list", "nobody").out
    items = cli.json("memory", "list", "support")["items"]
    assert [item["n_used"] for item in items] == [0, 0]  # looking is no use


def test_what_was_put_aside_is_told(cli: Cli) -> None:
    first = _remember(cli, "support", "Be short.")
    _remember(cli, "support", f'{{"forget": "{first}"}}')
    assert "1 items were put aside" in cli.done("memory", "list", "support").out


def test_the_words_of_a_memory_are_shown_before_they_are_approved_and_never_after_they_were_erased(
    cli: Cli, url: str
) -> None:
    mutation_id = str(
        cli.json("mutations", "propose", "MEMORY_UPDATE", "support", "Be short.", "--risk", "high")["mutation_id"]
    )
    assert "+ Be short." in cli.done("mutations", "show", mutation_id).out
    assert cli.json("mutations", "show", mutation_id)["is_external"] is True
    assert "Be short." not in cli.done("why", mutation_id).out
    assert "stored text" in cli.done("mutations", "list").out
    with FeedbackLoop(url, clock=FakeClock()) as loop:
        loop.erase(agent="support")
    assert "(the text of this change was erased)" in cli.done("mutations", "show", mutation_id).out
    assert "was erased; propose it anew" in cli.refused(4, "mutations", "approve", mutation_id)


@pytest.mark.parametrize("words", [("recall", "support", "x", "--k", "0"), ("recall", " ")])
def test_a_wrong_question_is_refused(cli: Cli, words: tuple[str, ...]) -> None:
    assert "expected" in cli.refused(2, "memory", *words)


def test_doctor_and_the_list_of_plugins_say_that_no_adapter_is_loaded(cli: Cli) -> None:
    """S4.7: safe no-op fallback."""
    said = "server noop: records which adapter is applied, loads nothing"
    assert f"lora: {said}" in cli.done("plugins", "list").out
    doctor = cli("doctor").out
    assert said in doctor
    assert "memory index" in doctor


def test_a_text_to_remember_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text('["a"]', encoding="utf-8")
    assert mutation_value(MutationKind.MEMORY_UPDATE, "7", None) == "7"
    assert mutation_value(MutationKind.MEMORY_UPDATE, None, str(file)) == '["a"]'
    assert mutation_value(MutationKind.MEMORY_UPDATE, '{"forget": "m-1"}', None) == {"forget": "m-1"}
    assert mutation_value(MutationKind.LORA_APPLY, "null", None) is None

"""Commands that look: stats, deployments list, prompts, plugins list."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.cli import console
from hivefeedback.hooks import Record
from hivefeedback.testing import FakeClock
from tests.cli import PROMPT, Cli

pytestmark = pytest.mark.usefixtures("url")


# --- stats ------------------------------------------------------------------------------------------


def test_stats_are_those_of_the_loop(cli: Cli, url: str, clock: FakeClock) -> None:
    with FeedbackLoop(store=url, clock=clock) as loop:
        expected = loop.stats()
    data = cli.json("stats")
    assert [(r["deployment"], r["n_runs"], r["success_rate"]) for r in data["rows"]] == [
        (r.deployment, r.n_runs, r.success_rate) for r in expected
    ]
    assert data["coverage"]["n_runs"] == expected.coverage.n_runs == 41


def test_the_table_shows_what_the_window_covers(cli: Cli) -> None:
    text = cli.done("stats").out
    assert text.splitlines()[0].split()[:4] == ["deployment", "runs", "failed", "success"]
    assert "41 runs, 0 of them await a judgement" in text.splitlines()[-1]
    assert {line.split()[0] for line in text.splitlines()[2:-1]} == {"a", "b", "unknown-1"}


def test_a_window_without_runs_says_so(cli: Cli, clock: FakeClock) -> None:
    clock.advance(30 * 86400.0)
    assert cli.done("stats", "--window", "30m").out.strip() == "no finished run in this window"
    assert cli.json("stats", "--window", "30m")["rows"] == []


def test_stats_by_several_parts_and_below_a_prefix(cli: Cli) -> None:
    data = cli.json("stats", "--by", "operation, deployment", "--operation", "text-to-text")
    assert data["by"] == ["operation", "deployment"]
    assert ("text-to-text/legal", "unknown-1") in {(r["operation"], r["deployment"]) for r in data["rows"]}
    only = cli.json("stats", "--operation", "text-to-text/medical")["rows"]
    assert {r["deployment"] for r in only} == {"a", "b"}


def test_stats_by_something_else_are_refused_with_the_choices(cli: Cli) -> None:
    assert "choose from deployment, operation, agent" in cli.refused(2, "stats", "--by", "colour")


def test_csv_has_a_header_and_raw_numbers_and_says_its_coverage_elsewhere(cli: Cli) -> None:
    said = cli.done("stats", "--format", "csv", "--by", "deployment,operation")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == 3
    assert sum(int(r["n_runs"]) for r in rows) == 41
    assert 0.0 <= float(rows[0]["success_rate"]) <= 1.0
    assert rows[0]["quality"] == ""
    assert "41 runs" in said.err


def test_format_json_is_the_same_as_json(cli: Cli) -> None:
    said = cli.done("stats", "--format", "json")
    assert said.data == cli.json("stats")
    assert said.err == ""


def test_on_a_narrow_terminal_the_table_fits(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", lambda: 50)
    text = cli.done("stats").out
    table = [line for line in text.splitlines()[:-1] if not line.startswith("(")]
    assert max(map(len, table)) <= 50
    assert "left out" in text


# --- deployments ------------------------------------------------------------------------------------


def test_deployments_in_service_are_listed_before_those_only_observed(cli: Cli) -> None:
    found = cli.json("deployments", "list")["deployments"]
    assert [(d["id"], d["state"]) for d in found] == [
        ("a", "in service"),
        ("b", "in service"),
        ("unknown-1", "observed"),
    ]
    assert found[1]["model"] == "b-1"
    assert found[1]["capability"] == 50.0
    lines = cli.done("deployments", "list").out.splitlines()
    assert lines[3].split() == ["b", "in", "service", "b-1", "50.0", "-", "-", "-", "cheap"]


def test_a_store_without_deployments_says_how_to_add_one(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bare.db'}"
    FeedbackLoop(store=url, clock=FakeClock()).close()
    assert "deployments add" in cli.done("deployments", "list", "--store", url).out
    assert cli.json("deployments", "list", "--store", url)["deployments"] == []


# --- prompts ----------------------------------------------------------------------------------------


def test_prompts_are_listed_with_their_versions_and_fields(cli: Cli, url: str, clock: FakeClock) -> None:
    with FeedbackLoop(store=url, clock=clock) as loop:
        loop.prompts.add("answer", "{question}?")
    (found,) = cli.json("prompts", "list")["prompts"]
    assert found == {"name": "answer", "current": 2, "n_versions": 2, "n_characters": 11, "fields": ["question"]}
    assert cli.done("prompts", "list").out.splitlines()[-1].split() == ["answer", "2", "2", "11", "question"]


def test_a_prompt_s_text_is_shown_as_it_is_so_that_it_can_go_into_a_file(cli: Cli) -> None:
    said = cli.done("prompts", "show", "answer")
    assert said.out == PROMPT + "\n"
    assert "version 1 of 1, served" in said.err
    data = cli.json("prompts", "show", "answer")
    assert (data["text"], data["version"], data["is_current"], data["versions"]) == (PROMPT, 1, True, [1])


def test_an_older_version_can_be_shown(cli: Cli, url: str, clock: FakeClock) -> None:
    with FeedbackLoop(store=url, clock=clock) as loop:
        loop.prompts.add("answer", "{question}?")
    assert cli.done("prompts", "show", "answer").out == "{question}?\n"
    assert cli.done("prompts", "show", "answer", "--version", "1").out == PROMPT + "\n"
    assert "known: 1, 2" in cli.refused(2, "prompts", "show", "answer", "--version", "9")


def test_an_unknown_prompt_is_refused_with_those_that_are_known(cli: Cli) -> None:
    assert "known: 'answer'" in cli.refused(2, "prompts", "show", "anser")


def test_a_text_that_was_erased_is_said_to_be(cli: Cli, url: str, clock: FakeClock) -> None:
    with FeedbackLoop(store=url, clock=clock) as loop:
        loop.store.journal.erase_body(loop.configuration.prompts["answer"].body)
    assert "erased" in cli.done("prompts", "show", "answer").out
    assert cli.json("prompts", "show", "answer")["text"] is None


# --- plugins ----------------------------------------------------------------------------------------


def test_plugins_are_listed_with_their_hooks_and_origin(cli: Cli) -> None:
    found = {p["name"]: p for p in cli.json("plugins", "list")["plugins"]}
    assert found["limits"]["state"] == "ok"
    assert found["limits"]["hooks"] == ["gates"]
    assert found["stores"]["origin"].startswith("hivefeedback ")
    assert "sequential" in cli.done("plugins", "list").out


def test_plugins_are_listed_before_anything_was_recorded(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert cli.json("plugins", "list", "--store", f"sqlite:///{path}")["plugins"]
    assert not path.exists()


def test_a_plugin_that_some_process_took_out_of_service_can_be_put_back(cli: Cli, url: str, clock: FakeClock) -> None:
    with FeedbackLoop(store=url, clock=clock) as loop:
        loop.store.state.put(Record("quarantine", "pattern", b"it hung"))

    def state() -> tuple[str, str]:
        found = next(p for p in cli.json("plugins", "list")["plugins"] if p["name"] == "pattern")
        return found["state"], found["last_error"]

    assert state() == ("quarantined", "it hung")
    assert "it hung" in cli.done("plugins", "list").out
    assert cli.json("plugins", "enable", "pattern")["state"] == "ok"
    assert state() == ("ok", "")
    assert "in service" in cli.done("plugins", "enable", "pattern").out


def test_an_unknown_plugin_cannot_be_enabled(cli: Cli) -> None:
    assert "known: " in cli.refused(2, "plugins", "enable", "nosuch")

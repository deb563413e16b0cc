"""Commands that change something beside mutations: turn, feedback, deployments, erase."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Store
from hivefeedback.model import Feedback
from hivefeedback.testing import FakeClock
from tests.cli import Cli

pytestmark = pytest.mark.usefixtures("url")


def feedback_in(store: Store) -> list[Feedback]:
    return [e.body for _, e in store.log.read() if isinstance(e.body, Feedback)]


# --- turn -------------------------------------------------------------------------------------------


def test_a_turn_prints_each_of_its_stages(cli: Cli) -> None:
    text = cli.done("turn").out
    assert text.startswith("turn t-")
    assert "mode act" in text
    for stage in ("findings", "plan", "verdicts", "receipts", "outcomes"):
        assert f"{stage}: none" in text
    data = cli.json("turn")
    assert data["leader"] is True
    assert (data["findings"], data["verdicts"], data["receipts"], data["outcomes"]) == ([], [], [], [])


def test_a_turn_executes_what_was_proposed_and_says_how_it_goes_on(cli: Cli) -> None:
    cli.done("mutations", "propose", "MODEL_SWAP", "a", "a-2")
    text = cli.done("turn").out
    assert "receipts: 1" in text
    assert "outcomes: 1" in text
    assert "continue (sequential)" in text


def test_a_turn_in_another_mode_does_less(cli: Cli) -> None:
    cli.done("mutations", "propose", "MODEL_SWAP", "a", "a-2")
    data = cli.json("turn", "--mode", "advise")
    assert (data["mode"], data["receipts"]) == ("advise", [])
    assert len(cli.json("turn", "--mode", "act")["receipts"]) == 1


def test_a_turn_beside_another_leader_does_nothing_and_says_so(cli: Cli, url: str, clock: FakeClock) -> None:
    with FeedbackLoop(store=url, clock=clock) as loop:
        loop.store.config.acquire("somebody", length_s=600.0)
        assert "another process leads" in cli.done("turn").out
        assert cli.json("turn")["leader"] is False


# --- feedback ---------------------------------------------------------------------------------------


def test_feedback_on_a_run_is_learnt_and_committed_when_the_command_ends(cli: Cli, url: str, clock: FakeClock) -> None:
    said = cli.done("feedback", "--run-id", "r1", "--rating", "5", "--comment", "splendid")
    assert said.out == "recorded\n"
    assert sum(r["n_judged"] for r in cli.json("stats")["rows"]) == 1
    with FeedbackLoop(store=url, clock=clock) as loop:
        (found,) = feedback_in(loop.store)
    assert (found.name, found.value, found.comment, found.source) == ("rating", 1.0, "splendid", "cli")


@pytest.mark.parametrize(
    "words",
    [
        ("--trace-id", "t2", "--name", "helpful", "--value", "true"),
        ("--session-id", "s3", "--name", "accuracy", "--value", "0.25"),
        ("--run-id", "r4", "--correction", "it is 42"),
        ("--run-id", "r5", "--name", "complaint"),
    ],
)
def test_feedback_joins_by_run_trace_or_session(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli.json("feedback", *words)["is_joined"] is True
    assert sum(r["n_judged"] for r in cli.json("stats")["rows"]) == 1


def test_feedback_on_a_run_that_nobody_knows_is_kept_and_the_person_is_told(cli: Cli) -> None:
    assert "no run is known" in cli.done("feedback", "--run-id", "r999", "--rating", "1").out
    assert cli.json("feedback", "--run-id", "r998", "--rating", "1")["is_joined"] is False


def test_feedback_on_a_deployment_credits_no_decision(cli: Cli) -> None:
    assert "names no run" in cli.done("feedback", "--deployment", "a", "--rating", "2").out


def test_the_document_holds_what_was_recorded(cli: Cli) -> None:
    said = cli.json("feedback", "--run-id", "r1", "--name", "helpful", "--value", "no", "--idempotency-key", "k")
    assert said["feedback"]["name"] == "helpful"
    assert said["feedback"]["value"] is False
    assert said["feedback"]["idempotency_key"] == "k"


def test_a_comment_alone_is_kept_and_judges_nothing(cli: Cli) -> None:
    said = cli.json("feedback", "--run-id", "r1", "--comment", "nice")
    assert (said["feedback"]["name"], said["feedback"]["value"], said["feedback"]["comment"]) == (
        "comment",
        None,
        "nice",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "feedback on what?"),
        (("--run-id", "r1"), "give --rating"),
        (("--run-id", "r1", "--value", "1"), "needs --name"),
        (("--run-id", "r1", "--name", "helpful"), "has no value"),
        (("--run-id", "r1", "--name", "helpful", "--comment", "so"), "has no value"),
        (("--run-id", "r1", "--rating", "6"), "from 1 to 5"),
        (("--run-id", "r1", "--rating", "nan"), "from 1 to 5"),
        (("--run-id", "r1", "--name", "x", "--value", "maybe"), "from 0 to 1"),
        (("--run-id", "r1", "--rating", "3", "--name", "x", "--value", "1"), "not both"),
    ],
)
def test_feedback_that_says_nothing_usable_is_wrong_use(cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert said in cli.refused(2, "feedback", *words)


# --- deployments ------------------------------------------------------------------------------------


def test_a_deployment_is_added_with_all_its_fields(cli: Cli) -> None:
    data = cli.json(
        *("deployments", "add", "c", "--model", "c-7", "--capability", "80", "--price-in", "0.5", "--price-out", "1.5"),
        *("--param", "temperature=0.2", "--param", "stop=END", "--tag", "new", "--vram-gb", "24", "--adapter", "law"),
    )
    assert data["is_new"] is True
    found = next(d for d in cli.json("deployments", "list")["deployments"] if d["id"] == "c")
    assert found["params"] == {"temperature": 0.2, "stop": "END"}
    assert found["price"] == {"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 1.5}
    assert (found["model"], found["capability"], found["tags"]) == ("c-7", 80.0, ["new"])
    assert (found["adapter"], found["vram_gb"], found["state"]) == ("law", 24.0, "in service")
    assert "was replaced" in cli.done("deployments", "add", "c").out


def test_a_deployment_may_be_added_before_anything_was_recorded(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert "in service" in cli.done("deployments", "add", "a", "--store", url).out
    assert [d["id"] for d in cli.json("deployments", "list", "--store", url)["deployments"]] == ["a"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", ""), "empty id"),
        (("add", "c", "--capability", "101"), "from 0 to 100"),
        (("add", "c", "--price-in", "-1"), "from 0 up"),
        (("add", "c", "--price-in", "inf"), "from 0 up"),
        (("add", "c", "--param", "temperature"), "no pair"),
        (("adopt", "nosuch"), "known: 'unknown-1'"),
        (("remove", "nosuch"), "known: 'a', 'b'"),
    ],
)
def test_what_no_deployment_can_be_is_wrong_use(cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert said in cli.refused(2, "deployments", *words)


def test_an_observed_deployment_is_adopted_and_one_in_service_removed(cli: Cli, url: str, clock: FakeClock) -> None:
    assert cli.json("deployments", "adopt", "unknown-1")["id"] == "unknown-1"
    assert "in service" in cli.done("deployments", "adopt", "unknown-1").out, "twice changes nothing"
    assert "out of service" in cli.done("deployments", "remove", "b", "--by", "ada").out
    states = {d["id"]: d["state"] for d in cli.json("deployments", "list")["deployments"]}
    assert states == {"a": "in service", "unknown-1": "in service"}
    assert {r["deployment"] for r in cli.json("stats")["rows"]} >= {"b"}, "statistics stay"
    with FeedbackLoop(store=url, clock=clock) as loop:
        assert [e.by for e in loop.store.journal.read()][-2:] == [getpass.getuser(), "ada"]


# --- erase ------------------------------------------------------------------------------------------


def test_erasing_takes_events_and_what_was_counted(cli: Cli) -> None:
    data = cli.json("erase", "--user", "anna")
    assert data["n_erased"] == 80, "a decision and a run each"
    assert data["user"] == "anna"
    assert [r["deployment"] for r in cli.json("stats")["rows"]] == ["unknown-1"]
    assert cli.done("erase", "--user", "anna").out == "0 events were erased (by user)\n"


def test_erasing_by_time_and_deployment_needs_both_to_hold(cli: Cli, clock: FakeClock) -> None:
    assert cli.json("erase", "--deployment", "unknown-1", "--before", "1d")["n_erased"] == 0
    clock.advance(2 * 86400.0)
    said = cli.done("erase", "--deployment", "unknown-1", "--before", "1d").out
    assert said.startswith("1 events were erased (by deployment and before ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "erase what?"),
        (("--user", ""), "--user is empty"),
        (("--before", "yesterday"), "no time"),
        (("--before", "2100-01-01"), "in the future"),
    ],
)
def test_erasing_needs_to_know_what(cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert said in cli.refused(2, "erase", *words)
    assert cli.json("stats")["coverage"]["n_runs"] == 41

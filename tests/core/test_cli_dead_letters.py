"""Commands about what happens beside runs: dead letters, the reference of events, the system's state."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.model import KINDS
from hivefeedback.testing import FakeClock
from tests.cli import Cli
from tests.core.loops import sync_loop


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_795_000_000.0)


@pytest.fixture(autouse=True)
def url(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with one rating out of range and one that is about a run that is not there yet."""
    made = f"sqlite:///{tmp_path / 'hive.db'}"
    monkeypatch.setenv("HIVEFEEDBACK_STORE", made)
    with FeedbackLoop(store=made, deployments=["a"], clock=clock) as loop:
        loop.feedback(Feedback(rating=6.0, comment="gr\x1b[2Jeat"))
        loop.feedback(Feedback("helpful", 1.0, run_id="r"))
    return made


def test_dead_letters_are_listed_and_shown_with_their_reason(cli: Cli) -> None:
    """S4.2: ``dead-letters list`` and ``show``."""
    text = cli.done("dead-letters", "list").out
    assert "6.0 is not between 1 and 5" in text
    assert "had not come when the process ended" in text
    refused, unmatched = cli.json("dead-letters", "list")["dead_letters"]
    assert (refused["cause"], unmatched["cause"]) == ("refused", "unmatched")
    shown = cli.done("dead-letters", "show", refused["letter_id"]).out
    assert "rating" in shown
    assert "\x1b" not in shown
    assert cli.json("dead-letters", "show", unmatched["letter_id"])["dead_letter"]["body"]["run_id"] == "r"


def test_a_retry_takes_in_what_is_good_by_now_and_says_why_the_rest_is_not(
    cli: Cli, url: str, clock: FakeClock
) -> None:
    """S4.2: ``dead-letters retry``; what is still bad says why."""
    refused, unmatched = cli.json("dead-letters", "list")["dead_letters"]
    said = cli("dead-letters", "retry", "--all", "--json")
    assert (said.code, said.data["n_done"]) == (1, 0)
    assert said.data["retried"][1]["reason"] == "its run is still not known"
    with sync_loop("a", store=url, clock=clock) as loop:
        loop.record(Run("a", "x", run_id="r"))
    assert "taken in" in cli.done("dead-letters", "retry", unmatched["letter_id"]).out
    still = cli("dead-letters", "retry", refused["letter_id"])
    assert still.code == 1
    assert "still refused: bad rating" in still.out
    assert [x["letter_id"] for x in cli.json("dead-letters", "list")["dead_letters"]] == [refused["letter_id"]]


def test_wrong_uses_say_what_is_right(cli: Cli) -> None:
    assert "give --all" in cli.refused(2, "dead-letters", "retry")
    assert "give --all" in cli.refused(2, "dead-letters", "retry", "x", "--all")
    assert "dead letter 'x' is not known" in cli.refused(2, "dead-letters", "show", "x")


def test_a_store_without_any_says_so(cli: Cli, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    with sync_loop(store=url) as loop:
        loop.record(Run("a", "x"))
    assert "there are no dead letters" in cli.done("--store", url, "dead-letters", "list").out


def test_the_reference_of_events_names_every_kind_and_field(cli: Cli) -> None:
    """S4.2: ``docs events``, made from the wire schema."""
    text = cli.done("docs", "events").out
    for kind in KINDS:
        assert f"## `{kind}`" in text
    assert "| `propensity` | `float \\| None` | `None` |" in text
    assert "| `deployment` | `str` | required |" in text
    assert (
        "| `seq` | `int` | required | Position among the events of (producer, epoch); a gap is a dropped event. |"
        in text
    )


def test_doctor_shows_how_the_system_is(cli: Cli) -> None:
    """S4.1: the system's state is readable from outside."""
    checks = {check["name"]: check for check in cli.json("doctor")["checks"]}
    assert "process_memory_mb" in checks["system"]["detail"]


def test_doctor_says_what_is_missing_where_nothing_is_measured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_PLUGINS_DENY", '["system"]')
    checks = {check["name"]: check for check in cli.json("doctor")["checks"]}
    assert checks["system"]["state"] == "note"
    assert "hivefeedback[system]" in checks["system"]["detail"]

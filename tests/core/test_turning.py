"""Who leads between two turns, and what a process that only runs turns leaves in the store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hivefeedback.control import Turn
from hivefeedback.model import SegmentStarted
from tests.cli import Cli
from tests.core.loops import live_loop, sync_loop, told, until


def test_between_two_turns_the_lease_is_kept_and_another_gets_it_once_it_is_given_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop(store=url, lease_s=0.3) as other:
        with live_loop(store=url, lease_s=0.3) as loop:
            turns: list[Turn] = []
            loop.start(3600.0, on_turn=turns.append)
            until(lambda: len(turns) == 1)
            assert turns[0].leader, "nobody led, so it did at its first look"
            looks = [other._control.lead() for _ in range(3) if other.flush(1.0)]
            assert looks == [False] * 3
            assert len(turns) == 1, "who leads on needs no turn out of turn"
        assert other._control.lead()
        assert not other._control.lead(), "since now, only the first time"


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_who_may_not_act_does_not_lead_between_turns(mode: str) -> None:
    with live_loop(mode=mode) as loop:
        assert not loop._control.lead()
        assert loop.store.config.acquire("somebody", length_s=10.0) is not None


def test_tidying_by_a_process_that_records_nothing_leaves_no_trace() -> None:
    with sync_loop() as loop:
        loop.tidy()
        loop.turn()
        loop.tidy()
        assert told(loop, SegmentStarted) == []
    loop.tidy()


def test_one_turn_of_a_worker_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_STORE", f"sqlite:///{tmp_path / 'hive.db'}")
    cli = Cli(capsys, lambda: 0.0)
    assert cli.done("worker", "--once").out == "1970-01-01 00:00:00 t-1.1: leads, nothing to do\n"
    said = [
        json.loads(line) for line in cli.done("worker", "--for", "0.01", "--mode", "advise", "--json").out.splitlines()
    ]
    assert [(turn["leader"], turn["mode"], turn["at_s"]) for turn in said] == [(True, "advise", 0.0)]
    with sync_loop(store=f"sqlite:///{tmp_path / 'hive.db'}") as loop:
        loop.store.config.acquire("somebody", length_s=600.0)
        assert cli.done("worker", "--once").out.endswith("another process leads\n")


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_seconds_that_make_no_sense_are_refused(
    seconds: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_STORE", "memory://")
    for option in ("--every", "--for"):
        assert "seconds above 0" in Cli(capsys, lambda: 0.0).refused(2, "worker", f"{option}={seconds}")


def test_a_worker_whose_store_cannot_be_opened_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hive.db").write_bytes(b"no database" * 100)
    monkeypatch.setenv("HIVEFEEDBACK_STORE", f"sqlite:///{tmp_path / 'hive.db'}")
    cli = Cli(capsys, lambda: 0.0)
    assert "hive.db" in cli.refused(3, "worker")
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    assert "mode is 'off'" in cli.refused(4, "worker")

"""``hivefeedback doctor``: finds what is wrong, says what to do, changes nothing."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.cli import checks
from hivefeedback.cli.main import main
from hivefeedback.hooks import Record
from hivefeedback.testing import FakeClock
from tests.cli import Cli

NOW_S = 1_800_000_000.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW_S)


@pytest.fixture
def n_runs() -> int:
    return 3


@pytest.fixture
def path(url: str) -> Path:
    """File of a filled store, which is the one of the environment."""
    return Path(url.removeprefix("sqlite:///"))


def checks_of(said: Any) -> dict[str, tuple[str, str]]:
    """What was found, by name."""
    return {c["name"]: (c["state"], c["detail"]) for c in said.data["checks"]}


def test_a_healthy_installation_has_nothing_wrong(cli: Cli, path: Path) -> None:
    before = path.read_bytes()
    said = cli.done("doctor", "--json")
    assert said.data["is_ok"] is True
    found = checks_of(said)
    assert found["version"][1].startswith("hivefeedback 0.")
    assert found["store"][0] == found["store content"][0] == found["schema"][0] == found["store rights"][0] == "ok"
    assert found["mode"] == ("ok", "act")
    assert found["policy"] == ("ok", "hierarchical")
    assert "2 deployments" in found["schema"][1]
    assert {"extra langchain", "extra litellm", "extra otel"} <= set(found)
    assert path.read_bytes() == before
    text = cli.done("doctor").out
    assert text.splitlines()[-1] == "nothing is wrong"
    assert all(line.split()[0] in ("ok", "note") for line in text.splitlines()[:-1])


def test_before_anything_was_recorded_nothing_is_wrong_either(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "none" / "hive.db"
    found = checks_of(cli.done("doctor", "--json", "--store", f"sqlite:///{path}"))
    assert found["store"][0] == "note"
    assert not path.parent.exists()


def test_it_says_where_each_setting_comes_from(cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hivefeedback.yaml").write_text("turn_every_s: 5\n", encoding="utf-8")
    monkeypatch.setenv("HIVEFEEDBACK_RING_SIZE", "64")
    found = checks_of(cli.done("doctor", "--json"))
    assert found["config file"][1] == str(Path("hivefeedback.yaml").absolute())
    assert found["settings"][1] == "ring_size (environment), store (environment), turn_every_s (file)"
    line = checks_of(cli.done("doctor", "--json", "--store", f"sqlite:///{path}"))["settings"][1]
    assert "store (command line)" in line


def test_a_store_that_nobody_named_comes_from_nowhere(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIVEFEEDBACK_STORE", raising=False)
    assert checks_of(cli.done("doctor", "--json"))["settings"][1] == "all have their defaults"


def test_a_misspelt_variable_is_worth_a_note(cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_POLICI", "ucb")
    state, detail = checks_of(cli.done("doctor", "--json"))["environment"]
    assert state == "note"
    assert "did you mean HIVEFEEDBACK_POLICY?" in detail


def test_each_check_is_one_line_whatever_the_reader_of_yaml_says(cli: Cli) -> None:
    Path("hivefeedback.yaml").write_text("mode: [act\n", encoding="utf-8")
    said = cli("doctor")
    assert said.code == 1
    assert all(line.split()[0] in ("ok", "note", "wrong") for line in said.out.splitlines()[:-1])


def test_a_wrong_setting_is_named(cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_RING_SIZE", "many")
    said = cli("doctor", "--json")
    assert said.code == 1
    assert "ring_size" in checks_of(said)["settings"][1]


def test_the_mode_off_is_worth_a_note(cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    assert checks_of(cli.done("doctor", "--json"))["mode"][0] == "note"


def test_a_damaged_store_is_wrong_with_code_3(cli: Cli, path: Path) -> None:
    path.write_bytes(b"this is no database" * 300)
    said = cli("doctor")
    assert said.code == 3
    assert "wrong  store" in said.out
    assert str(path) in said.out


def test_content_that_is_not_what_was_written_is_named(cli: Cli, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET payload = x'00' WHERE position = (SELECT min(position) FROM events)")
    connection.close()
    said = cli("doctor", "--json")
    assert said.code == 3
    assert checks_of(said)["store content"][0] == "wrong"


def test_a_place_that_may_not_be_written_is_wrong(cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, how: False)  # for root nothing is forbidden
    said = cli("doctor", "--json")
    assert said.code == 3
    assert "cannot be written" in checks_of(said)["store rights"][1]


def test_an_unknown_kind_of_store_is_wrong(cli: Cli) -> None:
    said = cli("doctor", "--json", "--store", "oracle://x")
    assert said.code == 2
    assert "known: " in checks_of(said)["store"][1]


def test_a_policy_that_nobody_offers_is_wrong(cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_POLICY", "oracle")
    said = cli("doctor", "--json")
    assert said.code == 1
    assert "hierarchical" in checks_of(said)["policy"][1]


def test_a_plugin_that_does_not_load_is_wrong_and_says_which_distribution_it_is(
    cli: Cli, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    info = site / "hivefeedback_lame-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hivefeedback-lame\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[hivefeedback]\nlame = no_such_module_here:X\n")
    monkeypatch.syspath_prepend(str(site))
    said = cli("doctor", "--json")
    assert said.code == 1
    assert "hivefeedback-lame 1.2" in checks_of(said)["plugin lame"][1]
    assert "no_such_module_here" in cli("doctor").out


def test_a_quarantined_plugin_is_wrong_and_says_how_to_put_it_back(cli: Cli, path: Path, clock: FakeClock) -> None:
    with FeedbackLoop(store=f"sqlite:///{path}", clock=clock) as loop:
        loop.store.state.put(Record("quarantine", "pattern", b"it hung"))
    said = cli("doctor", "--json")
    assert said.code == 1
    state, detail = checks_of(said)["plugin pattern"]
    assert state == "wrong"
    assert "it hung" in detail
    assert "hivefeedback plugins enable pattern" in detail


def test_a_clock_that_disagrees_with_the_store_is_wrong(cli: Cli, path: Path, clock: FakeClock) -> None:
    clock.advance(-3 * 86400.0)
    said = cli("doctor", "--json")
    assert said.code == 1
    assert "2d in the future" in checks_of(said)["store time"][1]


def test_a_clock_that_was_never_set_is_wrong(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"], clock=lambda: 0.0) == 1
    assert "wrong  clock" in capsys.readouterr().out


def test_an_extra_that_is_missing_is_a_note_with_the_command_to_install_it(
    cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_version", lambda name: None if name == "litellm" else "1.0")
    found = checks_of(cli.done("doctor", "--json"))
    assert found["extra litellm"][0] == "note"
    assert "pip install 'hivefeedback[litellm]'" in found["extra litellm"][1]
    assert found["extra otel"][0] == "ok"


def test_an_extra_of_another_distribution_is_there_only_with_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ['here>=1; extra == "door"', 'gone[std]>=1,<2; extra == "door"', "other; sys_platform and extra == 'door'"]
    there = {"big": "1.0", "here": "2.0"}

    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(checks, "requires", lambda name: asked if name == "big" else [])
    monkeypatch.setattr(checks, "version", version)
    assert (checks._version("big"), checks._version("big[door]")) == ("1.0", None)
    there["gone"] = "3.0"
    assert checks._version("big[door]") == "1.0"


def test_a_warning_is_told_once_however_often_the_plugins_are_loaded(
    cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_PLUGINS_DENY", '["nobody"]')
    assert cli("doctor").err.count("warning: plugins_deny names plugin 'nobody'") == 1


def test_an_endpoint_for_spans_that_nobody_serves_is_named(
    cli: Cli, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@127.0.0.1:9")
    monkeypatch.delitem(sys.modules, "hivefeedback_otel.export", raising=False)
    monkeypatch.delattr("hivefeedback_otel.export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    said = cli("doctor", "--json")
    state, detail = checks_of(said)["plugin otel"]
    assert (state, "http://***@127.0.0.1:9 is set, and nothing is sent there" in detail) == ("note", True)
    assert said.err.count("nothing is sent there") == 1  # once, however often doctor loads the plugins

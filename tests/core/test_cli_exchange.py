"""``hivefeedback export`` and ``import`` of an export."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.testing import FakeClock
from hivefeedback_stores.sqlite import SqliteStore
from tests.cli import Cli

pytestmark = pytest.mark.usefixtures("url")


@pytest.fixture
def file(cli: Cli, tmp_path: Path) -> str:
    path = str(tmp_path / "hive.jsonl.gz")
    cli.done("export", path)
    return path


def test_an_export_says_what_it_holds(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    said = cli.done("export", str(path))
    assert "events" in said.out
    assert "journal entries, 1 texts" in said.out
    data = cli.json("export", str(path), "--force")
    assert (data["file"], data["left"]) == (str(path), [])
    assert data["n"]["event"] > 40
    assert data["sum"] in said.out


def test_an_export_overwrites_nothing_unless_told(cli: Cli, file: str) -> None:
    before = Path(file).read_bytes()
    assert "--force" in cli.refused(2, "export", file)
    assert "no folder" in cli.refused(2, "export", f"{file}/sub/x.gz")
    assert Path(file).read_bytes() == before


@pytest.mark.parametrize("target", ["sqlite:///{}/new.db", "json:///{}/new.json"])
def test_what_was_exported_is_imported_into_a_new_store_and_answers_alike(
    target: str, cli: Cli, file: str, tmp_path: Path
) -> None:
    new = ("--store", target.format(tmp_path))
    before = cli.json("stats")
    planned = cli.json("import", file, "--dry-run", *new)
    assert not list(tmp_path.glob("new*"))
    assert planned["is_dry_run"]
    said = cli.json("import", file, *new)
    assert said["files"][0]["n"] == planned["files"][0]["n"]
    assert (said["files"][0]["kind"], said["files"][0]["left"]) == ("export", [])
    after = cli.json("stats", *new)
    assert {**after, "store": ""} == {**before, "store": ""}
    assert cli.json("import", file, *new)["files"][0]["is_known"]
    assert "was there already" in cli.done("import", file, *new).out


def test_a_store_that_is_not_empty_is_refused(cli: Cli, file: str) -> None:
    assert "not empty" in cli.refused(4, "import", file)


def test_a_broken_file_is_refused_and_makes_no_store(cli: Cli, file: str, tmp_path: Path) -> None:
    data = Path(file).read_bytes()
    Path(file).write_bytes(data[: len(data) // 2])
    for words in ((), ("--dry-run",)):
        said = cli.refused(3, "import", file, "--store", f"sqlite:///{tmp_path}/new.db", *words)
        assert "no whole export" in said
        assert not (tmp_path / "new.db").exists()
    assert "no known kind" in cli.refused(2, "import", _odd(tmp_path), "--dry-run")


def _odd(folder: Path) -> str:
    path = folder / "odd.json"
    path.write_text("[1, 2]", encoding="utf-8")
    return str(path)


def test_an_export_goes_alone_and_not_in_mode_off(cli: Cli, file: str, tmp_path: Path) -> None:
    assert "alone" in cli.refused(2, "import", file, _odd(tmp_path))
    assert "mode is 'off'" in cli.refused(4, "import", file, "--config", _config(tmp_path))


def _config(folder: Path) -> str:
    path = folder / "off.yaml"
    path.write_text("mode: off\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreUnreachableError("the disk is full")])
def test_what_an_interruption_left_is_told_and_completed_by_the_same_command(
    error: BaseException, cli: Cli, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = ("--store", f"sqlite:///{tmp_path}/new.db")

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "commit", fails)
        said = cli("import", file, *new)
    assert said.code in (3, 130)
    assert "the same command again completes it" in said.err
    check = next(c for c in cli("doctor", "--json", *new).data["checks"] if c["name"] == "store import")
    assert check["state"] == "wrong"
    assert "again" in check["detail"]
    assert cli.json("import", file, *new)["files"][0]["left"] == []
    assert "store import" not in {c["name"] for c in cli("doctor", "--json", *new).data["checks"]}


# --- what else the doctor says of copies and archives -----------------------------------------------


def _checks(cli: Cli, *words: str) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in cli("doctor", "--json", *words).data["checks"]}


def test_the_doctor_names_copies_from_before_an_upgrade(cli: Cli, tmp_path: Path) -> None:
    assert "store backup" not in _checks(cli)
    (tmp_path / "hive.db.v1.bak").write_bytes(b"")
    check = _checks(cli)["store backup"]
    assert (check["state"], "hive.db.v1.bak" in check["detail"]) == ("note", True)


def test_the_doctor_looks_after_the_archive(
    cli: Cli, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("HIVEFEEDBACK_RETAIN_EVENTS_S", "60")
    monkeypatch.setattr("hivefeedback.control.upkeep.AWAY_S", inf)  # the machine's clock is believed at once
    clock.advance(3600.0)
    cli.done("turn")
    assert _checks(cli)["archive"]["state"] == "ok"
    (path,) = (tmp_path / "archive").glob("events-*")
    path.write_bytes(b"")
    assert (_checks(cli)["archive"]["state"], path.name in _checks(cli)["archive"]["detail"]) == ("wrong", True)

"""What holds for every command: arguments, the store that is used, errors, exit codes."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from hivefeedback.cli import console
from hivefeedback.cli.commands.all import SPECS
from hivefeedback.cli.exits import code_of
from hivefeedback.cli.main import main
from hivefeedback.cli.parser import build
from hivefeedback.cli.spec import Spec
from hivefeedback.errors import (
    ConflictError,
    HiveFeedbackError,
    InvalidInputError,
    MissingExtraError,
    RefusedError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
    UnknownNameError,
)
from hivefeedback.testing import FakeClock
from tests.cli import Cli, filled

READERS = (
    ("stats",),
    ("deployments", "list"),
    ("mutations", "list"),
    ("mutations", "show", "m-1"),
    ("why", "m-1"),
    ("prompts", "list"),
    ("prompts", "show", "answer"),
)
WRITERS = (
    ("turn",),
    ("feedback", "--run-id", "r1", "--rating", "5"),
    ("deployments", "adopt", "x"),
    ("deployments", "remove", "x"),
    ("mutations", "approve", "m-1"),
    ("mutations", "reject", "m-1"),
    ("mutations", "rollback", "m-1"),
    ("plugins", "enable", "limits"),
    ("erase", "--user", "anna"),
)


@pytest.fixture
def store(url: str) -> Path:
    """File of a filled store, which is the one of the environment."""
    return Path(url.removeprefix("sqlite:///"))


def leaves(specs: tuple[Spec, ...], *before: str) -> list[tuple[str, ...]]:
    """Names of all commands that can be run."""
    found: list[tuple[str, ...]] = []
    for spec in specs:
        found += leaves(spec.children, *before, spec.name) if spec.children else [(*before, spec.name)]
    return found


def run_alone(*words: str, **given: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hivefeedback", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **given},
        timeout=60,
    )


# --- arguments --------------------------------------------------------------------------------------


def test_the_version_is_told_to_people_and_to_programs(cli: Cli) -> None:
    assert cli.done("--version").out.startswith("hivefeedback 0.")
    assert cli.json("--version")["version"].startswith("0.")


def test_without_a_command_the_help_is_shown_as_wrong_use(cli: Cli) -> None:
    said = cli()
    assert said.code == 2
    assert "exit codes" in said.err
    assert said.out == ""


@pytest.mark.parametrize("group", [s.name for s in SPECS if s.children])
def test_a_group_without_a_command_shows_its_commands(cli: Cli, group: str) -> None:
    said = cli(group)
    assert said.code == 2
    for spec in next(s for s in SPECS if s.name == group).children:
        assert spec.name in said.err


@pytest.mark.parametrize("words", [w for w in leaves(SPECS) if w != ("demo",)], ids=" ".join)
def test_every_command_explains_itself(cli: Cli, words: tuple[str, ...]) -> None:
    said = cli(*words, "--help")
    assert said.code == 0
    assert f"usage: hivefeedback {' '.join(words)}" in said.out
    assert "--store" in said.out


def test_every_argument_that_is_not_named_by_itself_has_a_help_text() -> None:
    specs = [child for spec in SPECS for child in (spec.children or (spec,))]
    bare = [(s.name, a.flags) for s in specs for a in s.arguments if not a.options.get("help")]
    named_by_themselves = {"deployment_id", "name", "--deployment", "--agent", "--session"}
    assert [b for b in bare if b[1][0] not in named_by_themselves] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("graph",), "choose from"),
        (("stats", "--window", "5x"), "30s, 5m, 24h or 7d"),
        (("stats", "--window", "500d"), "at most 400d"),
        (("stats", "--window", "0s"), "more than 0"),
        (("stats", "--format", "xml"), "choose from"),
        (("stats", "--windo", "5m"), "unrecognized arguments: --windo 5m; see: hivefeedback stats --help"),
        (("mutations", "--all"), "see: hivefeedback mutations --help"),
        (("stts",), "did you mean 'stats'?"),
        (("mutations", "propose"), "required"),
        (("mutations", "propose", "SWAP", "a", "b"), "MODEL_SWAP"),
        (("why",), "required"),
        (("why", "\udcff"), "UTF-8"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_is_expected(cli: Cli, words: tuple[str, ...], said: str) -> None:
    line = cli.refused(2, *words)
    assert said in line
    assert cli(*words).err.count("\n") == 1


def test_global_options_may_stand_before_or_behind_the_command(cli: Cli, store: Path, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    filled(other, FakeClock())
    assert cli.done("--store", other, "--json", "prompts", "list").data["store"] == other
    assert cli.done("prompts", "list", "--json", "--store", other).data["store"] == other
    assert cli.done("prompts", "--json", "list", "--store", other).data["store"] == other


# --- the store --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", READERS[:3], ids=" ".join)
def test_every_command_says_which_store_it_uses(cli: Cli, store: Path, words: tuple[str, ...]) -> None:
    assert cli.done(*words).err.splitlines()[0] == f"store: sqlite:///{store}"
    assert cli.json(*words)["store"] == f"sqlite:///{store}"


def test_the_store_of_the_command_line_beats_that_of_the_environment_and_the_file(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("file", "environment", "line")]
    for url in urls:
        filled(url, FakeClock(), n_runs=1)
    Path("hivefeedback.yaml").write_text(f"store: {urls[0]}\n", encoding="utf-8")
    assert cli.json("stats")["store"] == urls[0]
    monkeypatch.setenv("HIVEFEEDBACK_STORE", urls[1])
    assert cli.json("stats")["store"] == urls[1]
    assert cli.json("stats", "--store", urls[2])["store"] == urls[2]


@pytest.mark.parametrize("words", [*READERS, *WRITERS], ids=" ".join)
def test_where_nothing_was_recorded_nothing_is_made_and_the_code_is_3(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "none.db"
    line = cli.refused(3, *words, "--store", f"sqlite:///{path}")
    assert "nothing was recorded" in line
    assert "--store" in line
    assert not path.exists()


@pytest.mark.parametrize("words", READERS[:2] + READERS[5:], ids=" ".join)
def test_a_command_that_only_reads_adds_nothing_to_the_store(cli: Cli, store: Path, words: tuple[str, ...]) -> None:
    before = store.read_bytes()
    cli.done(*words)
    assert store.read_bytes() == before


def test_a_store_whose_file_may_not_be_written_can_still_be_read(cli: Cli, store: Path) -> None:
    for path in store.parent.glob("hive.db*"):
        path.chmod(0o444)
    assert cli.json("stats")["coverage"]["n_runs"] == 41


@pytest.mark.parametrize("words", [*READERS[:2], WRITERS[0]], ids=" ".join)
def test_a_damaged_store_is_named_with_code_3_and_stays_as_it_is(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"this is no database" * 300)
    before = path.read_bytes()
    assert str(path) in cli.refused(3, *words, "--store", f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_store_of_an_unknown_kind_is_wrong_use(cli: Cli) -> None:
    assert "known: " in cli.refused(2, "stats", "--store", "oracle://host/x")
    assert "no URL" in cli.refused(2, "stats", "--store", "hive.db")


def test_a_password_in_the_store_s_url_is_not_shown(cli: Cli) -> None:
    said = cli("stats", "--store", "oracle://me:secret@host/x")
    assert "secret" not in said.err + said.out
    assert "oracle://***@host/x" in said.err


def test_a_json_store_is_read_and_written_like_any_other(cli: Cli, tmp_path: Path, clock: FakeClock) -> None:
    url = f"json:///{tmp_path / 'hive.json'}"
    filled(url, clock)
    assert cli.json("stats", "--store", url)["coverage"]["n_runs"] == 41
    cli.done("deployments", "add", "c", "--store", url)
    assert "c" in [d["id"] for d in cli.json("deployments", "list", "--store", url)["deployments"]]


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnreachableError("x"), 3),
        (StoreCorruptError("x"), 3),
        (StoreVersionError("x"), 3),
        (ConflictError("x"), 1),
        (RefusedError("x"), 4),
        (InvalidInputError("x"), 2),
        (UnknownNameError("mutation", "x"), 2),
        (MissingExtraError("x", "y"), 1),
        (HiveFeedbackError("x"), 1),
    ],
)
def test_an_error_has_the_exit_code_of_its_class(error: HiveFeedbackError, code: int) -> None:
    assert code_of(error) == code


def test_a_program_gets_the_error_as_a_document_too(cli: Cli) -> None:
    said = cli("stats", "--by", "colour", "--json", "--store", "memory://")
    assert said.code == 2
    assert said.data["exit_code"] == 2
    assert "colour" in said.data["error"]


def test_the_traceback_is_shown_only_with_v(cli: Cli) -> None:
    assert "Traceback" not in cli("stats", "--store", "oracle://x").err
    assert "Traceback" in cli("stats", "--store", "oracle://x", "-v").err


def test_a_wrong_setting_is_named_by_every_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_RING_SIZE", "many")
    assert "ring_size" in cli.refused(2, "stats")


def test_a_configuration_file_that_is_not_there_is_named(cli: Cli) -> None:
    line = cli.refused(2, "stats", "--config", "gone.yaml")
    assert "gone.yaml" in line
    assert "hivefeedback init" in line


def test_a_file_that_cannot_be_written_is_one_line(cli: Cli, tmp_path: Path) -> None:
    line = cli.refused(1, "init", "--config", str(tmp_path / "no" / "such" / "folder" / "x.yaml"))
    assert "No such file" in line


def test_with_the_mode_off_nothing_is_changed_and_the_code_says_refused(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    before = store.read_bytes()
    for words in WRITERS:
        assert "HIVEFEEDBACK_MODE" in cli.refused(4, *words)
    assert store.read_bytes() == before
    assert cli.json("stats")["coverage"]["n_runs"] == 41, "to look is allowed"


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def run(*args: object) -> NoReturn:
        raise error

    return run


def test_a_fault_is_one_line_too_and_v_shows_where(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback.cli.main._answered", raising(ZeroDivisionError("by zero")))
    assert "ZeroDivisionError: by zero; a fault of" in cli.refused(1, "stats")
    assert "Traceback" in cli("stats", "-v").err
    assert cli("stats", "--json").data["exit_code"] == 1


def test_ctrl_c_ends_quietly_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback.cli.main._answered", raising(KeyboardInterrupt()))
    said = cli("stats")
    assert (said.code, said.out, said.err) == (130, "", "")


def test_a_reader_that_stops_reading_is_no_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback.cli.main._hush", lambda: None)
    monkeypatch.setattr("hivefeedback.cli.main._answered", raising(BrokenPipeError()))
    assert cli("stats").code == 0


def test_a_pipe_that_closes_early_leaves_no_trace_on_standard_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hivefeedback", "docs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert said == ""


# --- at work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("stats",), ("turn",), ("deployments", "add", "c")], ids=" ".join)
def test_no_thread_is_left_behind(cli: Cli, store: Path, words: tuple[str, ...]) -> None:
    before = set(threading.enumerate())
    cli.done(*words)
    assert [t.name for t in set(threading.enumerate()) - before] == []


def test_the_logger_is_left_as_it_was(cli: Cli, store: Path) -> None:
    logger = logging.getLogger("hivefeedback")
    before = (list(logger.handlers), logger.level)
    cli.done("stats", "-v")
    assert (list(logger.handlers), logger.level) == before


def test_help_needs_no_store_no_settings_and_no_slow_import() -> None:
    code = (
        "import sys; from hivefeedback.cli.main import main; main(['--version']);"
        "print([m for m in ('numpy', 'pydantic', 'sqlite3', 'hivefeedback.loop') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_can_be_run_and_speaks_json(store: Path) -> None:
    done = run_alone("deployments", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert {d["id"] for d in json.loads(done.stdout)["deployments"]} == {"a", "b", "unknown-1"}


def test_a_terminal_that_knows_ascii_only_shows_the_rest_as_escapes(cli: Cli, store: Path) -> None:
    cli.done("deployments", "add", "modèle-日本")
    done = run_alone("deployments", "list", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"mod\xe8le-\u65e5\u672c" in done.stdout


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def test_what_takes_long_says_so_to_a_person_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console, "_QUIET_S", 0.01)
    end = time.monotonic() + 5
    with console.progress("turn"):
        while "at work" not in terminal.getvalue() and time.monotonic() < end:
            threading.Event().wait(0.005)
    assert "turn: at work for" in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r")
    assert [t.name for t in threading.enumerate() if t.name == "hivefeedback-progress"] == []


def test_what_is_quick_or_unwatched_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("turn"):
        pass
    assert capsys.readouterr().err == ""


def test_the_parser_knows_every_command_once() -> None:
    names = leaves(SPECS)
    assert len(names) == len(set(names))
    assert build(SPECS).parse_args(["stats"]).spec.name == "stats"


def test_the_default_arguments_are_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hivefeedback", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("hivefeedback ")


@pytest.mark.parametrize("words", [(), *((spec.name,) for spec in SPECS if spec.children)])
def test_a_program_that_names_no_command_reads_why_as_json(cli: Cli, words: tuple[str, ...]) -> None:
    said = cli("--json", *words)
    assert (said.code, said.data["exit_code"]) == (2, 2)
    assert said.data["error"].startswith(f"{' '.join(('hivefeedback', *words))} needs one of its commands: ")


def test_after_init_what_the_file_declares_is_shown_before_anything_was_recorded(cli: Cli) -> None:
    cli.done("init")
    assert cli.done("deployments", "list").out.startswith("no deployments; ")
    Path("hivefeedback.yaml").write_text("deployments: [x, {id: y, capability: 80}]\n", encoding="utf-8")
    said = cli.done("deployments", "list")
    assert "nothing was recorded yet; this is what hivefeedback.yaml declares" in said.err
    listed = cli.json("deployments", "list")["deployments"]
    assert [(d["id"], d["state"], d["capability"]) for d in listed] == [("x", "declared", 50), ("y", "declared", 80)]
    assert cli.json("turn")["findings"] == []
    assert [d["state"] for d in cli.json("deployments", "list")["deployments"]] == ["in service", "in service"]


NEW = (
    ("deployments", "add", "c"),
    ("adapters", "add", "legal"),
    ("mutations", "propose", "MODEL_SWAP", "a", "b"),
)


@pytest.mark.parametrize("words", NEW, ids=" ".join)
def test_a_store_that_was_not_there_is_told_and_its_folder_is_not_made(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A slip of the pen would be a store of its own, with nothing in it."""
    url = f"sqlite:///{tmp_path / 'none' / 'hive.db'}"
    assert f"there is no folder '{tmp_path / 'none'}'" in cli.refused(3, *words, "--store", url)
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").mkdir()
    assert f"there was no store yet; a new one was made: {url}" in cli(*words, "--store", url).err
    assert "a new one was made" not in cli(*words, "--store", url).err


def test_a_program_hears_of_a_new_store_too(cli: Cli, tmp_path: Path) -> None:
    words = ("deployments", "add", "c", "--store", f"sqlite:///{tmp_path / 'new.db'}")
    assert cli.json(*words)["is_new_store"] is True
    assert "is_new_store" not in cli.json(*words)


def test_the_folder_of_the_default_store_is_made(cli: Cli) -> None:
    assert "a new one was made" in cli.done("deployments", "add", "c").err

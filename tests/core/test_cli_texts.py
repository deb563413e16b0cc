"""What the commands write from the code itself: init and docs; and what they hand on: demo, commands of plugins."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from hivefeedback.cli.commands.all import SPECS
from hivefeedback.cli.commands.init import commented_settings
from hivefeedback.cli.defaults import default_of
from hivefeedback.cli.main import main
from hivefeedback.errors import RefusedError
from hivefeedback.hooks import Argument, Command, Plugin, hookimpl, specs
from hivefeedback.settings import Settings, load_settings
from tests.cli import Cli

# --- init -------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_changes_nothing(cli: Cli) -> None:
    before = load_settings()
    said = cli.done("init")
    assert "hivefeedback.yaml was written" in said.out
    assert said.err == "", "no store is used"
    assert load_settings("hivefeedback.yaml").model_dump() == before.model_dump()


def test_init_shows_every_setting_with_its_default_and_meaning() -> None:
    text = commented_settings()
    shown = yaml.safe_load("\n".join(line[1:] for line in text.splitlines() if re.match(r"#\w", line)))
    assert shown == {name: default_of(field) for name, field in Settings.model_fields.items()}
    words = " ".join(text.replace("\n#", " ").split())
    assert [n for n, f in Settings.model_fields.items() if " ".join((f.description or "?").split()) not in words] == []


def test_the_examples_of_init_are_settings_once_they_are_uncommented(tmp_path: Path) -> None:
    """A pipeline that names one stage alone would switch the others off, which is refused."""
    examples = re.findall(r"^# [a-z_]+:\n(?:#  .*\n)+", commented_settings(), flags=re.MULTILINE)
    assert len(examples) >= 10
    path = tmp_path / "examples.yaml"
    path.write_text("".join(re.sub(r"^# ", "", e, flags=re.MULTILINE) for e in examples), encoding="utf-8")
    settings = load_settings(path)
    assert all(stage.enabled for stage in settings.pipeline)
    assert settings.prices["gpt-x"].output_usd_per_mtok == 1.5


def test_off_needs_no_quotes_in_the_file_of_init(tmp_path: Path) -> None:
    path = tmp_path / "hivefeedback.yaml"
    path.write_text(commented_settings().replace('#mode: "act"', "mode: off"), encoding="utf-8")
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == {"mode": False}, "which is why this is tried"
    assert load_settings(path).mode == "off"


def test_the_lines_of_init_are_settings_once_their_sign_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(re.sub(r"^#(?=\w)", "", commented_settings(), flags=re.MULTILINE), encoding="utf-8")
    assert load_settings(path).ring_size == Settings.model_fields["ring_size"].default


def test_the_example_of_a_deployment_is_one(tmp_path: Path) -> None:
    lines = commented_settings().splitlines()
    start = lines.index("# deployments:")
    path = tmp_path / "example.yaml"
    block = itertools.takewhile(lambda line: line.startswith("# "), lines[start:])
    path.write_text("\n".join(line[2:] for line in block), encoding="utf-8")
    (deployment,) = load_settings(path).deployments
    assert (deployment.id, deployment.capability) == ("small", 50.0)


def test_init_never_overwrites_unless_it_is_told_to(cli: Cli) -> None:
    path = Path("hivefeedback.yaml")
    path.write_text("mode: observe\n", encoding="utf-8")
    assert "--force" in cli.refused(2, "init")
    assert path.read_text(encoding="utf-8") == "mode: observe\n"
    assert cli.json("init", "--force") == {"path": "hivefeedback.yaml"}
    assert "#mode:" in path.read_text(encoding="utf-8")


def test_init_writes_the_file_that_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.done("init", "--config", "mine.yaml")
    monkeypatch.setenv("HIVEFEEDBACK_CONFIG", "theirs.yaml")
    cli.done("init")
    assert {p.name for p in Path().glob("*.yaml")} == {"mine.yaml", "theirs.yaml"}


# --- docs -------------------------------------------------------------------------------------------


def test_the_reference_of_hooks_has_every_hook_with_its_arguments_in_calling_order(cli: Cli) -> None:
    text = cli.done("docs", "hooks").out
    hooks = {n: f for n, f in vars(specs).items() if n.startswith("hive_")}
    assert re.findall(r"^## `(\w+)`$", text, re.MULTILINE) == list(hooks)
    for name, hook in hooks.items():
        part = text.split(f"## `{name}`\n")[1].split("\n## ")[0]
        assert (inspect.getdoc(hook) or "").splitlines()[0].replace("``", "`") in part
        for argument in inspect.signature(hook).parameters:
            assert f"- `{argument}`: " in part, name


def test_the_reference_of_settings_has_every_setting_with_default_and_meaning(cli: Cli) -> None:
    text, _, plugins = cli.done("docs", "settings").out.partition("# Options of plugins")
    for name, field in Settings.model_fields.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert (field.description or "").replace("|", "\\|") in row
    assert "| `ring_size` | `int` ≥ 16 ≤ 16777216 | `65536` |" in text
    assert "`HIVEFEEDBACK_LIMITS_MAX_PER_HOUR`" in plugins, "options of plugins too"


def test_every_table_of_the_reference_is_one(cli: Cli) -> None:
    for line in cli.done("docs").out.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line


def test_docs_are_a_document_for_programs(cli: Cli) -> None:
    data = cli.json("docs")
    assert set(data) == {"format", "hooks", "settings", "events"}
    assert data["hooks"].startswith("# Hooks")
    assert set(cli.json("docs", "settings")) == {"format", "settings"}
    assert "choose from" in cli.refused(2, "docs", "plugins")


# --- help -------------------------------------------------------------------------------------------

PARENTS = [(spec.name,) for spec in SPECS if not spec.takes_rest]
COMMANDS = [*PARENTS, *((spec.name, child.name) for spec in SPECS for child in spec.children)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_fits_into_a_small_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main([*words, "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: hivefeedback {' '.join(words)}")
    assert [line for line in shown.splitlines() if len(line) > 80] == []


# --- demo -------------------------------------------------------------------------------------------


def demo(monkeypatch: pytest.MonkeyPatch, code: int = 0) -> list[list[str]]:
    """A demo that notes with which arguments it was called."""
    called: list[list[str]] = []

    def main(argv: list[str]) -> int:
        called.append(argv)
        return code

    module = types.ModuleType("hivefeedback_demo")
    module.main = main  # type: ignore[attr-defined]  # a module that is made up
    monkeypatch.setitem(sys.modules, "hivefeedback_demo", module)
    return called


def test_the_demo_gets_its_own_arguments_and_decides_the_exit_code(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    called = demo(monkeypatch, code=1)
    assert cli("demo", "--seed", "3", "--json").code == 1
    assert cli("--json", "demo", "--help").code == 1
    assert called == [["--seed", "3", "--json"], ["--json", "--help"]]


def test_a_store_named_before_the_demo_is_the_demos(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    called = demo(monkeypatch)
    cli.done("--store", "sqlite:///kept.db", "demo", "--fast")
    assert called == [["--store", "sqlite:///kept.db", "--fast"]]


def test_without_its_extra_the_demo_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def main(argv: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'litellm'", name="litellm")

    demo(monkeypatch)
    monkeypatch.setattr("hivefeedback_demo.main", main)
    line = cli.refused(1, "demo")
    assert "'litellm'" in line
    assert "pip install 'hivefeedback[demo]'" in line


# --- commands of plugins ----------------------------------------------------------------------------

CALLED: list[tuple[str, dict[str, object]]] = []


def greet(store: str, **values: object) -> int:
    CALLED.append((store, values))
    if values["name"] == "nobody":
        raise RuntimeError("there is nobody")
    if values["name"] == "stranger":
        raise RefusedError("not to strangers")
    return 0 if values["loud"] else 7


class Greeter(Plugin):
    """Brings a command, and one that is called like one of ours."""

    name = "greeter"

    @hookimpl
    def hive_commands(self) -> tuple[Command, ...]:
        return (
            Command(
                "greet",
                "Say hello, 100% politely.",
                greet,
                (
                    Argument("name", "whom"),
                    Argument("--times", "how often", "int", 1),
                    Argument("--mean-s", "seconds between", "float"),
                    Argument("--loud", "shout", "bool"),
                ),
            ),
            Command("stats", "Not ours.", greet),
        )


@pytest.fixture
def greeter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin, installed."""
    site = tmp_path / "site"
    info = site / "hivefeedback_greeter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hivefeedback-greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hivefeedback]\ngreeter = hivefeedback_greeter:Greeter\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setitem(sys.modules, "hivefeedback_greeter", sys.modules[__name__])
    CALLED.clear()


@pytest.mark.usefixtures("greeter")
def test_a_plugin_s_command_gets_the_store_and_its_arguments_by_name(cli: Cli) -> None:
    said = cli("--store", "memory://", "greet", "Ada", "--times", "3", "--loud")
    assert said.code == 0
    assert CALLED == [("memory://", {"name": "Ada", "times": 3, "mean_s": None, "loud": True})]
    assert cli("greet", "Ada").code == 7, "its own exit code"


@pytest.mark.usefixtures("greeter")
def test_a_plugin_s_command_is_in_the_help_and_has_its_own(cli: Cli) -> None:
    assert "Say hello, 100% politely." in cli.done("--help").out
    assert "how often" in cli.done("greet", "--help").out
    assert "required: name" in cli.refused(2, "greet")


@pytest.mark.usefixtures("greeter")
def test_a_plugin_s_command_that_raises_costs_one_line(cli: Cli) -> None:
    assert "there is nobody" in cli.refused(1, "greet", "nobody")
    assert "not to strangers" in cli.refused(4, "greet", "stranger")
    assert "Traceback" in cli("greet", "nobody", "-v").err


@pytest.mark.usefixtures("greeter")
def test_a_plugin_cannot_take_the_place_of_a_command_of_ours(cli: Cli) -> None:
    assert "no such file" in cli.refused(3, "stats", "--store", "sqlite:///none.db")
    assert CALLED == []


@pytest.mark.usefixtures("greeter")
def test_commands_of_a_denied_plugin_are_not_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_PLUGINS_DENY", '["greeter"]')
    assert "invalid choice" in cli.refused(2, "greet", "Ada")

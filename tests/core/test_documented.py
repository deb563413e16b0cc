"""Nothing public is undocumented: names, hooks, protocols, settings; and every hook is tried."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from hivefeedback.hooks import Plugin, protocols, specs
from hivefeedback.settings import Settings

PUBLIC = ("errors", "hooks", "model", "stats", "testing")
HOOKS = {name: hook for name, hook in vars(specs).items() if name.startswith("hive_") and inspect.isfunction(hook)}
STAGES = list(HOOKS)[:6]


def test_the_stage_hooks_stand_in_calling_order() -> None:
    assert [f"hive_{stage}" for stage in ("collect", "analyze", "plan", "validate", "execute", "monitor")] == STAGES


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_what_it_is_for(name: str) -> None:
    text = inspect.getdoc(HOOKS[name]) or ""
    assert text.split("\n")[0].endswith("."), name
    arguments = list(inspect.signature(HOOKS[name]).parameters)
    if name not in STAGES:
        assert arguments == [], f"{name}: a registration hook takes no argument"
        return
    assert re.search(r"thread", text, re.IGNORECASE), f"{name} does not say on which thread it is called"
    assert re.search(r"\bonce per\b", text), f"{name} does not say how often it is called"
    assert "Returns:" in text, name
    for argument in arguments:
        assert re.search(rf"^    {argument}: \S", text, re.MULTILINE), f"{name} does not explain {argument!r}"


@pytest.mark.parametrize("name", HOOKS)
def test_the_typed_base_class_mirrors_the_spec(name: str) -> None:
    spec, mirror = inspect.signature(HOOKS[name]), inspect.signature(getattr(Plugin, name))
    assert list(mirror.parameters)[1:] == list(spec.parameters)
    assert [p.annotation for p in mirror.parameters.values()][1:] == [p.annotation for p in spec.parameters.values()]
    assert mirror.return_annotation == spec.return_annotation


def test_the_base_class_has_no_hook_without_a_spec() -> None:
    assert {name for name in vars(Plugin) if name.startswith("hive_")} == set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_called_through_an_entry_point_by_a_test(repository: Path, name: str) -> None:
    text = (repository / "tests" / "core" / "test_entry_points.py").read_text(encoding="utf-8")
    assert f"def {name}(" in text, f"tests/core/test_entry_points.py has no plugin that implements {name}"


@pytest.mark.parametrize("name", protocols.__all__)
def test_a_protocol_explains_each_of_its_methods(name: str) -> None:
    cls = getattr(protocols, name)
    assert cls.__doc__, name
    for method, function in vars(cls).items():
        if inspect.isfunction(function) and not method.startswith("_"):
            assert inspect.getdoc(function), f"{name}.{method}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_says_what_it_means_and_where_it_has_a_unit_names_it(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description, name
    assert len(field.description) >= 15, f"{name}: {field.description!r} says too little"
    assert not name.endswith(("timeout", "interval", "delay", "age", "horizon")), f"{name} has no unit"


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_class_and_function_has_a_docstring(package: str) -> None:
    module = import_module(f"hivefeedback.{package}")
    bare = []
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            text = thing.__doc__ or ""
            if not text or text.startswith(f"{name}("):  # dataclasses write a signature where there is nothing
                bare.append(name)
    assert bare == []


def test_every_module_begins_with_a_docstring(repository: Path) -> None:
    bare = []
    for room in ("hivefeedback", "plugins", "integrations", "tests", "examples"):
        for path in (repository / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            is_readmes = path.name == "quickstart.py"  # the program of the README, word for word
            if text.strip() and not is_readmes and not ast.get_docstring(ast.parse(text)):
                bare.append(str(path.relative_to(repository)))
    assert bare == []


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md"])
def test_the_map_of_the_rooms_shows_every_package_of_the_core(repository: Path, text: str) -> None:
    rooms = [p.name for p in (repository / "hivefeedback").iterdir() if (p / "__init__.py").is_file()]
    rooms += [p.name for p in (repository / "hivefeedback").glob("*.py") if not p.name.startswith("_")]
    words = (repository / text).read_text(encoding="utf-8").split("## The rooms")[1].split("\n## ")[0]
    assert [room for room in sorted(rooms) if not re.search(rf"\b{re.escape(room)}[`/]", words)] == []


def test_every_public_method_of_the_loop_has_a_docstring() -> None:
    loop = import_module("hivefeedback").FeedbackLoop
    members = {n: m for n, m in vars(loop).items() if not n.startswith("_")}
    assert [n for n, m in members.items() if callable(m) and not inspect.getdoc(m)] == []


def test_the_first_program_of_the_readme_is_short_and_says_what_stands_below_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    program, said = re.findall(r"```(?:python)?\n(.*?)```", readme.split("Without make")[1], re.DOTALL)[:2]
    assert len(program.splitlines()) <= 12
    assert program == (repository / "examples" / "quickstart.py").read_text(encoding="utf-8")
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out == said

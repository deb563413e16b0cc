"""What is declared, installed and pinned fits together."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from typing import Any

import pytest

VENDORS = ("apprise", "fastapi", "langchain", "langchain_core", "langchain_openai", "langgraph", "litellm", "openai",
           "opentelemetry.exporter", "opentelemetry.sdk", "prometheus_client", "psutil", "pyarrow", "redis", "sklearn",
           "starlette", "uvicorn")  # fmt: skip

AWAITED = {
    "agents": (("langchain", "langgraph"), "6 of 7"),
    "apprise": (("apprise",), "7 of 7"),
    "ml": (("sklearn",), "5 of 7"),
    "server": (("fastapi", "prometheus_client", "starlette", "uvicorn"), "7 of 7"),
}
"""Extras that are declared and that no room imports yet: their vendors, and the issue that will use them."""


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def packages(repository: Path) -> list[str]:
    """The top-level packages of the distribution."""
    rooms = [p.name for room in ("plugins", "integrations") for p in (repository / room).iterdir() if p.is_dir()]
    return ["hivefeedback", *sorted(name for name in rooms if name.startswith("hivefeedback_"))]


def test_every_package_is_typed_and_has_a_docstring(repository: Path) -> None:
    for name in packages(repository):
        module = importlib.import_module(name)
        assert module.__file__ is not None
        assert module.__doc__, name
        assert (Path(module.__file__).parent / "py.typed").exists(), name


def test_the_import_contracts_know_every_package(repository: Path, project: dict[str, Any]) -> None:
    assert sorted(project["tool"]["importlinter"]["root_packages"]) == sorted(packages(repository))


def test_every_declared_plugin_loads_and_has_a_name_of_its_own(project: dict[str, Any]) -> None:
    declared = project["project"]["entry-points"]["hivefeedback"]
    installed = {point.name: point for point in entry_points(group="hivefeedback") if point.name in declared}
    assert set(installed) == set(declared), "run: pip install -e '.[dev]'"
    for name, point in installed.items():
        assert point.value == declared[name], f"{name}: run pip install -e '.[dev]' again"
        plugin = point.load()()
        assert plugin.name == name


def test_every_package_imports_without_any_extra(repository: Path) -> None:
    program = f"""
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if any(name == v or name.startswith(v + ".") for v in {VENDORS!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
for name in {packages(repository)!r}:
    importlib.import_module(name)
from importlib.metadata import entry_points, packages_distributions
for point in entry_points(group="hivefeedback"):
    point.load()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_testing_room_imports_without_pytest() -> None:
    program = "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None; import hivefeedback.testing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_import_of_hivefeedback_stays_light() -> None:
    heavy = ("numpy", "pydantic", "pydantic_settings", "yaml", "pluggy", "sqlite3", "asyncio", "opentelemetry.sdk")
    program = f"import sys, hivefeedback; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_constraints_hold_names_and_versions_only_and_cover_every_dependency(
    repository: Path, project: dict[str, Any]
) -> None:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [p for p in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", p)] == []

    pinned = {re.sub(r"[-_.]+", "-", p.split("==")[0]).lower() for p in pins}
    extras = list(project["project"]["optional-dependencies"])
    assert requirements(project, *extras) - pinned - {"hivefeedback"} == set()


def requirements(project: dict[str, Any], *extras: str) -> set[str]:
    """Normalised names of the base dependencies and of some extras."""
    declared: dict[str, list[str]] = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(r for extra in extras for r in declared[extra])]
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", r)[0]).lower() for r in wanted}


@pytest.mark.parametrize(
    ("rooms", "extras"),
    [
        (
            ("hivefeedback", "plugins"),
            ("dev", "parquet", "redis", "schema", "sentiment", "similarity", "system", *AWAITED),
        ),  # dev, since the contract suites need pytest when they are used
        (("integrations",), ("otel", "langchain", "litellm", "demo", *AWAITED)),
        (("tests", "examples"), ("otel", "langchain", "litellm", "demo", "dev", "redis", *AWAITED)),
    ],
)
def test_every_import_is_of_a_declared_dependency(
    repository: Path, project: dict[str, Any], rooms: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    declared = requirements(project, *extras)
    providers = packages_distributions()
    wrong = set()
    for path, name in imported(repository, *rooms):
        known = name in sys.stdlib_module_names or name.startswith("hivefeedback") or name == "tests"
        providing = {re.sub(r"[-_.]+", "-", p).lower() for p in providers.get(name, [])}
        if not known and not providing & declared:
            wrong.add(f"{path.relative_to(repository)}: {name}")
    assert wrong == set()


def imported(repository: Path, *rooms: str) -> Iterator[tuple[Path, str]]:
    """Each file of some rooms with each top-level package that it imports."""
    for path in (p for room in rooms for p in (repository / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from ((path, name) for name in {n.split(".")[0] for n in names})


def test_an_extra_is_either_imported_or_awaited_by_a_named_issue(repository: Path) -> None:
    used = {name for _, name in imported(repository, "hivefeedback", "plugins", "integrations")}
    here = {extra: sorted(used & set(vendors)) for extra, (vendors, _) in AWAITED.items()}
    assert {extra: found for extra, found in here.items() if found} == {}, "it is imported now: take it off AWAITED"


def reached_by(project: dict[str, Any], *extras: str) -> set[str]:
    """Some extras, and those that they ask for."""
    declared: dict[str, list[str]] = project["project"]["optional-dependencies"]
    reached: set[str] = set()
    waiting = list(extras)
    while waiting:
        extra = waiting.pop()
        reached.add(extra)
        inner = [re.match(r"hivefeedback\[([^\]]+)\]", requirement) for requirement in declared[extra]]
        waiting += [e for m in inner if m for e in m.group(1).split(",") if e not in reached]
    return reached


def test_all_is_everything_but_what_learns_and_what_develops(project: dict[str, Any]) -> None:
    extras = set(project["project"]["optional-dependencies"])
    assert reached_by(project, "all") == extras - {"ml", "peers", "dev"}


def test_the_suite_has_every_extra_but_the_one_that_its_tools_do_not_go_with(project: dict[str, Any]) -> None:
    extras = set(project["project"]["optional-dependencies"])
    assert reached_by(project, "dev") == extras - {"all", "proxy"}


def make(repository: Path, *targets: str, **variables: str) -> str:
    """What make would do, without doing it."""
    given = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(["make", "-C", str(repository), *targets, *given], capture_output=True, text=True, check=True)
    return done.stdout


def test_make_without_a_target_says_what_there_is(repository: Path) -> None:
    said = make(repository)
    for target in ("demo", "demo-seeds", "test", "check", "bench", "clean"):
        assert f"make {target} " in said


def test_make_demo_needs_no_development_tools(repository: Path, tmp_path: Path) -> None:
    said = make(repository, "-n", "demo", VENV=str(tmp_path / "venv"))
    assert "'.[demo]'" in said
    assert "[dev]" not in said


def test_make_lets_pip_be_silent_but_says_what_happens_and_what_failed(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    pip = tmp_path / "bin" / "python"
    pip.write_text("#!/bin/sh\necho the index is gone >&2\nexit 1\n", encoding="utf-8")
    pip.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", str(repository), "demo", f"VENV={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "Installing hivefeedback" in done.stdout
    assert done.stderr.index("the index is gone") < done.stderr.index("The installation failed")
    assert "--quiet" in make(repository, "-n", "demo", VENV=str(tmp_path))
    assert "--quiet" not in make(repository, "-n", "demo", VENV=str(tmp_path), PIP_ARGS="")


def test_make_says_what_is_missing_where_no_python_fits(repository: Path, tmp_path: Path) -> None:
    shims = tmp_path / "bin"
    shims.mkdir()
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        (shims / name).write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
        (shims / name).chmod(0o755)
    done = subprocess.run(
        ["make", "-C", str(repository), "test", f"VENV={tmp_path / 'venv'}"],
        env={**os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "No Python 3.11 or newer was found among: python3.11" in done.stderr


def test_coverage_means_branches(project: dict[str, Any]) -> None:
    """C23: how many tests pass says nothing of what they reach."""
    run = project["tool"]["coverage"]["run"]
    assert run["branch"] is True
    assert {run["source_pkgs"][0], *run["source_dirs"]} == {"hivefeedback", "plugins", "integrations"}

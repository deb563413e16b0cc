"""The import contracts hold, and each of them fails when it is broken on purpose."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOMS = ("hivefeedback", "plugins", "integrations")
PUBLIC = ("hivefeedback", *(f"hivefeedback.{n}" for n in ("errors", "hooks", "model", "stats", "telemetry", "testing")))
VENDORS = {"apprise", "fastapi", "httpx", "langchain", "langchain_core", "langchain_openai", "langgraph", "litellm",
           "openai", "psutil", "redis", "requests", "sklearn", "starlette", "uvicorn"}  # fmt: skip


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run lint-imports over a tree, which comes before the installed packages."""
    path = os.pathsep.join(str(p) for p in (root, root / "plugins", root / "integrations"))
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo", "--config", str(root / "pyproject.toml")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A copy of the rooms that may be broken."""
    root = tmp_path / "copy"
    for room in ROOMS:
        shutil.copytree(repository / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", root)
    return root


def test_all_contracts_hold(repository: Path) -> None:
    done = lint(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("hivefeedback/model/run.py", "import hivefeedback.stats", "Inside the core"),
        ("hivefeedback/serving/__init__.py", "import hivefeedback.recording", "Inside the core"),
        ("hivefeedback/queries/__init__.py", "import hivefeedback.recording", "Inside the core"),
        ("hivefeedback/serving/__init__.py", "import numpy", "application's thread"),
        ("hivefeedback/control/__init__.py", "import hivefeedback.settings", "Settings are imported"),
        ("hivefeedback/stats/cell.py", "import hivefeedback_stores", "no plugin and no integration"),
        ("hivefeedback/telemetry.py", "import litellm", "core imports no vendor"),
        ("plugins/hivefeedback_gates/__init__.py", "import langchain_core", "no vendor of an integration"),
        ("plugins/hivefeedback_gates/__init__.py", "import hivefeedback_stores", "never import each other"),
        ("integrations/hivefeedback_otel/__init__.py", "import hivefeedback_demo", "nobody imports the demo"),
        ("integrations/hivefeedback_demo/__init__.py", "import hivefeedback_policies", "demo gets its plugins"),
        ("plugins/hivefeedback_gates/__init__.py", "import hivefeedback.loop", "public names"),
        ("plugins/hivefeedback_gates/__init__.py", "from hivefeedback.model.run import Run", "public names"),
    ],
)
def test_a_contract_broken_on_purpose_fails(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}  # on purpose\n", encoding="utf-8")
    done = lint(copy)
    broken = [said for said in done.stdout.splitlines() if said.rstrip().endswith("BROKEN")]
    assert done.returncode != 0
    assert any(contract in said for said in broken), done.stdout + done.stderr


def imports_of(path: Path) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(line, module, names) of each import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module, tuple(alias.name for alias in node.names)


def sources(root: Path, *rooms: str) -> list[Path]:
    """Python files of some rooms."""
    return sorted(path for room in rooms for path in (root / room).rglob("*.py"))


def test_plugins_and_integrations_use_names_in_all_only(repository: Path) -> None:
    wrong = []
    for path in sources(repository, "plugins", "integrations", "examples"):
        for line, module, names in imports_of(path):
            if module.split(".")[0] != "hivefeedback":
                continue
            allowed = set(import_module(module).__all__) if module in PUBLIC else set()
            if module == "hivefeedback":
                allowed |= {name.removeprefix("hivefeedback.") for name in PUBLIC}
            if module not in PUBLIC or not set(names) <= allowed:
                wrong.append(f"{path.relative_to(repository)}:{line} {module} {sorted(set(names) - allowed)}")
    assert wrong == []


def test_nobody_imports_a_private_module_of_another_package(repository: Path) -> None:
    wrong = []
    for path in sources(repository, *ROOMS):
        own = path.relative_to(repository).parts[0 if path.is_relative_to(repository / "hivefeedback") else 1]
        for line, module, names in imports_of(path):
            first = module.split(".")[0]
            private = [n for n in (*module.split("."), *names) if n.startswith("_") and not n.startswith("__")]
            if first.startswith("hivefeedback") and first != own and private:
                wrong.append(f"{path.relative_to(repository)}:{line} {module} {private}")
    assert wrong == []


def test_the_core_uses_the_opentelemetry_api_and_no_vendor_even_lazily(repository: Path) -> None:
    wrong = []
    for path in sources(repository, "hivefeedback"):
        for line, module, names in imports_of(path):
            full = {module, *(f"{module}.{name}" for name in names)}
            sdk = any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in full)
            if sdk or module.split(".")[0] in VENDORS:
                wrong.append(f"{path.relative_to(repository)}:{line} {module}")
    assert wrong == []


def test_relative_imports_are_not_used(repository: Path) -> None:
    wrong = [
        str(path.relative_to(repository))
        for path in sources(repository, *ROOMS)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert wrong == []

"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("hivefeedback", "plugins", "integrations")


def lines(repository: Path, *rooms: str) -> Iterator[tuple[str, str]]:
    """(place, line) of each line of some rooms, but for this file."""
    for room in rooms:
        for path in sorted((repository / room).rglob("*.py")):
            if path == Path(__file__):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                yield f"{path.relative_to(repository)}:{number}", line


def trees(repository: Path, *rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """(path, parsed content) of each file of some rooms."""
    for room in rooms:
        for path in sorted((repository / room).rglob("*.py")):
            yield str(path.relative_to(repository)), ast.parse(path.read_text(encoding="utf-8"))


def test_a_type_ignore_names_its_code_and_has_a_reason_beside_it(repository: Path) -> None:
    wrong = [
        f"{place} {line.strip()}"
        for place, line in lines(repository, *ROOMS, "tests", "examples")
        if "# type: ignore" in line and not re.search(r"# type: ignore\[[\w, -]+\]  # (noqa: \w+  # )?\S", line)
    ]
    assert wrong == []


def test_a_handler_of_everything_says_why_it_may(repository: Path) -> None:
    """One that raises again swallows nothing, so it needs no excuse."""
    wrong = []
    for path, tree in trees(repository, *ROOMS):
        text = (repository / path).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and not any(isinstance(n, ast.Raise) for n in node.body):
                caught = ast.unparse(node.type) if node.type else "Exception"
                near = "\n".join(text[node.lineno - 1 : node.body[0].lineno])
                if "Exception" in caught.split(".")[-1].split("(")[-1].split(", ") or caught == "BaseException":
                    wrong += [] if re.search(r"# (?!noqa)\w|# noqa: BLE001\W+\w", near) else [f"{path}:{node.lineno}"]
    assert wrong == []


def test_nothing_sleeps_in_a_test_but_what_waits_for_a_real_server(repository: Path) -> None:
    wrong = [
        place
        for place, line in lines(repository, "tests", "examples")
        if re.search(r"\btime\.sleep\((?!0(\.0\d*)?\))", line) and not line.strip().startswith("#")
    ]
    assert wrong == []


def test_a_source_file_of_more_than_500_lines_gives_its_reason(repository: Path) -> None:
    """Its docstring says why it is long."""
    long = {
        path: len((repository / path).read_text(encoding="utf-8").splitlines()) for path, _ in trees(repository, *ROOMS)
    }
    reasons = {path: ast.get_docstring(tree) or "" for path, tree in trees(repository, *ROOMS)}
    assert {path: n for path, n in long.items() if n > 500 and "long" not in reasons[path]} == {}


def test_no_work_is_done_at_import_time_and_no_test_is_detected(repository: Path) -> None:
    wrong = [
        f"{path}:{node.lineno}"
        for path, tree in trees(repository, *ROOMS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER")
    ]
    assert wrong == []


def test_the_public_package_has_no_mutable_default(repository: Path) -> None:
    wrong = [
        f"{path}:{default.lineno}"
        for path, tree in trees(repository, *ROOMS)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for default in (*node.args.defaults, *node.args.kw_defaults)
        if isinstance(default, ast.List | ast.Dict | ast.Set)
    ]
    assert wrong == []

"""Each requirement of the replaced systems is shown by a test, or named with the step that brings it."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {"S1": 17, "S2": 13, "S3": 15, "S4": 23, "S5": 13, "A": 11, "C": 29}
"""How many requirements each system has, the additions of the documents (A) and the contradictions (C)."""
BUILT = 3
"""Steps of the plan that are done: what they bring must be shown, not promised."""

Item = dict[str, Any]


def items() -> dict[str, Item]:
    tables = tomllib.loads((ROOT / "tests" / "requirements.toml").read_text(encoding="utf-8"))
    flat: dict[str, Item] = {}
    for system, found in tables.items():
        flat |= {f"{system}{'' if system == 'C' else '.'}{number}": item for number, item in found.items()}
    return flat


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of tests in a file, with their class where they have one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(f"{node.name}::{inner.name}" if isinstance(node, ast.ClassDef) else inner.name)
    return frozenset(names)


def is_there(node_id: str) -> bool:
    file, _, name = node_id.partition("::")
    path = ROOT / file
    return path.is_file() and name.partition("[")[0] in names_in(path)


def test_every_number_is_mapped_and_none_is_invented() -> None:
    expected = {f"{s}.{i}" for s, n in NUMBERS.items() if s != "C" for i in range(1, n + 1)}
    expected |= {f"C{i}" for i in range(1, NUMBERS["C"] + 1)}
    assert set(items()) == expected


def test_each_requirement_has_tests_or_a_later_step() -> None:
    bare = [name for name, item in items().items() if not item.get("tests") and not item.get("later")]
    assert not bare, f"neither tests nor a later step: {', '.join(bare)}"


def test_each_named_test_is_there() -> None:
    gone = [f"{name}: {node}" for name, item in items().items() for node in item.get("tests", ()) if not is_there(node)]
    assert not gone, "no such test:\n" + "\n".join(gone)


def test_what_is_promised_for_later_names_a_step_that_is_still_to_come() -> None:
    for name, item in items().items():
        for part in item.get("later", "").split(";"):
            if part:
                step = re.match(r"\s*(\d) of 7\b", part)
                assert step is not None, f"{name} is promised for {part!r}"
                assert BUILT < int(step[1]) <= 7, f"{name} is promised for {part!r}"


def test_each_requirement_says_what_it_is_in_a_few_words() -> None:
    for name, item in items().items():
        assert set(item) <= {"what", "tests", "later"}, name
        assert 10 <= len(item["what"]) <= 120, name

"""Every test starts in an empty folder, without settings of the machine that it runs on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines are slow at times, and a suite that draws other examples each day is no contract.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No HIVEFEEDBACK_* of the caller, an empty working directory, a user-data folder of its own."""
    for name in [n for n in os.environ if n.startswith(("HIVEFEEDBACK_", "OTEL_"))]:
        monkeypatch.delenv(name)
    data = tmp_path / "user-data"
    monkeypatch.setenv("HOME" if sys.platform == "darwin" else "XDG_DATA_HOME", str(data))
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    monkeypatch.chdir(cwd)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def skip_or_fail() -> Callable[[str, str], str]:
    """``skip_or_fail("redis-server", "apt-get install redis-server")`` answers the program's path.

    Where it is missing the test is skipped with the install command; under ``CI=true`` it fails.
    """

    def find(program: str, install: str) -> str:
        path = shutil.which(program)
        if path:
            return path
        reason = f"{program} is missing; install it with: {install}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return find


@pytest.fixture
def frozen(repository: Path) -> Callable[[str, list[str]], None]:
    """``frozen("wire_schema", lines)`` fails where the lines differ from the frozen ones.

    Names may only grow. An intended change is made with ``UPDATE_FROZEN=1`` and shows in the diff.
    """

    def compare(name: str, lines: list[str]) -> None:
        path = repository / "tests" / "core" / "frozen" / f"{name}.txt"
        text = "".join(f"{line}\n" for line in lines)
        print(text)
        if os.environ.get("UPDATE_FROZEN"):
            path.write_text(text, encoding="utf-8")
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        gone = [line for line in before if line not in set(lines)]
        new = [line for line in lines if line not in set(before)]
        remedy = f"write it down with: UPDATE_FROZEN=1 python -m pytest tests/core -k {name}"
        assert not gone, f"{name}: these were frozen and went or changed: {gone}; if that is intended, {remedy}"
        assert not new, f"{name}: these are new: {new}; {remedy}"

    return compare

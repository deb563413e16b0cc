"""A stranger's distribution is installed, found through its entry point and used by a loop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the example, built from a copy."""
    source = tmp_path_factory.mktemp("source") / "third_party_plugin"
    shutil.copytree(repository / "examples" / "third_party_plugin", source)
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *offline, str(source)], check=True, capture_output=True, text=True)
    return target


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as somebody who installed the example; nothing is found in the working directory."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_brings_an_analyzer_a_gate_a_scorer_and_a_store(installed: Path) -> None:
    done = run(installed, "-m", "hivefeedback_example")
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert "'wordy' takes" in said["analyzer"]
    assert "example_reason" in said["gate"] or "give a reason" in said["gate"]
    assert "'quick': 1.0" in said["scorer"]
    assert "'commit'" in said["store"]
    assert "'entry'" in said["store"]


def test_the_examples_own_tests_pass(installed: Path, repository: Path) -> None:
    tests = repository / "examples" / "third_party_plugin" / "tests"
    done = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tests), str(tests))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout

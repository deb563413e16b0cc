"""What the tests of the command line share: a clock, the command line, a store that was filled."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback.testing import FakeClock
from tests.cli import Cli, filled


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], clock: FakeClock) -> Cli:
    return Cli(capsys, clock)


@pytest.fixture
def n_runs() -> int:
    """How many runs the filled store has; a file whose tests look at none of them asks for fewer."""
    return 40


@pytest.fixture
def url(tmp_path: Path, clock: FakeClock, n_runs: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A filled store, which is the one of the environment."""
    made = f"sqlite:///{tmp_path / 'hive.db'}"
    filled(made, clock, n_runs=n_runs)
    monkeypatch.setenv("HIVEFEEDBACK_STORE", made)
    return made

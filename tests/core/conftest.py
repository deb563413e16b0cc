"""What tests share: a clock, the command line, a store that was filled; controls on one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback.model import Deployment
from hivefeedback.testing import FakeClock
from hivefeedback.testing.control import Rig
from hivefeedback_stores.memory import MemoryStore
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


@pytest.fixture
def rig() -> Rig:
    """Controls on one store, in which two deployments and a prompt are declared."""
    rig = Rig(MemoryStore())
    rig.control("declarer").declare([Deployment("a"), Deployment("b")], {"p": "text"})
    return rig

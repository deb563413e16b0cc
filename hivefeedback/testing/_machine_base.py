"""What the state machines of the store contract share."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from hivefeedback.testing._contract_base import Makes

__all__ = ["StoreMachine", "play_machine"]

N_STORIES, N_STEPS = 12, 25
"""Stories that a machine tries and steps of each: a second for a store that writes a file at each step."""


class _Folders:
    """A new folder for each story."""

    def __init__(self, base: Path) -> None:
        self._base, self._n = base, 0

    def next(self) -> Path:
        """An empty one."""
        self._n += 1
        folder = self._base / f"story-{self._n}"
        folder.mkdir()
        return folder


class StoreMachine(RuleBasedStateMachine):
    """A story about stores of a contract; ``play_machine`` sets what stands here."""

    contract: ClassVar[Makes]
    folders: ClassVar[_Folders]


def play_machine(machine: type[StoreMachine], contract: Makes, base: Path) -> None:
    """Try stories; the same ones at every call, so that a store that keeps the contract keeps it tomorrow."""
    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"contract": contract, "folders": _Folders(base)}),
        settings=settings(
            max_examples=N_STORIES,
            stateful_step_count=N_STEPS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],  # to shrink a story that failed may take minutes
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Runs the command line inside of a test, on a store that a made-up application has filled."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.cli.main import main
from hivefeedback.testing import FakeClock

__all__ = ["PROMPT", "Cli", "Said", "filled"]

PROMPT = "Answer {question}.\nBe polite."


@dataclass(frozen=True, slots=True)
class Said:
    """What one call answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


class Cli:
    """The command line under a clock of its own.

    Args:
        capsys: Catches what is written.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str], clock: Callable[[], float]) -> None:
        self._capsys, self._clock = capsys, clock

    def __call__(self, *words: str) -> Said:
        """Run one command."""
        self._capsys.readouterr()
        code = main(words, clock=self._clock)
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def done(self, *words: str) -> Said:
        """Run a command that must succeed."""
        said = self(*words)
        assert said.code == 0, said
        return said

    def json(self, *words: str) -> Any:
        """Run a command that must succeed; what it answers to a program."""
        said = self.done(*words, "--json")
        assert said.err == "", said.err
        return said.data

    def refused(self, code: int, *words: str) -> str:
        """Run a command that must fail with this code; the line that says why."""
        said = self(*words)
        assert said.code == code, said
        last = said.err.splitlines()[-1]
        assert last.startswith("error: "), said.err
        assert "Traceback" not in said.err
        return last


def filled(url: str, clock: FakeClock, *, n_runs: int = 40) -> None:
    """An application ran for a while: two deployments that are declared, one that is not, one prompt."""
    rng = random.Random(7)
    deployments = [Deployment("a"), Deployment("b", model="b-1", tags=("cheap",))]
    with FeedbackLoop(store=url, deployments=deployments, prompts={"answer": PROMPT}, seed=1, clock=clock) as loop:
        for i in range(n_runs):
            decision = loop.decide("text-to-text/medical", session_id=f"s{i}")
            outcome = "ok" if rng.random() < 0.8 else "model_error"
            run = Run(
                decision.deployment or "a",
                "text-to-text/medical",
                "ok" if outcome == "ok" else "model_error",
                0.5 + rng.random(),
                run_id=f"r{i}",
                trace_id=f"t{i}",
                decision_id=decision.decision_id,
                session_id=f"s{i}",
                user_id="anna",
                cost_usd=0.002,
                tokens_in=100,
                tokens_out=20,
            )
            loop.record(run)
            clock.advance(1.0)
        loop.record(Run("unknown-1", "text-to-text/legal", "ok", 1.0))

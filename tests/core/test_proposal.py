"""What no process could read does not get into the journal, whoever brings it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop, Mutation, MutationKind, Plugin, hookimpl
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import View
from hivefeedback.testing import FakeClock

SWAP = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="better")
NO_READER: list[dict[str, Any]] = [
    {"risk": "HIGH"},
    {"risk": None},
    {"confidence": 2},
    {"confidence": "0.9"},
    {"confidence": float("nan")},
    {"priority": float("nan")},
    {"priority": "high"},
    {"evidence": None},
    {"evidence": "t-1"},
    {"undo": 5},
    {"reason": 5},
    {"target": 5},
    {"finding_id": 5},
    {"expected_effect": None},
    {"resources": {"tokens_out_per_day": "many"}},
    {"from_": object()},
]


def _opened(path: Path, plugins: Sequence[object] = ()) -> FeedbackLoop:
    return FeedbackLoop(f"sqlite:///{path}", ["a"], plugins=plugins, clock=FakeClock(), on_store_error="raise")


@pytest.mark.parametrize("part", NO_READER, ids=lambda part: next(iter(part)))
def test_a_proposal_that_nobody_could_read_is_refused_and_the_store_stays_good(
    part: dict[str, Any], tmp_path: Path
) -> None:
    with _opened(tmp_path / "hive.db") as loop:
        with pytest.raises(InvalidInputError, match="MODEL_SWAP"):
            loop.propose(replace(SWAP, **part))
        assert not loop.ledger.lives
    with _opened(tmp_path / "hive.db") as loop:
        assert loop.propose(SWAP)


@pytest.mark.parametrize("given", ["m-1", None, {"kind": "MODEL_SWAP"}])
def test_what_is_no_mutation_is_refused_with_a_sentence(given: Any, tmp_path: Path) -> None:
    with _opened(tmp_path / "hive.db") as loop, pytest.raises(InvalidInputError, match="expected a Mutation"):
        loop.propose(given)


class CarelessPlanner(Plugin):
    """Divides 0 by 0."""

    name = "careless"

    @hookimpl
    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        return (replace(SWAP, priority=float("nan"), planner=self.name),)


def test_a_planner_whose_priority_is_no_number_costs_its_own_answer(tmp_path: Path) -> None:
    with _opened(tmp_path / "hive.db", [CarelessPlanner()]) as loop:
        assert loop.turn().plan.mutations == ()
        (info,) = (p for p in loop.plugins() if p.name == "careless")
        assert info.errors == 1
        assert "priority" in info.last_error
    with _opened(tmp_path / "hive.db") as loop:
        assert not loop.ledger.lives


def test_who_does_something_has_a_name_that_is_a_text(tmp_path: Path) -> None:
    by: Any = 5
    with _opened(tmp_path / "hive.db") as loop:
        mutation_id = loop.propose(replace(SWAP, risk="high"))
        with pytest.raises(InvalidInputError, match="say who decides"):
            loop.approve(mutation_id, by=by, why="sure")
        with pytest.raises(InvalidInputError, match="the journal cannot keep edited of the configuration"):
            loop.add_deployment("b", by=by)
    with _opened(tmp_path / "hive.db") as loop:
        assert loop.ledger.lives[mutation_id].state == "awaiting_approval"
        assert list(loop.configuration.deployments) == ["a"]

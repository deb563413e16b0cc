"""Feedback names its run by the first thing that it names, wherever it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from hivefeedback import Feedback, Run
from hivefeedback.hooks.named import run_named
from tests.core.loops import sync_loop

BY: dict[str, Any] = {"run_id": "r-1", "trace_id": "t", "decision_id": "d", "response_id": "p", "session_id": "s"}


@pytest.mark.parametrize("name", BY)
def test_a_run_is_found_by_whatever_names_it(name: str) -> None:
    with sync_loop("a") as loop:
        loop.record(Run("a", "x", **BY))
        found = run_named(loop.store.log, Feedback(**{name: BY[name]}))
        assert found is not None
        assert found.event_id == "r-1"


@pytest.mark.parametrize("names", [("run_id", "trace_id"), ("trace_id", "decision_id"), ("response_id", "session_id")])
def test_the_first_name_decides_also_where_it_finds_nothing(names: tuple[str, str]) -> None:
    first, second = names
    with sync_loop("a") as loop:
        loop.record(Run("a", "x", **BY))
        said = Feedback(**{first: "another", second: BY[second]})
        assert run_named(loop.store.log, said) is None


def test_what_is_no_run_and_what_names_nothing_finds_none() -> None:
    with sync_loop("a") as loop:
        decision_id = loop.decide("x").decision_id
        loop.record(Run("a", "x"))
        assert loop.store.log.find(decision_id) is not None
        assert run_named(loop.store.log, Feedback(run_id=decision_id)) is None
        assert run_named(loop.store.log, Feedback(deployment="a")) is None

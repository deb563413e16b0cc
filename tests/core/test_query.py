"""Runs of a trace become queries, in whatever order they come; a query succeeds by the best word on it."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import pytest

from hivefeedback.stats import Query, QueryTrace, query_success


@dataclass
class Seen:
    run_id: str
    deployment: str
    outcome: str = "ok"
    kind: str = "llm"
    is_root: bool = False
    attempt: int = 1
    judged: dict[str, tuple[str, float]] | None = None


class Ledger:
    """Keeps what is counted, as cells do."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, float]] = Counter()
        self.trace: QueryTrace[Seen] = QueryTrace()

    def settle(self, query: Query[Seen], sign: int) -> None:
        success = query_success(query.head.outcome, query.judged.values())
        if success is not None:
            for run in query.used.values():
                self.counted[run.run_id, success] += sign

    def add(self, *runs: Seen) -> dict[tuple[str, float], int]:
        for run in runs:
            self.trace.add(run, self.settle, is_root=run.is_root, attempt=run.attempt)
        return {at: n for at, n in self.counted.items() if n}


ROOT = Seen("root", "agent", kind="agent", is_root=True)
CALLS = (Seen("1", "a"), Seen("2", "b", "timeout"), Seen("3", "c", "cancelled"), Seen("4", "tool", kind="tool"))


@pytest.mark.parametrize(
    "order", list(itertools.permutations((ROOT, *CALLS))), ids=lambda o: "-".join(r.run_id for r in o)
)
def test_each_deployment_below_a_root_has_its_success_once_in_any_order(order: tuple[Seen, ...]) -> None:
    """S1.8, S1.10, C25: the query's end is that of its root; a failed call of it is told apart."""
    assert Ledger().add(*order) == {("1", 1.0): 1, ("2", 1.0): 1}


def test_a_deployment_that_was_called_again_and_again_had_one_query() -> None:
    calls = [Seen(str(i), "a") for i in range(200)]
    assert Ledger().add(*calls[:100], ROOT, *calls[100:]) == {("0", 1.0): 1}


def test_an_llm_run_without_parent_is_a_query_of_its_own() -> None:
    one, two = Seen("1", "a", is_root=True), Seen("2", "a", "model_error", is_root=True)
    assert Ledger().add(one, two, Seen("3", "b")) == {("1", 1.0): 1, ("2", 0.0): 1, ("3", 1.0): 1}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_calls_that_name_no_parent_belong_to_the_root_of_their_trace(order: tuple[int, ...]) -> None:
    runs = Seen("1", "a", "timeout", is_root=True), Seen("2", "b", is_root=True), ROOT
    assert Ledger().add(*(runs[i] for i in order)) == {("1", 1.0): 1, ("2", 1.0): 1}


def test_a_call_that_was_tried_again_ends_as_its_last_attempt_did() -> None:
    tries = [Seen("1", "a", "timeout", is_root=True), Seen("2", "b", is_root=True, attempt=2)]
    ledger = Ledger()
    assert ledger.add(tries[0]) == {("1", 0.0): 1}
    assert ledger.add(tries[1]) == {("1", 1.0): 1, ("2", 1.0): 1}


def test_nothing_is_counted_without_a_root_or_of_a_root_that_is_not_counted() -> None:
    assert Ledger().add(*CALLS) == {}
    assert Ledger().add(*CALLS, Seen("root", "agent", "cancelled", "agent", is_root=True)) == {}


def test_what_is_removed_leaves_nothing_behind() -> None:
    ledger = Ledger()
    ledger.add(ROOT, *CALLS)
    for run in (CALLS[0], ROOT, CALLS[1]):
        ledger.trace.remove(run, ledger.settle)
    assert ledger.add() == {}
    assert len(ledger.trace) == 0


def test_a_trace_that_never_ends_holds_little() -> None:
    ledger = Ledger()
    ledger.add(*(Seen(f"{i}", f"d{i}") for i in range(500)), *(Seen(f"r{i}", "a", is_root=True) for i in range(500)))
    assert len(ledger.trace) <= 3 * 64
    assert sum(ledger.counted.values()) == 500 + 64  # a's first query has those below it


@pytest.mark.parametrize(
    ("outcome", "judged", "expected"),
    [
        ("ok", [], 1.0),
        ("timeout", [], 0.0),
        ("refused", [], 1.0),
        ("cancelled", [("fact_check", 1.0)], None),
        ("ok", [("fact_check", 0.0), ("rating", 1.0)], 0.0),
        ("timeout", [("fact_check", 1.0)], 1.0),
        ("ok", [("rating", 0.5)], 1.0),
        ("ok", [("rating", 0.25), ("helpful", 0.5)], 0.0),
        ("ok", [("complaint", 1.0)], 0.0),
        ("ok", [("loop_back", 1.0), ("rating", 1.0)], 1.0),
    ],
)
def test_a_fact_check_says_most_then_what_was_said_then_the_outcome(
    outcome: str, judged: list[tuple[str, float]], expected: float | None
) -> None:
    """S1.13."""
    assert query_success(outcome, judged) == expected


def test_how_good_is_good_enough_can_be_said() -> None:
    assert query_success("ok", [("rating", 0.5)], enough=0.6) == 0.0

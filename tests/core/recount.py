"""Totals of a store, counted anew from its log: what the aggregates must say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Store
from hivefeedback.model import BLAMED, INVERTED, UNCOUNTED, Event, Feedback, Run, Score
from hivefeedback.stats import JUDGED_UNIT, Cell
from tests.core.loops import events

__all__ = ["Totals", "assert_recount", "recount"]


@dataclass
class Totals:
    """What the log says of the llm runs of one operation.

    Args:
        outcomes: Runs per outcome.
        judged: Judgements by name: n, Σ in units of 10⁻⁴.
        settled: Rewards of runs that failed or were judged: n, Σ.
        open: Runs that were ``ok`` and that nobody judged: each has earned 1, or awaits its judgement.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    judged: dict[str, tuple[int, int]] = field(default_factory=dict)
    settled: tuple[int, int] = (0, 0)
    open: int = 0


def recount(loop: FeedbackLoop) -> dict[str, Totals]:
    """Totals by operation, from the log alone; each run counts once, whatever its id."""
    found: dict[str, Totals] = {}
    seen: set[str] = set()
    for event in events(loop):
        run = event.body
        if not isinstance(run, Run) or run.kind != "llm":
            continue
        assert event.event_id not in seen, f"run {event.event_id} is in the log twice"
        seen.add(event.event_id)
        totals = found.setdefault(run.operation, Totals())
        totals.outcomes[run.outcome] += 1
        _add_judgements(totals, loop.store, event, run)
    return found


def _add_judgements(totals: Totals, store: Store, event: Event, run: Run) -> None:
    latest: dict[str, tuple[str, float]] = {}
    for said in store.log.said_of(event):
        body = said.body
        if isinstance(body, Feedback):
            latest[body.idempotency_key or said.event_id] = (body.name, float(body.value or 0.0))
        elif isinstance(body, Score):
            latest[f"{body.source}:{body.name}"] = (body.name, body.value)
    for name, value in latest.values():
        n, total = totals.judged.get(name, (0, 0))
        totals.judged[name] = (n + 1, total + round(value * JUDGED_UNIT))
    values = [1.0 - value if name in INVERTED else value for name, value in latest.values()]
    n, total = totals.settled
    if run.outcome in BLAMED:
        totals.settled = (n + 1, total)
    elif values and run.outcome not in UNCOUNTED:
        totals.settled = (n + 1, total + round(sum(values) / len(values) * JUDGED_UNIT))
    elif run.outcome == "ok":
        totals.open += 1


def assert_recount(loop: FeedbackLoop, *, awaited: frozenset[str] = frozenset(), n_expired: int = 0) -> None:
    """The aggregates say what the log says.

    Args:
        loop: Any loop on the store.
        awaited: Operations whose runs earn nothing before their judgement.
        n_expired: Runs whose judgement did not come in time: they neither wait nor have a reward.
    """
    expected = recount(loop)
    cells = {operation: cell for (operation,), cell in _cells(loop).items() if cell.n_all}
    assert set(cells) == set(expected)
    for operation, totals in expected.items():
        cell = cells[operation]
        assert {name: n for name, n in cell.outcomes.items() if n} == totals.outcomes
        judged = {name: (j.n, j.total) for name, j in cell.judged.items() if j.n and name != "reward"}
        assert judged == totals.judged, operation
        reward = cell.judged.get("reward")
        n, total = (reward.n, reward.total) if reward else (0, 0)
        n_settled, settled = totals.settled
        assert (n + cell.n_awaiting + n_expired, cell.n_awaiting >= 0) == (n_settled + totals.open, True), operation
        assert total == settled + (n - n_settled) * JUDGED_UNIT, operation
        if operation in awaited:
            assert n == n_settled, operation


def _cells(loop: FeedbackLoop) -> dict[tuple[str, ...], Cell]:
    return loop.view(10 * 86400.0).totals("operation", where=lambda key: bool(key.deployment))

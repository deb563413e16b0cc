"""Totals of a store, counted anew from its log: what the aggregates must say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Store
from hivefeedback.model import BLAMED, INVERTED, UNCOUNTED, Event, Feedback, Run, Score
from hivefeedback.stats import JUDGED_UNIT, NO_QUALITY, QUERY, Cell
from tests.core.loops import events

__all__ = ["Totals", "assert_queries", "assert_recount", "recount"]


@dataclass
class Totals:
    """What the log says of the llm runs of one operation.

    Args:
        outcomes: Runs per outcome.
        judged: Judgements by name: n, Σ in units of 10⁻⁴.
        settled: Rewards of runs that failed or were judged: n, Σ.
        open: Runs that were ``ok`` and that nobody judged: each has earned 1, or awaits its judgement.
        queries: Queries by deployment: n, n that succeeded.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    judged: dict[str, tuple[int, int]] = field(default_factory=dict)
    settled: tuple[int, int] = (0, 0)
    open: int = 0
    queries: dict[str, tuple[int, int]] = field(default_factory=dict)


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
    for group in _groups(events(loop)).values():
        _add_queries(found, loop.store, group)
    return found


def _groups(logged: list[Event]) -> dict[tuple[object, ...], list[Event]]:
    """The runs of each process and trace; without a trace, of a decision; else each alone."""
    groups: dict[tuple[object, ...], list[Event]] = {}
    for event in logged:
        run = event.body
        if isinstance(run, Run):
            name = f"t{run.trace_id}" if run.trace_id else f"d{run.decision_id or event.event_id}"
            groups.setdefault((event.producer, event.epoch, name), []).append(event)
    return groups


def _add_queries(found: dict[str, Totals], store: Store, group: list[Event]) -> None:
    """One query for each deployment below a root that is no llm run; else one for each call without parent."""
    runs = [(event, event.body) for event in group if isinstance(event.body, Run)]
    roots = [(event, run) for event, run in runs if not run.parent_id]
    heads = [(event, run) for event, run in roots if run.kind != "llm"]
    below = [run for _, run in runs if run.parent_id]
    if heads:
        calls = [event for event, run in roots if run.kind == "llm"]
        _add_query(found, store, [heads[0][0], *calls], heads[0][1], [run for _, run in runs])
        return
    tries: list[list[tuple[Event, Run]]] = []
    for event, run in roots:
        if run.attempt > 1 and tries:
            tries[-1].append((event, run))
        else:
            tries.append([(event, run)])
    for i, tried in enumerate(tries):
        used = [*(below if i == 0 else ()), *(run for _, run in tried)]
        _add_query(found, store, [event for event, _ in tried], tried[-1][1], used)


def _add_query(found: dict[str, Totals], store: Store, roots: list[Event], head: Run, runs: list[Run]) -> None:
    said = {key: value for root in roots for key, value in _said(store, root).items()}.values()
    values = [v for name, v in said if name == "fact_check"] or [1 - v if n in INVERTED else v for n, v in said]
    is_good = sum(values) / len(values) >= 0.5 if values else head.outcome not in BLAMED
    if head.outcome in UNCOUNTED:
        return
    served: dict[str, Run] = {}
    for run in runs:
        if run.kind == "llm" and run.outcome not in UNCOUNTED:
            served.setdefault(run.deployment, run)
    for deployment, run in served.items():
        n, n_good = found[run.operation].queries.get(deployment, (0, 0))
        found[run.operation].queries[deployment] = (n + 1, n_good + is_good)


def _said(store: Store, event: Event) -> dict[str, tuple[str, float]]:
    latest: dict[str, tuple[str, float]] = {}
    for said in store.log.said_of(event):
        body = said.body
        if isinstance(body, Feedback):
            latest[body.idempotency_key or said.event_id] = (body.name, float(body.value or 0.0))
        elif isinstance(body, Score):
            latest[f"{body.source}:{body.name}"] = (body.name, body.value)
    return latest


def _add_judgements(totals: Totals, store: Store, event: Event, run: Run) -> None:
    latest = _said(store, event)
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
        judged = {name: (j.n, j.total) for name, j in cell.judged.items() if j.n and name not in NO_QUALITY}
        assert judged == totals.judged, operation
        assert _queries(loop, operation) == totals.queries, operation
        reward = cell.judged.get("reward")
        n, total = (reward.n, reward.total) if reward else (0, 0)
        n_settled, settled = totals.settled
        assert (n + cell.n_awaiting + n_expired, cell.n_awaiting >= 0) == (n_settled + totals.open, True), operation
        assert total == settled + (n - n_settled) * JUDGED_UNIT, operation
        if operation in awaited:
            assert n == n_settled, operation


def assert_queries(loop: FeedbackLoop) -> None:
    """The success of queries is what the log says, where agents are judged, who earn nothing themselves."""
    for operation, totals in recount(loop).items():
        assert _queries(loop, operation) == totals.queries, operation


def _queries(loop: FeedbackLoop, operation: str) -> dict[str, tuple[int, int]]:
    cells = loop.view(10 * 86400.0).totals(
        "deployment", where=lambda k: bool(k.deployment) and k.operation == operation
    )
    found = {name: cell.judged[QUERY] for (name,), cell in cells.items() if QUERY in cell.judged}
    return {name: (j.n, j.total // JUDGED_UNIT) for name, j in found.items() if (j.n, j.total, j.squares) != (0, 0, 0)}


def _cells(loop: FeedbackLoop) -> dict[tuple[str, ...], Cell]:
    return loop.view(10 * 86400.0).totals("operation", where=lambda key: bool(key.deployment))

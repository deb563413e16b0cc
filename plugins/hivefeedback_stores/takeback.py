"""What an erasure takes back from the aggregates.

The log does not hold a cell's whole key: the configuration's fingerprint is missing, and the agent
may have been pooled. So what a run had added is computed again, by the default rules of reward,
and taken from the first cell of its deployment, operation, arm and time that has counts of it;
nothing ever falls below zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from hivefeedback.model import INVERTED, UNCOUNTED, DecisionRecord, Event, Feedback, Run, Score, is_blamed, told_by
from hivefeedback.stats import QUERY, REWARD, Cell, CellKey, Judged, bucket_of
from hivefeedback_stores.erasure import Remembered, Source
from hivefeedback_stores.takeback_queries import is_remark, query_changes, values_of

__all__ = ["CellAt", "Share", "shares_of", "subtract", "take_back"]

K = TypeVar("K")
CellAt = tuple[K, CellKey, Cell]
"""A cell with its key, under whatever the store finds it by."""


class Share(Struct, frozen=True):
    """What some erased events had added to one arm.

    Args:
        deployment, operation, agent, arm: The parts of the cell's key that the log knows.
        minute: The minute that it was counted in.
        cell: What was added.
        may_await: True where the run may still have awaited its judgement, so earned nothing.
    """

    deployment: str
    operation: str
    agent: str
    arm: str
    minute: int
    cell: Cell
    may_await: bool = False


def shares_of(source: Source, gone: Iterable[Event]) -> list[Share]:
    """What the erased events had added: their runs, and judgements of runs that stay."""
    events, known = list(gone), Remembered.of(source)
    erased = {e.event_id for e in events if isinstance(e.body, Run)}
    queries = {change.run.event_id: change for change in query_changes(known, events)}
    shares: list[Share] = []
    for event in events:
        if isinstance(event.body, Run):
            said = [e for _, e in known.said_of(event) if not is_remark(e)]
            cell = _counted(event.body, said)
            if event.event_id in queries:
                cell.judged[QUERY] = queries[event.event_id].lost
            shares += _of_arms(known, event, cell, may_await=not said)
        elif isinstance(event.body, Feedback | Score) and not is_remark(event):
            run = known.run_of(event)
            if run is not None and run.event_id not in erased:
                shares += _of_arms(known, run, _judged([event]))
            elif run is None and isinstance(event.body, Feedback):
                shares.append(_unjoined(event, event.body))
    for run_id, change in queries.items():
        if run_id not in erased:
            shares += _of_arms(known, change.run, Cell(judged={QUERY: change.lost}))
    return shares


def _of_arms(source: Source, event: Event, cell: Cell, *, may_await: bool = False) -> list[Share]:
    """A share for the total and one for each arm; only llm runs stand under their deployment."""
    run = event.body
    assert isinstance(run, Run)
    made = [e.body for _, e in source.with_id(run.decision_id)] if run.decision_id else []
    decisions = [d for d in made if isinstance(d, DecisionRecord)]
    arms = ["", *(f"{a.rollout_id}:{a.variant}" for d in decisions for a in told_by(d.assignments, run.prompts))]
    operation = run.operation or next((d.operation for d in decisions), "")
    deployment, agent = (run.deployment, run.agent_id) if run.kind == "llm" else ("", run.agent_id or run.deployment)
    minute = bucket_of(event.event_time_s)
    return [Share(deployment, operation, agent, arm, minute, cell, may_await) for arm in arms]


def _unjoined(event: Event, body: Feedback) -> Share:
    return Share(body.deployment, body.operation, body.agent_id, "", bucket_of(event.event_time_s), _judged([event]))


def _counted(run: Run, said: Sequence[Event]) -> Cell:
    """The cell of one run: counts, judgements, and the reward by the default rule."""
    cell = _judged(said)
    cell.add_run(run)
    values = [1 - v if name in INVERTED else v for name, v in _values(said)]
    if is_blamed(run.outcome):
        cell.add_judged(REWARD, 0.0)
    elif run.outcome not in UNCOUNTED and values:
        cell.add_judged(REWARD, min(1.0, max(0.0, sum(values) / len(values))))
    elif run.outcome == "ok":
        cell.add_judged(REWARD, 1.0)
    return cell


def _judged(said: Sequence[Event]) -> Cell:
    cell = Cell()
    for name, value in _values(said):
        cell.add_judged(name, value)
    return cell


def _values(said: Sequence[Event]) -> list[tuple[str, float]]:
    return list(values_of(said).values())


def subtract(cell: Cell, taken: Cell) -> Cell:
    """The cell without what was taken; no count below zero, empty entries dropped."""
    rest = Cell()
    rest.outcomes = _less(cell.outcomes, taken.outcomes)
    rest.ns = _less(cell.ns, taken.ns)
    rest.sums = {k: max(0, v - taken.sums.get(k, 0)) for k, v in cell.sums.items() if k in rest.ns}
    for name, bins in cell.bins.items():
        left = _less(bins, taken.bins.get(name, {}))
        if left:
            rest.bins[name] = left
    rest.judged = dict(cell.judged)
    for name, lost in taken.judged.items():
        mine = rest.judged.pop(name, None) or (Judged() if lost.n < 0 else None)
        if mine is not None and mine.n > lost.n:
            total, squares = max(0, mine.total - lost.total), max(0, mine.squares - lost.squares)
            rest.judged[name] = Judged(mine.n - lost.n, total, squares)
    rest.n_awaiting = max(0, cell.n_awaiting - taken.n_awaiting)
    return rest


def _less(counts: dict[K, int], taken: dict[K, int]) -> dict[K, int]:
    return {k: n for k, n in ((k, v - taken.get(k, 0)) for k, v in counts.items()) if n > 0}


def take_back(
    share: Share,
    cells: Callable[[str, str, str, int], Sequence[CellAt[K]]],
    put: Callable[[K, Cell | None], None],
) -> None:
    """Take a share from the first cell that has counts of it.

    Args:
        share: What to take.
        cells: The cells of (deployment, operation, arm, minute) at any width, the narrow ones first.
        put: Replaces a cell, or with None removes it.
    """
    found = cells(share.deployment, share.operation, share.arm, share.minute)
    of_agent = [c for c in found if c[1].agent == share.agent]
    for at, _, cell in of_agent or found:  # none of the agent: it was pooled with others
        if _has(cell, share.cell):
            rest = subtract(cell, _earned(share, cell))
            put(at, rest if rest != Cell() else None)
            return


def _earned(share: Share, cell: Cell) -> Cell:
    """The share, without the reward where the run still awaited the judgement that earns it."""
    is_ok = "ok" in share.cell.outcomes
    if not (share.may_await and is_ok and cell.n_awaiting > 0):
        return share.cell
    copy = Cell(n_awaiting=1)
    copy.merge(share.cell)
    copy.judged.pop(REWARD, None)
    return copy


def _has(cell: Cell, taken: Cell) -> bool:
    if taken.outcomes:
        return all(cell.outcomes.get(name, 0) >= n for name, n in taken.outcomes.items())
    return any(name in cell.judged or lost.n < 0 for name, lost in taken.judged.items())

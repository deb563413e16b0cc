"""Puts what was read into a loop and its store, each thing once however often it is carried over.

Runs have ids that follow from their content, and a note in ``State`` remembers them beyond the
log's retention. Sums are carried as the difference to what was carried of them before, under a
commit that is named by its content, so that a repeat changes nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Commit, Record, State
from hivefeedback.model import OBSERVED, Feedback, Run, decoded
from hivefeedback.stats import JUDGED_UNIT, QUERY, CellKey, Delta, Judged, bucket_of
from hivefeedback_import.carried import Carried, Quality, Total

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["Brought", "carry_over"]

_SPACE = "import"
"""Namespace of the notes in ``State``."""
_KEPT_S = 400 * 86400.0
"""Older aggregates are dropped, so nothing older is carried."""
_AHEAD_S = 3600.0
_BATCH = 5000
"""Runs that are recorded before they are waited for: fewer than a ring holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came over: numbers of runs, ratings, queries in sums and deployments; how many of each
    were there already; and a sentence for each thing that was left."""

    kind: str
    n_runs: int = 0
    n_ratings: int = 0
    n_queries: int = 0
    n_deployments: int = 0
    n_known: int = 0
    left: tuple[str, ...] = ()


def carry_over(loop: FeedbackLoop, carried: Carried, *, clock: Callable[[], float] = time.time) -> Brought:
    """Put it into the loop's store.

    Raises:
        StoreUnreachableError: Not everything could be written; what was is not counted twice when
            it is tried again.
    """
    runs = [q for q in carried.runs if -_KEPT_S < (q.run.started_at_s or 0.0) - clock() < _AHEAD_S]
    brought = Brought(kind=carried.kind, left=carried.left)
    if len(runs) < len(carried.runs):
        n = len(carried.runs) - len(runs)
        remark = f"{n} runs lie more than 400 days back or in the future, where nothing is kept"
        brought = replace(brought, left=(*brought.left, remark))
    brought = _runs_into(loop, runs, brought)
    brought = _totals_into(loop, carried.totals, brought)
    return _deployments_into(loop, carried, brought)


def _runs_into(loop: FeedbackLoop, runs: Sequence[Quality], brought: Brought) -> Brought:
    for deployment in sorted({q.run.deployment for q in runs}):
        mine = [q for q in runs if q.run.deployment == deployment]
        note = _Note(loop.store.state, f"{brought.kind}/{deployment}")
        new = [q for q in mine if q.run.run_id not in note.ids]
        for start in range(0, len(new), _BATCH):
            _record(loop, new[start : start + _BATCH])
            note.add(q.run.run_id for q in new[start : start + _BATCH])
        brought = replace(
            brought,
            n_runs=brought.n_runs + len(new),
            n_ratings=brought.n_ratings + sum(q.rating is not None for q in new),
            n_known=brought.n_known + len(mine) - len(new),
        )
    return brought


def _n_lost(loop: FeedbackLoop) -> int:
    return loop.counters["events_dropped"] + loop.counters["events_uncommitted"]


def _record(loop: FeedbackLoop, runs: Sequence[Quality]) -> None:
    lost = _n_lost(loop)
    for run, rating in runs:
        loop.record(run)
        if rating is not None:
            said = Feedback(
                name="rating", rating=rating, source="import", run_id=run.run_id, idempotency_key=f"{run.run_id}:rating"
            )
            loop.feedback(said)
    is_whole = loop.flush() and lost == _n_lost(loop)
    if not is_whole:
        raise StoreUnreachableError(f"not all runs could be written to {loop.store.url}; import the file again")


class _Note:
    """Which records of a deployment came over already."""

    def __init__(self, state: State, key: str) -> None:
        self._state, self._key = state, key
        found = state.get(_SPACE, key)
        self.ids: set[str] = set(msgspec.json.decode(found.value, type=list[str])) if found else set()

    def add(self, ids: Iterable[str]) -> None:
        self.ids |= set(ids)
        self._state.put(Record(_SPACE, self._key, msgspec.json.encode(sorted(self.ids))))


class _Carried(msgspec.Struct):
    """What was carried of a sum before."""

    n_queries: int = 0
    n_successful: int = 0
    n_latencies: int = 0


def _totals_into(loop: FeedbackLoop, totals: Sequence[Total], brought: Brought) -> Brought:
    for total in totals:
        key = f"{brought.kind}/{total.deployment}/{total.operation}"
        found = loop.store.state.get(_SPACE, key)
        before = decoded(found.value, _Carried) if found else _Carried()
        n, n_ok = total.n_queries - before.n_queries, total.n_successful - before.n_successful
        if n < 0 or not 0 <= n_ok <= n:
            remark = (
                f"{total.deployment!r} on {total.operation!r} has fewer queries than came over before; left as it is"
            )
            brought = replace(brought, left=(*brought.left, remark))
        elif n == 0:
            brought = replace(brought, n_known=brought.n_known + total.n_queries)
        else:
            _commit_total(loop, key, total, before)
            brought = replace(brought, n_queries=brought.n_queries + n, n_known=brought.n_known + before.n_queries)
    return brought


def _commit_total(loop: FeedbackLoop, key: str, total: Total, before: _Carried) -> None:
    """One commit with the difference; its name follows from its content, so that a repeat is skipped."""
    delta = Delta()
    cell = delta.cell(CellKey(total.deployment, total.operation), bucket_of(total.at_s))
    n, n_ok = total.n_queries - before.n_queries, total.n_successful - before.n_successful
    cell.judged[QUERY] = Judged(n, n_ok * JUDGED_UNIT, n_ok * JUDGED_UNIT**2)
    for duration_s in total.latencies_s if not before.n_latencies else ():
        cell.add_run(Run(total.deployment, total.operation, "ok", duration_s))
    cell.outcomes.clear()  # how many calls there were, and how they ended, is not told
    after = _Carried(total.n_queries, total.n_successful, max(before.n_latencies, len(total.latencies_s)))
    note = msgspec.json.encode(after)
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass") + msgspec.json.encode(before) + note).hexdigest()[:24]
    observed = msgspec.json.encode({"deployment": total.deployment, "since_s": total.at_s})
    records = (Record(_SPACE, key, note), Record(OBSERVED, total.deployment, observed))
    loop.store.commit(Commit(f"import-{name}", 1, 1, (), delta, records))


def _deployments_into(loop: FeedbackLoop, carried: Carried, brought: Brought) -> Brought:
    known = loop.configuration.deployments
    new = [d for d in carried.deployments if d.id not in known]
    for deployment in new:
        loop.add_deployment(deployment)
    n_known = brought.n_known + len(carried.deployments) - len(new)
    return replace(brought, n_deployments=len(new), n_known=n_known)

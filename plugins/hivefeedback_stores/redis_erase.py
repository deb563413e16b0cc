"""Erasing in Redis: some thousand positions at a time.

What goes is looked up first, which takes a while; then the cells are read, what the events had added is
taken back, and all of it is written in one call for each shard, which is refused where a cell has changed or
an event has gone meanwhile: then it is done again.

With several shards the cells' sums lose what the events had added, and the last shard that is written
carries the difference. Shards with few of the runs come first: most that was said of a run is gone before
the run is, so that a repeat of what was interrupted finds the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from msgspec import Struct

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Selector
from hivefeedback.model import Event, Run
from hivefeedback.stats import Cell, Exemplar
from hivefeedback_stores.buckets import buckets_of
from hivefeedback_stores.codec import decode_packed
from hivefeedback_stores.erasure import check_selector, to_erase
from hivefeedback_stores.redis_aggregates import Place, RedisAggregates
from hivefeedback_stores.redis_cells import Head, cell_field, decoded_cells, some_newest, whole_buckets
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_events import members_of
from hivefeedback_stores.redis_keys import Bucket
from hivefeedback_stores.redis_log import RedisLog
from hivefeedback_stores.redis_merged import difference
from hivefeedback_stores.redis_places import Places
from hivefeedback_stores.redis_rewrite import Change, numbered, rewrite
from hivefeedback_stores.redis_rows import Rows
from hivefeedback_stores.takeback import CellAt, Share, shares_of, take_back

__all__ = ["STEP", "erase"]

STEP = 5000
"""Positions that are looked through for one change."""
MAX_TRIES = 50


class _Loss(Struct, kw_only=True):
    """What one shard loses: events, runs among them, and what is taken back of all shards together."""

    shard: int
    gone: dict[int, Event]
    runs: set[str]
    shares: list[Share] = []


def erase(log: RedisLog, places: Places, aggregates: Sequence[RedisAggregates], selector: Selector) -> int:
    """Erase what a selector names; answers how many events went."""
    check_selector(selector)
    n_gone = 0
    for part in log.parts:
        first, last = part.bounds()
        for start in range(first, last + 1, STEP):
            n_gone += _erase(places, aggregates, selector, (part.server, range(start, start + STEP)))
    if n_gone:
        for part in log.parts:
            part.begin_later()
    return n_gone


def _erase(
    places: Places, aggregates: Sequence[RedisAggregates], selector: Selector, among: tuple[Server, range]
) -> int:
    n_gone = 0
    for _ in range(MAX_TRIES):
        is_done = True
        for loss in _losses(Rows([part.server for part in aggregates], places, among), places, selector):
            done = _taken(places, aggregates, loss)
            n_gone += max(0, done)
            if done < 0:
                is_done = False
                break
        if is_done:
            return n_gone
    raise StoreUnreachableError(f"{among[0].address.shown} changes faster than it can be erased from; try again")


def _losses(rows: Rows, places: Places, selector: Selector) -> list[_Loss]:
    """What each shard loses, in the order in which that is written; all shares come with the last."""
    gone = to_erase(rows, selector)
    found: list[_Loss] = []
    for shard in sorted({places.shard(position) for position in gone}):
        mine = {p: e for p, e in gone.items() if places.shard(p) == shard}
        runs = {e.event_id for e in mine.values() if isinstance(e.body, Run)}
        found.append(_Loss(shard=shard, gone=mine, runs=runs))
    found.sort(key=lambda loss: len(loss.runs))
    if found:
        found[-1].shares += shares_of(rows, gone.values())
    return found


def _taken(places: Places, aggregates: Sequence[RedisAggregates], loss: _Loss) -> int:
    for _ in range(MAX_TRIES):
        done = _written(places, aggregates, loss)
        if done != -1:
            return done
    return -1


def _written(places: Places, aggregates: Sequence[RedisAggregates], loss: _Loss) -> int:
    """Take the shares back and drop the events; as ``rewrite`` answers."""
    wanted = {bucket for share in loss.shares for bucket in buckets_of(share.minute)}
    head, own = _cells(aggregates[loss.shard], wanted)
    others: dict[Place, Cell] = {}
    for part in aggregates:
        if part is not aggregates[loss.shard] and wanted:
            _, more = _cells(part, wanted)
            if more is None:
                return -1
            for place, cell in more.items():
                others.setdefault(place, Cell()).merge(cell)
    server = aggregates[loss.shard].server
    kept = _without(server, head, loss.runs) if loss.runs else []
    if own is None or kept is None:
        return -1
    change = Change(
        newest=kept,
        epoch=secrets.token_hex(8),
        gone=[(places.count(p), members_of(places.count(p), event)) for p, event in loss.gone.items()],
        needs={"generation": head.generation},
    )
    for (bucket, key), cell in _changed(own, others, loss.shares).items():
        _, put, drop = change.cells.setdefault(bucket, (False, [], []))
        if cell == Cell():
            drop.append(cell_field(key))
        else:
            put.append((cell_field(key), numbered(cell)))
    return rewrite(server, change)


def _cells(part: RedisAggregates, wanted: set[Bucket]) -> tuple[Head, dict[Place, Cell] | None]:
    """Some buckets of a shard in which nothing waits, as of its head; None where it changed meanwhile."""
    head = part.fold_all()
    found = whole_buckets(part.server, wanted & head.buckets.keys(), head.generation)
    if found is None:
        return head, None
    return head, {(b, key): cell for b, rows in found.items() for key, cell in decoded_cells(rows)}


def _changed(own: dict[Place, Cell], others: dict[Place, Cell], shares: Iterable[Share]) -> dict[Place, Cell]:
    """A shard's cells from which shares were taken; empty ones are to be dropped."""
    cells: dict[Place, Cell] = {}
    for source in (own, others):
        for place, cell in source.items():
            cells.setdefault(place, Cell()).merge(cell)
    changed = _taken_back(cells, shares)
    return {place: difference(cells.get(place, Cell()), others.get(place, Cell())) for place in changed}


def _taken_back(cells: dict[Place, Cell], shares: Iterable[Share]) -> set[Place]:
    """Take shares from cells; answers which cells that were."""
    by_name: dict[tuple[Bucket, str, str, str], list[Place]] = {}
    for bucket, key in cells:
        by_name.setdefault((bucket, key.deployment, key.operation, key.arm), []).append((bucket, key))
    changed: set[Place] = set()

    def at(deployment: str, operation: str, arm: str, minute: int) -> list[CellAt[Place]]:
        found = [p for b in buckets_of(minute) for p in by_name.get((b, deployment, operation, arm), ())]
        return [(place, place[1], cells[place]) for place in found if place in cells]

    def put(place: Place, cell: Cell | None) -> None:
        changed.add(place)
        if cell is None:
            del cells[place]
        else:
            cells[place] = cell

    for share in shares:
        take_back(share, at, put)
    return changed


def _without(server: Server, head: Head, runs: set[str]) -> list[tuple[bytes, bytes | None]] | None:
    """Newest runs from which some are dropped, where there were any of them; None where something changed."""
    found = some_newest(server, head, head.names)
    if found is None:
        return None
    changed: list[tuple[bytes, bytes | None]] = []
    for name, data in found.items():
        known = decode_packed("an exemplar", data, list[Exemplar])
        kept = [e for e in known if e.run_id not in runs]
        if len(kept) < len(known):
            changed.append((name, numbered(kept) if kept else None))
    return changed

"""Erasing in Redis: some thousand positions at a time.

What goes is looked up first, which takes a while; then the cells are read, what the events had added is
taken back, and all of it is written in one call, which is refused where a cell has changed or an event
has gone meanwhile: then it is done again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Selector
from hivefeedback.model import Event, Run
from hivefeedback.stats import Cell, CellKey, Exemplar
from hivefeedback_stores.buckets import buckets_of
from hivefeedback_stores.codec import decode_packed
from hivefeedback_stores.erasure import check_selector, to_erase
from hivefeedback_stores.redis_aggregates import RedisAggregates
from hivefeedback_stores.redis_cells import Head, cell_field, decoded_cells, some_newest, whole_buckets
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_events import members_of
from hivefeedback_stores.redis_keys import Bucket
from hivefeedback_stores.redis_log import RedisLog, Rows
from hivefeedback_stores.redis_rewrite import Change, numbered, rewrite
from hivefeedback_stores.takeback import CellAt, Share, shares_of, take_back

__all__ = ["STEP", "erase"]

STEP = 5000
"""Positions that are looked through for one change."""
MAX_TRIES = 50
_Place = tuple[Bucket, CellKey]


def erase(server: Server, log: RedisLog, aggregates: RedisAggregates, selector: Selector) -> int:
    """Erase what a selector names; answers how many events went."""
    check_selector(selector)
    first, last = log.bounds()
    return sum(_erase(server, aggregates, selector, start) for start in range(first, last + 1, STEP))


def _erase(server: Server, aggregates: RedisAggregates, selector: Selector, start: int) -> int:
    for _ in range(MAX_TRIES):
        rows = Rows(server, range(start, start + STEP))
        gone = to_erase(rows, selector)
        if not gone:
            return 0
        shares = shares_of(rows, gone.values())
        done = -1
        for _ in range(MAX_TRIES):
            done = _written(server, aggregates.fold_all(), gone, shares)
            if done != -1:
                break
        if done >= 0:
            return done
    raise StoreUnreachableError(f"{server.address.shown} changes faster than it can be erased from; try again")


def _written(server: Server, head: Head, gone: dict[int, Event], shares: Sequence[Share]) -> int:
    """Take the shares back and drop the events; as ``rewrite`` answers."""
    wanted = {bucket for share in shares for bucket in buckets_of(share.minute)} & head.buckets.keys()
    found = whole_buckets(server, wanted, head.generation)
    runs = {e.event_id for e in gone.values() if isinstance(e.body, Run)}
    kept = _without(server, head, runs) if runs else []
    if found is None or kept is None:
        return -1
    cells: dict[_Place, Cell] = {(b, key): cell for b, rows in found.items() for key, cell in decoded_cells(rows)}
    changed = _taken_back(cells, shares)
    change = Change(
        newest=kept,
        epoch=secrets.token_hex(8),
        gone=[(position, members_of(position, event)) for position, event in gone.items()],
        needs={"generation": head.generation},
    )
    for bucket, key in changed:
        _, put, drop = change.cells.setdefault(bucket, (False, [], []))
        cell = cells.get((bucket, key))
        if cell is None:
            drop.append(cell_field(key))
        else:
            put.append((cell_field(key), numbered(cell)))
    return rewrite(server, change)


def _taken_back(cells: dict[_Place, Cell], shares: Sequence[Share]) -> set[_Place]:
    """Take shares from cells; answers which cells that were."""
    by_name: dict[tuple[Bucket, str, str, str], list[_Place]] = {}
    for bucket, key in cells:
        by_name.setdefault((bucket, key.deployment, key.operation, key.arm), []).append((bucket, key))
    changed: set[_Place] = set()

    def at(deployment: str, operation: str, arm: str, minute: int) -> list[CellAt[_Place]]:
        places = [p for b in buckets_of(minute) for p in by_name.get((b, deployment, operation, arm), ())]
        return [(place, place[1], cells[place]) for place in places if place in cells]

    def put(place: _Place, cell: Cell | None) -> None:
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

"""Everything that a store holds, as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from math import isfinite, isnan
from pathlib import Path
from typing import Final

from msgspec import Raw, Struct, structs

from hivefeedback.errors import InvalidInputError
from hivefeedback.exchange.container import Contents, name_of, put_in_place, write_lines
from hivefeedback.exchange.lines import (
    VERSION,
    CellLine,
    CheckpointLine,
    EntryLine,
    EventLine,
    HeadLine,
    Kind,
    Line,
    NewestLine,
    RecordLine,
    SaltLine,
    Sum,
    TextLine,
)
from hivefeedback.hooks import CarriedJournal, FollowedAggregates, ListedState, Store
from hivefeedback.model import Alarm, Control, Event, Score, SystemSample, encode_event
from hivefeedback.stats import Cell, CellKey, Exemplar, Slice, newest

__all__ = ["MARK", "Exported", "export_store", "lines_of", "sums_missing"]

MARK: Final = "exchange"
"""Namespace of the record that says what was carried into a store; it is the one that stays behind."""
_PAGE: Final = 5000
_ENDLESS_S: Final = 1e12
"""A time behind all others, in the year 33658."""
_LARGEST: Final = 1.7976931348623157e308
_Place = tuple[int, int, CellKey]


class Exported(Struct, frozen=True, kw_only=True):
    """What was written.

    Args:
        contents: What is in the file.
        left: A sentence for each thing that is not.
    """

    contents: Contents
    left: tuple[str, ...] = ()


def export_store(store: Store, path: Path, *, now_s: float) -> Exported:
    """Write everything that a store holds into one file.

    Args:
        store: May be open for reading only.
        path: Is there whole when this returns, and untouched when it raises.
        now_s: Seconds since 1970 UTC.

    Raises:
        StoreError: The store cannot be read.
        OSError: The file cannot be written.
    """
    left: list[str] = []
    head = HeadLine(version=VERSION, made_at_s=now_s, store=store.url.partition(":")[0], by=version("hivefeedback"))
    before = _state_of(store)
    with put_in_place(path) as file:
        sums = write_lines(file, head, lines_of(store, left))
    if _state_of(store) != before:
        left.append(
            "the store was written to while it was exported: what came in meanwhile may be there in part; "
            "stop what writes and export again for an exact copy"
        )
    contents = Contents(made_at_s=now_s, store=head.store, sums=sums, name=name_of(sums))
    return Exported(contents=contents, left=tuple(left))


def _state_of(store: Store) -> tuple[object, ...]:
    aggregates = store.aggregates
    mark = aggregates.changes(after="", from_s=_ENDLESS_S).mark if isinstance(aggregates, FollowedAggregates) else ""
    return store.journal.head(), store.log.count(), mark


def lines_of(store: Store, left: list[str]) -> Iterator[Line]:
    """A store's content in the order of ``KINDS``; ``left`` gets a sentence for each thing that it cannot tell."""
    yield from _journal(store, left)
    yield from _aggregates(store)
    yield from _records(store, left)
    yield from _events(store, left)


def _journal(store: Store, left: list[str]) -> Iterator[Line]:
    if isinstance(store.journal, CarriedJournal):
        yield SaltLine(store.journal.salt())
        for name, text in store.journal.bodies():
            yield TextLine(name, text)
    else:
        left.append("the texts beside the journal (prompts, reasons, memory): this store cannot list them")
    for entry in store.journal.read():
        yield EntryLine(entry)
    config = store.config.load()
    if config is not None:
        yield CheckpointLine(config)


def _aggregates(store: Store) -> Iterator[Line]:
    if isinstance(store.aggregates, FollowedAggregates):
        changes = store.aggregates.changes(after="", from_s=-_ENDLESS_S)
        slices = _merged(changes.replaced, changes.added)
        names = {*changes.newest, *changes.newer}
        runs = {name: [*changes.newest.get(name, ()), *changes.newer.get(name, ())] for name in names}
    else:
        view = store.aggregates.read(from_s=-_ENDLESS_S, to_s=_ENDLESS_S)
        slices = iter(view.slices)
        runs = {name: list(kept) for name, kept in view.exemplars.items()}
    for s in slices:
        yield CellLine(s.start_s, s.width_s, s.key, s.cell)
    for (deployment, operation), kept in sorted(runs.items()):
        yield NewestLine(deployment, operation, _in_order(kept))


def _in_order(kept: Sequence[Exemplar]) -> list[Exemplar]:
    return sorted(newest(kept), key=lambda e: (e.started_at_s, e.run_id))


def _merged(replaced: Iterable[Slice], added: Iterable[Slice]) -> Iterator[Slice]:
    """Cells as they are after what waits was added to them."""
    waiting: dict[_Place, Cell] = {}
    for s in added:
        waiting.setdefault((s.start_s, s.width_s, s.key), Cell()).merge(s.cell)
    for s in replaced:
        more = waiting.pop((s.start_s, s.width_s, s.key), None)
        if more is not None:
            more.merge(s.cell)
        yield s if more is None else Slice(s.start_s, s.width_s, s.key, more)
    for (start_s, width_s, key), cell in waiting.items():
        yield Slice(start_s, width_s, key, cell)


def _records(store: Store, left: list[str]) -> Iterator[Line]:
    if not isinstance(store.state, ListedState):
        left.append("the records (what was learnt, breakers, the key of user ids): this store cannot list them")
        return
    for namespace in store.state.namespaces():
        if namespace != MARK:
            for record in store.state.list(namespace):
                yield RecordLine(namespace, record.key, record.value, record.expires_at_s)


def _events(store: Store, left: list[str]) -> Iterator[Line]:
    after, n, n_lost = 0, 0, 0
    while page := store.log.read(after=after, limit=_PAGE):
        for _, event in page:
            data = _event_data(event)
            if data is None:
                n_lost += 1
            else:
                n += 1
                yield EventLine(n, Raw(data))
        after = page[-1][0]
    if n_lost:
        left.append(f"{n_lost} events with a score that is no number, or with a text that is no Unicode")


def _event_data(event: Event) -> bytes | None:
    """An event as JSON; None where no file can hold it, as only the memory store does."""
    try:
        return encode_event(_finite(event))
    except (UnicodeEncodeError, InvalidInputError):
        return None


def _finite(event: Event) -> Event:
    body = event.body
    if not isfinite(event.event_time_s + event.ingest_time_s) or (isinstance(body, Score) and not isfinite(body.value)):
        raise InvalidInputError(f"event {event.event_id!r} has a number that is not finite")
    if not isinstance(body, Control):
        return event
    what = body.what
    if isinstance(what, Alarm):
        return structs.replace(event, body=Control(structs.replace(what, numbers=_numbers(what.numbers))))
    if isinstance(what, SystemSample):
        return structs.replace(event, body=Control(structs.replace(what, values=_numbers(what.values))))
    return event


def _numbers(numbers: dict[str, float]) -> dict[str, float]:
    return {k: v if isfinite(v) else (_LARGEST if v > 0 else -_LARGEST) for k, v in numbers.items() if not isnan(v)}


def sums_missing(expected: dict[Kind, Sum], found: dict[Kind, Sum]) -> dict[Kind, tuple[int, int]]:
    """Kinds whose sum differs → how many were expected and found."""
    kinds = [kind for kind in expected if expected[kind] != found.get(kind)]
    return {kind: (expected[kind].n, found.get(kind, Sum()).n) for kind in kinds}

"""The five parts of a store over a shelf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from typing import TypeVar

from hivefeedback.hooks import Lease, Record, Selector
from hivefeedback.model import Configuration, Event, JournalEntry, Run
from hivefeedback.stats import Changes, Slice, View, newest
from hivefeedback_stores.bodies import check_adopted, hash_of
from hivefeedback_stores.buckets import Horizon, buckets_of, is_read
from hivefeedback_stores.erasure import Remembered, check_selector, choose_run, said_of, to_erase
from hivefeedback_stores.lease import Observer
from hivefeedback_stores.rules import appended, check_version, is_live, joins_of, released
from hivefeedback_stores.shelf import Access, Place, Shelf
from hivefeedback_stores.takeback import CellAt, shares_of, take_back

__all__ = ["ShelfAggregates", "ShelfConfig", "ShelfJournal", "ShelfLog", "ShelfState"]


class ShelfLog:
    """``EventLog`` over a shelf."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def read(self, *, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        with self._access.read() as shelf:
            return shelf.events.after(after, limit)

    def find(self, event_id: str) -> Event | None:
        with self._access.read() as shelf:
            found = shelf.events.with_id(event_id)
            return found[-1][1] if found else None

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        with self._access.read() as shelf:
            for join, value in joins_of(trace_id, decision_id, response_id, session_id):
                return choose_run(join, shelf.events.runs_by(join, value))
        return None

    def runs_by(self, *, trace_id: str = "", decision_id: str = "") -> Sequence[Event]:
        with self._access.read() as shelf:
            for join, value in joins_of(trace_id, decision_id, "", ""):
                return [event for _, event in sorted(shelf.events.runs_by(join, value))]
        return []

    def said_of(self, run: Event) -> Sequence[Event]:
        with self._access.read() as shelf:
            return [event for _, event in said_of(shelf.events, run)]

    def count(self) -> int:
        with self._access.read() as shelf:
            return len(shelf.events)

    def erase(self, selector: Selector) -> int:
        check_selector(selector)
        with self._access.write() as shelf:
            known = Remembered(shelf.events)
            gone = to_erase(known, selector)
            for share in shares_of(known, gone.values()):
                take_back(share, lambda *at: _cells_at(shelf, *at), shelf.put_cell)
            runs = {e.event_id for e in gone.values() if isinstance(e.body, Run)}
            for name, kept in list(shelf.exemplars.items()):
                shelf.exemplars[name] = [e for e in kept if e.run_id not in runs]
                if not shelf.exemplars[name]:
                    del shelf.exemplars[name]
            shelf.forget_copies()
            return shelf.events.remove(lambda position, _: position in gone)

    def retain(self, *, before_s: float) -> int:
        with self._access.write() as shelf:
            return shelf.events.remove(lambda _, event: event.event_time_s < before_s)

    def older(self, *, before_s: float, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        with self._access.read() as shelf:
            behind = shelf.events.after(after, len(shelf.events))
        return list(islice((placed for placed in behind if placed[1].event_time_s < before_s), max(0, limit)))

    def drop(self, placed: Sequence[tuple[int, Event]]) -> int:
        gone = {position for position, _ in placed}
        with self._access.write() as shelf:
            return shelf.events.remove(lambda position, _: position in gone)


def _cells_at(shelf: Shelf, deployment: str, operation: str, arm: str, minute: int) -> list[CellAt[Place]]:
    return [
        (place, place[2], cell)
        for bucket in buckets_of(minute)
        for place, cell in shelf.cells.items()
        if place[:2] == bucket
        and (place[2].deployment, place[2].operation, place[2].arm) == (deployment, operation, arm)
    ]


K = TypeVar("K")


def _since(shelf: Shelf, after: str) -> int | None:
    """The number that a mark stands for; None where it is of another epoch or of nowhere."""
    epoch, _, number = after.partition(":")
    return int(number) if number.isdigit() and epoch == shelf.epoch and int(number) <= shelf.number else None


def _changed(changed_at: dict[K, int], since: int) -> list[K]:
    """Names that changed after a number; they lie in order of it."""
    return [name for name, _ in takewhile(lambda item: item[1] > since, reversed(changed_at.items()))]


class ShelfAggregates:
    """``Aggregates`` over a shelf."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def read(self, *, from_s: float, to_s: float) -> View:
        with self._access.read() as shelf:
            places = sorted(p for p in shelf.cells if is_read(p[0], p[1], from_s, to_s))
            shelf.lent.update(places)
            slices = tuple(Slice(start, width, key, shelf.cells[(start, width, key)]) for start, width, key in places)
            exemplars = {name: tuple(newest(kept)) for name, kept in shelf.exemplars.items()}
        return View(asked_from_s=from_s, asked_to_s=to_s, slices=slices, exemplars=exemplars)

    def changes(self, *, after: str, from_s: float) -> Changes:
        with self._access.read() as shelf:
            since = _since(shelf, after)
            places = shelf.cells if since is None else _changed(shelf.cells_at, since)
            replaced = [Slice(*p, shelf.cells[p]) for p in places if p[0] + p[1] > from_s]
            shelf.lent.update((s.start_s, s.width_s, s.key) for s in replaced)
            names = shelf.exemplars if since is None else _changed(shelf.exemplars_at, since)
            return Changes(
                mark=f"{shelf.epoch}:{shelf.number}",
                is_whole=since is None,
                hours_before_s=shelf.horizon.hours_before,
                days_before_s=shelf.horizon.days_before,
                replaced=replaced,
                newest={name: tuple(shelf.exemplars[name]) for name in names if name in shelf.exemplars},
            )

    def compact(self, *, now_s: float) -> None:
        with self._access.read() as shelf:
            if shelf.horizon == Horizon.at(now_s):
                return
        with self._access.write() as shelf:
            shelf.horizon = Horizon.at(now_s)
            shelf.number += 1
            moved = [p for p in shelf.cells if shelf.horizon.bucket(p[0])[1] > p[1]]
            for place in moved:
                start, _, key = place
                cell = shelf.cells[place]
                shelf.put_cell(place, None)
                shelf.merge_cell((*shelf.horizon.bucket(start), key), cell)
            for place in [p for p in shelf.cells if p[0] < shelf.horizon.gone_before]:
                shelf.put_cell(place, None)


class ShelfJournal:
    """``Journal`` over a shelf."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def head(self) -> int:
        with self._access.read() as shelf:
            return len(shelf.journal)

    def read(self, *, after: int = 0) -> Sequence[JournalEntry]:
        with self._access.read() as shelf:
            return tuple(shelf.journal[max(0, after) :])

    def append(self, entry: JournalEntry, *, expected_head: int) -> JournalEntry:
        with self._access.write() as shelf:
            written = appended(entry, expected_head, len(shelf.journal), shelf.heartbeat)
            shelf.journal.append(written)
            return written

    def put_body(self, text: str) -> str:
        with self._access.read() as shelf:
            name = hash_of(text, shelf.salt)
            if name in shelf.bodies:
                return name
        with self._access.write() as shelf:
            name = hash_of(text, shelf.salt)
            shelf.bodies[name] = text
            return name

    def body(self, content_hash: str) -> str | None:
        with self._access.read() as shelf:
            return shelf.bodies.get(content_hash)

    def erase_body(self, content_hash: str) -> bool:
        with self._access.write() as shelf:
            return shelf.bodies.pop(content_hash, None) is not None

    def salt(self) -> str:
        with self._access.read() as shelf:
            return shelf.salt

    def bodies(self) -> Iterable[tuple[str, str]]:
        with self._access.read() as shelf:
            return sorted(shelf.bodies.items())

    def adopt(self, salt: str, bodies: Iterable[tuple[str, str]]) -> None:
        with self._access.write() as shelf:
            check_adopted(salt, shelf.salt if shelf.bodies else salt)
            shelf.salt = salt
            shelf.bodies.update(bodies)


class ShelfConfig:
    """``Config`` over a shelf."""

    def __init__(self, access: Access, monotonic: Callable[[], float]) -> None:
        self._access = access
        self._observer = Observer(monotonic)

    def load(self) -> Configuration | None:
        with self._access.read() as shelf:
            return shelf.checkpoint

    def save(self, config: Configuration) -> None:
        with self._access.write() as shelf:
            if shelf.checkpoint is None or shelf.checkpoint.version <= config.version:
                shelf.checkpoint = config

    def acquire(self, holder: str, *, length_s: float) -> Lease | None:
        with self._access.write() as shelf:
            taken = self._observer.judge(shelf.heartbeat, holder, length_s)
            if taken is None:
                return None
            shelf.heartbeat = taken
            return Lease(holder, taken.token, length_s)

    def release(self, holder: str) -> None:
        with self._access.write() as shelf:
            if shelf.heartbeat.holder == holder:
                shelf.heartbeat = released(shelf.heartbeat)


class ShelfState:
    """``State`` over a shelf."""

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access, self._clock = access, clock

    def get(self, namespace: str, key: str) -> Record | None:
        with self._access.read() as shelf:
            return shelf.record(namespace, key, self._clock())

    def put(self, record: Record, *, expected: int | None = None) -> Record:
        with self._access.write() as shelf:
            now_s = self._clock()
            check_version(record, shelf.record(record.namespace, record.key, now_s), expected)
            return shelf.put_record(record, now_s)

    def delete(self, namespace: str, key: str) -> bool:
        with self._access.write() as shelf:
            record = shelf.records.pop((namespace, key), None)
            return record is not None and is_live(record, self._clock())

    def list(self, namespace: str, *, prefix: str = "") -> Sequence[Record]:
        now_s = self._clock()
        with self._access.read() as shelf:
            named = sorted(n for n in shelf.records if n[0] == namespace and n[1].startswith(prefix))
            return [r for r in (shelf.records[n] for n in named) if is_live(r, now_s)]

    def namespaces(self) -> Sequence[str]:
        now_s = self._clock()
        with self._access.read() as shelf:
            return sorted({r.namespace for r in shelf.records.values() if is_live(r, now_s)})

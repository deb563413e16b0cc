"""Puts an export into a store, each thing once, however often it is tried.

Everything goes in by commits whose producer is named by the content and whose numbers follow from the
place in the file, by journal entries that are compared with those that are there, and by texts under
their own hashes. So a repeat completes what an interruption left, and changes nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from hivefeedback.errors import ConflictError, RefusedError
from hivefeedback.exchange.container import Contents, Opened, Summed, encoded, opened
from hivefeedback.exchange.gather import MARK, lines_of, sums_missing
from hivefeedback.exchange.lines import (
    CellLine,
    CheckpointLine,
    EntryLine,
    EventLine,
    Kind,
    Line,
    NewestLine,
    RecordLine,
    SaltLine,
    Sum,
    TextLine,
    kind_of,
)
from hivefeedback.hooks import CarriedJournal, Commit, ListedState, Record, Store
from hivefeedback.model import Event, decode_event, decoded, encode_event
from hivefeedback.stats import Delta

__all__ = ["Carried", "Checked", "carry_into", "checked", "unfinished"]

_KEY: Final = "import"
_HOUR_S, _DAY_S = 3600, 86_400
_HOURS_AFTER_S, _DAYS_AFTER_S = 2 * _HOUR_S, 7 * _DAY_S
"""When minutes become hours and hours become days, as the protocol of ``Aggregates`` says."""
_AT_ONCE: Final[dict[Kind, int]] = {"cell": 2000, "newest": 500, "record": 1000, "event": 10_000}
"""Lines per commit. A change of these needs another name for the producer, since numbers follow from them."""
_ENDLESS_S: Final = 1e12
T = TypeVar("T")


class Carried(Struct, frozen=True, kw_only=True):
    """What came over.

    Args:
        contents: What the file holds.
        is_known: Everything was there already, from an import before; nothing was changed.
        left: A sentence for each thing that the store does not hold now as the file does.
    """

    contents: Contents
    is_known: bool = False
    left: tuple[str, ...] = ()


class _Mark(Struct):
    """What is being carried, or was."""

    name: str
    is_whole: bool = False


class Checked:
    """An export of which everything is right, still open.

    Args:
        export: The file.

    Raises:
        StoreCorruptError, StoreVersionError: Something in it is not.
    """

    def __init__(self, export: Opened) -> None:
        self._export, self._reach = export, _Reach()
        self.contents = export.check(self._reach.see)

    def carry_into(self, store: Store) -> Carried:
        """Put it into a store that is empty, or that an import of the same content has begun to fill; then the
        store is read back and compared.

        Raises:
            RefusedError: The store holds something else; nothing was written.
            StoreUnreachableError: The store could not be written; a repeat completes it.
        """
        contents = self.contents
        if _begin(store, contents):
            return Carried(contents=contents, is_known=True)
        if self._reach.now_s:
            store.aggregates.compact(now_s=self._reach.now_s)
        summed = Summed()
        _Carrier(store, contents).carry(_noted(self._export.lines(), summed))
        left = _missing(store, summed.sums())
        _put_mark(store, _Mark(contents.name, is_whole=True))
        return Carried(contents=contents, left=tuple(left))


@contextmanager
def checked(path: Path) -> Iterator[Checked]:
    """An export, open and read whole once, before there is a store to put it into.

    Raises:
        StoreCorruptError, StoreVersionError, InvalidInputError: The file cannot be used.
    """
    with opened(path) as export:
        yield Checked(export)


def carry_into(store: Store, path: Path) -> Carried:
    """Check an export and put it into a store; raises as ``checked`` and ``Checked.carry_into`` do."""
    with checked(path) as export:
        return export.carry_into(store)


def unfinished(store: Store) -> bool:
    """True where an import was interrupted and not repeated."""
    mark = _mark_of(store)
    return mark is not None and not mark.is_whole


# --- before -------------------------------------------------------------------------------------


class _Reach:
    """How far compaction had come where the export was made: wide buckets stay wide."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def see(self, line: Line) -> None:
        """Take a line in."""
        if isinstance(line, CellLine) and line.width_s >= _HOUR_S:
            after_s = _DAYS_AFTER_S if line.width_s >= _DAY_S else _HOURS_AFTER_S
            self.now_s = max(self.now_s, float(line.start_s + line.width_s + after_s))


def _begin(store: Store, contents: Contents) -> bool:
    """Mark the store as being filled; True where it was filled with the same before."""
    if contents.n("text") and not isinstance(store.journal, CarriedJournal):
        raise RefusedError(f"store {_scheme(store)} cannot take texts under the names that the journal knows them by")
    mark = _mark_of(store)
    if mark is None and not _is_empty(store):
        raise RefusedError(
            "the store is not empty, and what it holds is not what this export was made of; name a new store with "
            "--store, everything is carried into it"
        )
    if mark is not None and mark.name != contents.name:
        raise RefusedError("another export was carried into this store; name a new store with --store")
    if mark is None:
        _put_mark(store, _Mark(contents.name))
    return mark is not None and mark.is_whole


def _mark_of(store: Store) -> _Mark | None:
    record = store.state.get(MARK, _KEY)
    return decoded(record.value, _Mark) if record is not None else None


def _put_mark(store: Store, mark: _Mark) -> None:
    store.state.put(Record(MARK, _KEY, msgspec.json.encode(mark)))


def _is_empty(store: Store) -> bool:
    if store.journal.head() or store.log.count() or store.config.load() is not None:
        return False
    if isinstance(store.state, ListedState) and store.state.namespaces():
        return False
    if isinstance(store.journal, CarriedJournal) and next(iter(store.journal.bodies()), None) is not None:
        return False
    return not store.aggregates.read(from_s=-_ENDLESS_S, to_s=_ENDLESS_S).slices


def _scheme(store: Store) -> str:
    return store.url.partition("://")[0]


# --- carrying -----------------------------------------------------------------------------------


class _Carrier:
    """Writes lines into a store, many of a kind at once."""

    def __init__(self, store: Store, contents: Contents) -> None:
        self._store, self._producer, self._n_commits = store, f"import-{contents.name}", 0
        self._salt, self._has_texts = "", contents.n("text") > 0

    def carry(self, lines: Iterable[Line]) -> None:
        """Write everything."""
        for kind, some in groupby(lines, kind_of):
            if kind == "text":
                self._put_texts([line for line in some if isinstance(line, TextLine)])
            elif kind in _AT_ONCE:
                for each in _in_pieces(some, _AT_ONCE[kind]):
                    self._commit(each)
            else:
                self._put_others(some)

    def _put_others(self, lines: Iterable[Line]) -> None:
        """Salt, entries and checkpoint."""
        for line in lines:
            if isinstance(line, SaltLine):
                self._salt = line.salt
                if not self._has_texts:
                    self._put_texts(())
            elif isinstance(line, CheckpointLine):
                self._store.config.save(line.config)
            elif isinstance(line, EntryLine):
                self._append(line)

    def _put_texts(self, texts: Sequence[TextLine]) -> None:
        if isinstance(self._store.journal, CarriedJournal):
            self._store.journal.adopt(self._salt, [(line.hash, line.text) for line in texts])

    def _append(self, line: EntryLine) -> None:
        present = next(iter(self._store.journal.read(after=line.entry.seq - 1)), None)
        if present is None:
            self._store.journal.append(line.entry, expected_head=line.entry.seq - 1)
        elif present != line.entry:
            raise ConflictError(
                f"entry {line.entry.seq} of the journal is another one: somebody wrote into the store while it was "
                "filled; name a new store with --store"
            )

    def _commit(self, lines: Sequence[Line]) -> None:
        delta, records, events = Delta(), list[Record](), list[Event]()
        for line in lines:
            if isinstance(line, CellLine):
                delta.cell(line.key, line.start_s).merge(line.cell)
            elif isinstance(line, NewestLine):
                delta.exemplars[(line.deployment, line.operation)] = line.runs
            elif isinstance(line, RecordLine):
                records.append(Record(line.namespace, line.key, line.value, expires_at_s=line.expires_at_s))
            elif isinstance(line, EventLine):
                events.append(decode_event(bytes(line.event)))
        self._n_commits += 1
        self._store.commit(Commit(self._producer, 1, self._n_commits, events, delta, records))


def _in_pieces(items: Iterable[T], n: int) -> Iterator[list[T]]:
    several = iter(items)
    while piece := list(islice(several, n)):
        yield piece


# --- afterwards ---------------------------------------------------------------------------------

_TOLD: Final[dict[Kind, Callable[[str, int, int], str]]] = {
    "event": lambda store, n, there: (
        f"{n - there} of {n} events: {store} keeps a short log" if there < n else f"{there} events are there, not {n}"
    ),
    "record": lambda store, n, there: (
        f"{n - there} of {n} records expired on the way" if there < n else "some records were changed on the way"
    ),
}


def _noted(lines: Iterable[Line], summed: Summed) -> Iterator[Line]:
    """The lines as they are; summed up as this version writes them, which may know more fields than their writer."""
    for line in lines:
        if isinstance(line, EventLine):
            summed.add("event", encoded(EventLine(line.n, Raw(encode_event(decode_event(bytes(line.event)))))))
        else:
            summed.add(kind_of(line), encoded(line))
        yield line


def _missing(store: Store, expected: dict[Kind, Sum]) -> list[str]:
    """Read the store back; a sentence for each kind whose sum is another one."""
    summed = Summed()
    for line in lines_of(store, []):
        summed.add(kind_of(line), encoded(line))
    told = []
    for kind, (n, n_there) in sums_missing(expected, summed.sums()).items():
        if kind in _TOLD:
            told.append(_TOLD[kind](_scheme(store), n, n_there))
        elif kind != "checkpoint":  # the journal's fold; a newer one may be there
            told.append(f"the sum of {kind} differs: {n} were in the file, {n_there} are in the store")
    return told

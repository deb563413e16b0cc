"""The JSON store's file: a shelf as text, one thing per line, and back.

What a hand may break is named with line and column; a file that cannot be read is never written.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from hivefeedback.errors import StoreCorruptError, StoreVersionError
from hivefeedback.hooks import Record
from hivefeedback.model import Configuration, JournalEntry, decode_event, decoded
from hivefeedback.stats import Cell, CellKey, Exemplar
from hivefeedback_stores.buckets import Horizon
from hivefeedback_stores.codec import encode, event_bytes
from hivefeedback_stores.json_place import line_and_column, offset_of, syntax_error
from hivefeedback_stores.lease import Heartbeat
from hivefeedback_stores.seen import Seen
from hivefeedback_stores.shelf import Shelf
from hivefeedback_stores.shelf_events import Events

__all__ = ["VERSION", "read_shelf", "written_shelf"]

VERSION = 1
_PATH = re.compile(r"`(\$[^`]*)`")


class _Head(Struct, kw_only=True):
    """The first line; ``revision`` grows with each write, so that readers see that something changed."""

    version: int
    revision: int
    salt: str
    horizon: Horizon = Horizon()
    next_position: int = 1


class _Commits(Struct):
    producer: str
    epoch: int
    applied: Seen


class _Cell(Struct):
    start_s: int
    width_s: int
    deployment: str
    operation: str
    agent: str
    arm: str
    fingerprint: str
    cell: Cell


class _Newest(Struct):
    deployment: str
    operation: str
    runs: list[Exemplar]


class _Text(Struct):
    hash: str
    text: str


class _Record(Struct, omit_defaults=True):
    """``value`` is text where it is UTF-8, else ``base64`` holds it."""

    namespace: str
    key: str
    version: int
    value: str = ""
    base64: str = ""
    expires_at_s: float | None = None


class _Placed(Struct):
    position: int
    event: msgspec.Raw


class _File(Struct, kw_only=True):
    hivefeedback: _Head
    checkpoint: Configuration | None = None
    lease: Heartbeat = Heartbeat()
    journal: list[JournalEntry] = []
    texts: list[_Text] = []
    cells: list[_Cell] = []
    newest: list[_Newest] = []
    records: list[_Record] = []
    commits: list[_Commits] = []
    events: list[_Placed] = []


class _Version(Struct):
    hivefeedback: dict[str, object]


def written_shelf(shelf: Shelf, revision: int) -> bytes:
    """A shelf as text.

    Raises:
        InvalidInputError: Something in it is no Unicode.
    """
    head = _Head(
        version=VERSION,
        revision=revision,
        salt=shelf.salt,
        horizon=shelf.horizon,
        next_position=shelf.events.next,
    )
    parts = [
        b'"hivefeedback":' + encode("the head", head),
        b'"checkpoint":' + encode("the configuration", shelf.checkpoint),
        b'"lease":' + encode("the lease", shelf.heartbeat),
        _lines("journal", shelf.journal),
        _lines("texts", (_Text(h, t) for h, t in shelf.bodies.items())),
        _lines("cells", (_Cell(s, w, *key, cell) for (s, w, key), cell in sorted(shelf.cells.items(), key=_place))),
        _lines("newest", (_Newest(*name, kept) for name, kept in shelf.exemplars.items())),
        _lines("records", (_record_line(r) for r in shelf.records.values())),
        _lines("commits", (_Commits(*name, seen) for name, seen in shelf.seen.items())),
        _joined("events", _event_lines(shelf.events)),
    ]
    return b"{" + b",\n".join(parts) + b"}\n"


def _place(item: tuple[tuple[int, int, CellKey], Cell]) -> tuple[int, int, CellKey]:
    return item[0]


def _event_lines(events: Events) -> Iterable[bytes]:
    for position, event in events.by_position.items():
        line = events.lines.get(position)
        if line is None:
            line = events.lines[position] = encode("events", _Placed(position, msgspec.Raw(event_bytes(event))))
        yield line


def _lines(name: str, items: Iterable[object]) -> bytes:
    return _joined(name, (encode(name, item) for item in items))


def _joined(name: str, items: Iterable[bytes]) -> bytes:
    lines = b",\n".join(items)
    return b'"' + name.encode() + b'":[' + (b"\n" + lines + b"\n" if lines else b"") + b"]"


def _record_line(record: Record) -> _Record:
    line = _Record(record.namespace, record.key, record.version, expires_at_s=record.expires_at_s)
    try:
        line.value = record.value.decode()
    except UnicodeDecodeError:
        line.base64 = b64encode(record.value).decode()
    return line


def read_shelf(path: Path, data: bytes) -> tuple[Shelf, int]:
    """A shelf from its text, and its revision.

    Raises:
        StoreCorruptError: With file, line and column of the mistake.
        StoreVersionError: A newer hivefeedback wrote it.
    """
    text = _text_of(path, data)
    _check_version(path, data)
    try:
        file = decoded(data, _File)
    except msgspec.MsgspecError as error:
        raise _mistake(path, text, str(error)) from error
    shelf = Shelf(
        salt=file.hivefeedback.salt,
        horizon=file.hivefeedback.horizon,
        seen={(c.producer, c.epoch): c.applied for c in file.commits},
        cells={
            (c.start_s, c.width_s, CellKey(c.deployment, c.operation, c.agent, c.arm, c.fingerprint)): c.cell
            for c in file.cells
        },
        exemplars={(n.deployment, n.operation): n.runs for n in file.newest},
        journal=file.journal,
        bodies={t.hash: t.text for t in file.texts},
        checkpoint=file.checkpoint,
        heartbeat=file.lease,
        records={(r.namespace, r.key): _record_of(r, i, path, text) for i, r in enumerate(file.records)},
    )
    _check_journal(shelf.journal, path, text)
    _place_events(shelf, file, path, text)
    return shelf, file.hivefeedback.revision


def _text_of(path: Path, data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        where = line_and_column(before, len(before))
        raise StoreCorruptError(f"{path}, {where}: this is no UTF-8; correct it or restore a copy") from error
    wrong = syntax_error(text)
    if wrong is not None:
        message, at = wrong
        raise StoreCorruptError(
            f"{path}, {line_and_column(text, at)}: {message}; correct it or restore a copy, the file stays as it is"
        )
    return text


def _check_version(path: Path, data: bytes) -> None:
    try:
        version = decoded(data, _Version).hivefeedback.get("version")
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"{path} is no hivefeedback store; name another file for the store") from error
    if isinstance(version, int) and version > VERSION:
        raise StoreVersionError(
            f"{path} was written by a newer hivefeedback (version {version}; this one reads up to {VERSION}); "
            "upgrade hivefeedback, or name another file"
        )


def _mistake(path: Path, text: str, message: str) -> StoreCorruptError:
    named = _PATH.search(message)
    where = line_and_column(text, offset_of(text, named.group(1)) if named else 0)
    return StoreCorruptError(f"{path}, {where}: {message}; correct it or restore a copy, the file stays as it is")


def _record_of(line: _Record, index: int, path: Path, text: str) -> Record:
    try:
        value = b64decode(line.base64, validate=True) if line.base64 else line.value.encode()
    except ValueError as error:
        raise _mistake(path, text, f"{error} - at `$.records[{index}].base64`") from error
    return Record(line.namespace, line.key, value, line.version, line.expires_at_s)


def _check_journal(journal: list[JournalEntry], path: Path, text: str) -> None:
    for index, entry in enumerate(journal):
        if entry.seq != index + 1:
            raise _mistake(path, text, f"Expected {index + 1}, got {entry.seq} - at `$.journal[{index}].seq`")


def _place_events(shelf: Shelf, file: _File, path: Path, text: str) -> None:
    last = 0
    for index, placed in enumerate(file.events):
        try:
            event = decode_event(bytes(placed.event))
        except StoreCorruptError as error:
            raise _mistake(path, text, f"{error} - at `$.events[{index}].event`") from error
        if placed.position <= last:
            raise _mistake(path, text, f"Expected a position > {last} - at `$.events[{index}].position`")
        last = placed.position
        shelf.events.place(last, event)
    shelf.events.next = max(last + 1, file.hivefeedback.next_position)

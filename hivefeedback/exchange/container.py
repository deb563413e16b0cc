"""The file of an export: gzip, lines of JSON, sums at the end.

It is written beside its place, synced and put there at the end, so that there is a whole file or
none. It is read twice: once to see that every line and every sum is right, and only then to carry
anything over, so that of a file with a mistake nothing is carried.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from hivefeedback.errors import InvalidInputError, StoreCorruptError, StoreVersionError
from hivefeedback.exchange.lines import KINDS, VERSION, CellLine, EndLine, EventLine, HeadLine, Kind, Line, Sum, kind_of
from hivefeedback.model import decode_event

__all__ = [
    "Contents",
    "Opened",
    "Summed",
    "encoded",
    "is_export",
    "name_of",
    "opened",
    "put_in_place",
    "write_lines",
]

_MAX_LINE: Final = 256 * 1024 * 1024
"""Longer lines are none of ours; an event with a comment of a million letters is 8 MB."""
_encoder = msgspec.json.Encoder()
_sorted = msgspec.json.Encoder(order="deterministic")
_head = msgspec.json.Decoder(HeadLine)
_line = msgspec.json.Decoder(Line | EndLine)


class Contents(Struct, frozen=True, kw_only=True):
    """What an export holds.

    Args:
        made_at_s: When it was made, seconds since 1970 UTC.
        store: Scheme of the store that it was made from.
        sums: Number and sum of each kind of line.
        name: 24 digits of a SHA-256 of the sums: the same for the same content, whenever it was exported.
    """

    made_at_s: float
    store: str
    sums: dict[Kind, Sum]
    name: str

    def n(self, kind: Kind) -> int:
        """How many there are of a kind."""
        return self.sums.get(kind, Sum()).n


class Summed:
    """Sums lines up by kind."""

    def __init__(self) -> None:
        self._n: defaultdict[Kind, int] = defaultdict(int)
        self._totals: defaultdict[Kind, int] = defaultdict(int)

    def add(self, kind: Kind, data: bytes) -> None:
        """Take a line in, without its end."""
        self._n[kind] += 1
        self._totals[kind] += int.from_bytes(hashlib.sha256(data).digest(), "big")

    def sums(self) -> dict[Kind, Sum]:
        """Number and sum of each kind, those that there are."""
        return {kind: Sum().plus(self._n[kind], self._totals[kind]) for kind in KINDS if self._n[kind]}


def name_of(sums: dict[Kind, Sum]) -> str:
    """A short name of a content; the checkpoint is left out, since the journal says the same."""
    told = sorted((kind, each) for kind, each in sums.items() if kind != "checkpoint")
    return hashlib.sha256(_encoder.encode(told)).hexdigest()[:24]


# --- writing ------------------------------------------------------------------------------------


@contextmanager
def put_in_place(path: Path) -> Iterator[IO[bytes]]:
    """A new file that is in its place when the block ends, and nowhere when the block raises.

    Only its owner may read it: a store holds comments, prompts and the key that user ids are hashed with.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # folders cannot be opened on Windows
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_lines(file: IO[bytes], head: HeadLine, lines: Iterable[Line]) -> dict[Kind, Sum]:
    """Write an export; answers its sums.

    Raises:
        InvalidInputError: Something is no Unicode.
    """
    summed, whole = Summed(), hashlib.sha256()
    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:

        def write(data: bytes) -> None:
            packed.write(data + b"\n")
            whole.update(data + b"\n")

        write(_encoder.encode(head))
        for line in lines:
            data = encoded(line)
            summed.add(kind_of(line), data)
            write(data)
        packed.write(_encoder.encode(EndLine(summed.sums(), whole.hexdigest())) + b"\n")
    return summed.sums()


def encoded(line: Line) -> bytes:
    """A line as JSON; of a cell in one way only, whatever the order in which it was counted.

    Raises:
        InvalidInputError: It holds a text that is no Unicode.
    """
    try:
        if isinstance(line, CellLine):  # its histograms are counted in any order
            return _sorted.encode(msgspec.to_builtins(line, str_keys=True))
        return _encoder.encode(line)
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"a {kind_of(line)} holds a lone surrogate, which no file can keep") from error


# --- reading ------------------------------------------------------------------------------------


def is_export(path: Path) -> bool:
    """True where a file is meant to be an export: nothing else of what is imported is under gzip."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:
        return False


class Opened:
    """An open export.

    Args:
        file: Opened for reading; it stays the same file when its name is given to another one.
        path: Its name, for messages.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self.path = file, path

    def check(self, look: Callable[[Line], None] = lambda line: None) -> Contents:
        """Read everything and compare every sum.

        Args:
            look: Called with each line.

        Raises:
            StoreCorruptError: The file is cut off or was changed; the message says where.
            StoreVersionError: A newer hivefeedback wrote it.
        """
        heads: list[HeadLine] = []
        ends: list[EndLine] = []
        summed = Summed()
        for line, data in self._lines(heads.append, ends.append):
            summed.add(kind_of(line), data)
            look(line)
        if not ends or not heads:
            raise self._wrong("it has no end; it was cut off")
        if ends[0].sums != summed.sums():
            raise self._wrong("its sums are wrong; it was changed")
        return Contents(
            made_at_s=heads[0].made_at_s, store=heads[0].store, sums=ends[0].sums, name=name_of(ends[0].sums)
        )

    def lines(self) -> Iterator[Line]:
        """Its lines; raises as ``check`` does."""
        for line, _ in self._lines(lambda head: None, lambda end: None):
            yield line

    def _lines(
        self, begins: Callable[[HeadLine], None], ends: Callable[[EndLine], None]
    ) -> Iterator[tuple[Line, bytes]]:
        whole, has_end = hashlib.sha256(), False
        for number, data in self._raw():
            if has_end:
                raise self._wrong(f"something follows its end, in line {number}")
            if number == 1:
                begins(self._head(data))
            else:
                line = self._decoded(number, data)
                if isinstance(line, EndLine):
                    has_end = True
                    if line.all != whole.hexdigest():
                        raise self._wrong("its sum is wrong; it was changed")
                    ends(line)
                else:
                    yield line, data
            whole.update(data + b"\n")

    def _raw(self) -> Iterator[tuple[int, bytes]]:
        self._file.seek(0)
        number = 0
        try:
            with gzip.GzipFile(fileobj=self._file) as packed:
                while data := packed.readline(_MAX_LINE):
                    number += 1
                    if not data.endswith(b"\n"):
                        raise self._wrong(f"line {number} has no end; it was cut off")
                    yield number, data[:-1]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._wrong(f"behind line {number}: {error}") from error

    def _head(self, data: bytes) -> HeadLine:
        try:
            head = _head.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._wrong(f"its first line is none of an export: {error}") from error
        if head.version > VERSION:
            raise StoreVersionError(
                f"{str(self.path)!r} was exported by a newer hivefeedback (version {head.version} of the format, "
                f"this one reads up to {VERSION}; made by {head.by}); upgrade hivefeedback"
            )
        return head

    def _decoded(self, number: int, data: bytes) -> Line | EndLine:
        try:
            line: Line | EndLine = _line.decode(data)
            if isinstance(line, EventLine):
                decode_event(bytes(line.event))
        except (msgspec.MsgspecError, UnicodeDecodeError, StoreCorruptError) as error:
            raise self._wrong(f"line {number}: {error}") from error
        return line

    def _wrong(self, what: str) -> StoreCorruptError:
        return StoreCorruptError(
            f"{str(self.path)!r} is no whole export: {what}; nothing of it was carried over, export again"
        )


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """An export, open.

    Raises:
        InvalidInputError: It cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    with file:
        yield Opened(file, path)

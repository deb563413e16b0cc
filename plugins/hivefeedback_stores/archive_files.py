"""The files of an archive: segments of events, and a manifest that says which of them count.

A file is written beside its place, synced and put there, and counts once the manifest, written in the
same way, names it. So whoever is killed leaves either the old state or the new one, and perhaps a file
that nobody names, which the next writer removes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from hivefeedback.errors import StoreCorruptError, StoreUnreachableError, StoreVersionError
from hivefeedback.model import decoded
from hivefeedback_stores.codec import encode
from hivefeedback_stores.erasure import Placed

__all__ = ["MANIFEST", "VERSION", "Files", "Format", "Manifest", "Segment"]

VERSION = 1
MANIFEST = "archive.json"
_PREFIX = "events-"


class Format(Protocol):
    """How a segment's events become bytes."""

    suffix: str
    """Of its files, by which a reader tells the format."""

    def pack(self, first: int, placed: Sequence[Placed]) -> bytes:
        """Events at positions from ``first`` on, in order; there may be gaps."""

    def unpack(self, first: int, data: bytes) -> list[Placed]:
        """The same back; raises StoreCorruptError."""


class Segment(Struct, frozen=True, kw_only=True):
    """One file of events.

    Args:
        name: Of the file; empty where all of its events were erased.
        first, last: Positions that belong to it; those of erased events are gaps.
        n: Events in it.
        from_s, to_s: The earliest and the latest time among them, seconds since 1970 UTC.
        sha256: Of the file.
        n_erased: Events that were erased; whoever replays goes on behind such a segment.
        is_settled: False while its events may still be in the log as well.
    """

    name: str
    first: int
    last: int
    n: int
    from_s: float
    to_s: float
    sha256: str
    n_erased: int = 0
    is_settled: bool = False


class Manifest(Struct, frozen=True, kw_only=True):
    """What counts, in the order in which it was archived."""

    hivefeedback_archive: int = VERSION
    segments: tuple[Segment, ...] = ()
    next_position: int = 1
    next_file: int = 1


class Files:
    """The folder of an archive.

    Args:
        folder: Made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def manifest(self) -> Manifest:
        """What counts; nothing where there is no archive yet.

        Raises:
            StoreUnreachableError, StoreCorruptError, StoreVersionError: It cannot be read.
        """
        path = self.folder / MANIFEST
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return Manifest()
        except OSError as error:
            raise StoreUnreachableError(f"{path} cannot be read: {error.strerror}; check its rights") from error
        try:
            version = msgspec.json.decode(data, type=dict[str, object]).get("hivefeedback_archive")
            if isinstance(version, int) and version > VERSION:
                raise StoreVersionError(
                    f"{path} was written by a newer hivefeedback (archive {version}; this one reads up to {VERSION}); "
                    "upgrade hivefeedback"
                )
            return decoded(data, Manifest)
        except msgspec.MsgspecError as error:
            raise StoreCorruptError(f"{path}: {error}; restore a copy of it") from error

    def save(self, manifest: Manifest) -> None:
        """Let a manifest count."""
        self._write(MANIFEST, msgspec.json.format(encode("the archive's manifest", manifest), indent=1))

    def put(self, number: int, suffix: str, data: bytes) -> tuple[str, str]:
        """Write a segment's file; its name and sum. It does not count before a manifest names it."""
        name = f"{_PREFIX}{number:08d}{suffix}"
        self._write(name, data)
        return name, hashlib.sha256(data).hexdigest()

    def _write(self, name: str, data: bytes) -> None:
        beside, path = self.folder / f"{name}.tmp", self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
            self._sync_folder()
        except OSError as error:
            raise StoreUnreachableError(
                f"{path} cannot be written: {error}; check the archive's folder, its rights and the space on the disk"
            ) from error

    def _sync_folder(self) -> None:
        if hasattr(os, "O_DIRECTORY"):  # folders cannot be opened on Windows
            descriptor = os.open(self.folder, os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def get(self, segment: Segment) -> bytes:
        """A segment's bytes, when their sum is right.

        Raises:
            StoreCorruptError: The file is not there, or is another one.
        """
        path = self.folder / segment.name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreCorruptError(f"{path} cannot be read: {error.strerror}; restore a copy of it") from error
        if hashlib.sha256(data).hexdigest() != segment.sha256:
            raise StoreCorruptError(f"{path} is not what was archived, its sum is wrong; restore a copy of it")
        return data

    def sweep(self, manifest: Manifest) -> None:
        """Remove what an interrupted writer left, and segments of which something was erased."""
        named = {segment.name for segment in manifest.segments}
        with suppress(OSError):  # nothing depends on it; the next writer tries again
            for path in self.folder.glob(f"{_PREFIX}*"):
                if path.name not in named:
                    path.unlink()

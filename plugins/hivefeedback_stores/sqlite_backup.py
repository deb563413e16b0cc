"""A copy of an older file before it is brought up to date: ``hive.db.v1.bak`` beside ``hive.db``.

The copy is made while nobody else can write, from what is committed, and is whole or not there. One of
the same version is replaced: the file is still of that version, so it holds what the copy held and more.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from hivefeedback.errors import StoreUnreachableError

__all__ = ["back_up"]


def back_up(source: sqlite3.Connection, path: Path, version: str) -> Path:
    """Copy a file; answers the copy's name.

    Args:
        source: A connection that reads the file.
        path: The file.
        version: Of its schema.

    Raises:
        StoreUnreachableError: There is no room for it, or no right to write it; nothing was changed.
    """
    copy = path.with_name(f"{path.name}.v{version}.bak")
    beside = copy.with_name(f"{copy.name}.tmp")
    try:
        beside.unlink(missing_ok=True)
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, path.stat().st_mode & 0o777))
        with closing(sqlite3.connect(beside)) as target:
            source.backup(target)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StoreUnreachableError(
            f"{path} has an older schema ({version}), and the copy {copy.name} that is made before it is brought up "
            f"to date cannot be written: {error}; make room for it or move the file"
        ) from error
    return copy

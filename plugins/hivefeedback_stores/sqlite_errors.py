"""What SQLite says, in our words: which file, what happened, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hivefeedback.errors import ClosedError, InvalidInputError, StoreCorruptError, StoreError, StoreUnreachableError

__all__ = ["is_busy", "translated"]

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNREACHABLE = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, until then a process that has it open keeps in memory "
    "what is not committed",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the rights of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists and may be read and written",
    sqlite3.SQLITE_PERM: "access was refused; check the rights of the file",
    sqlite3.SQLITE_IOERR: "the disk reported an error; check the disk and the rights of the folder",
}


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """True where another connection held the lock for longer than the timeout."""
    return _code(error) in _BUSY


def _ours(error: sqlite3.Error, path: Path, busy_timeout_s: float) -> Exception:
    code = _code(error)
    if code in _CORRUPT:
        return StoreCorruptError(
            f"{path} is damaged or is no SQLite database ({error}); move it away and restore a copy, "
            "or let `sqlite3 FILE .recover` save what can be read"
        )
    if code in _BUSY:
        return StoreUnreachableError(
            f"{path} was locked by another program for {busy_timeout_s:g} s; close that program or try again"
        )
    if code in _UNREACHABLE:
        return StoreUnreachableError(f"{path}: {_UNREACHABLE[code]} ({error})")
    if isinstance(error, sqlite3.DataError):
        return InvalidInputError(f"a value is too large for {path}: {error}; shorten it")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return ClosedError(f"store {path} was closed; open it again")
    return StoreError(f"{path}: {error}")


@contextmanager
def translated(path: Path, busy_timeout_s: float) -> Iterator[None]:
    """Raise ours from what SQLite raises in the block; what cannot be read is told with the file."""
    try:
        yield
    except StoreCorruptError as error:
        if str(path) in str(error):
            raise
        raise StoreCorruptError(f"{path} is damaged: {error}; move it away and restore a copy") from error
    except sqlite3.Error as error:
        raise _ours(error, path, busy_timeout_s) from error
    except OverflowError as error:
        raise InvalidInputError(f"a number does not fit into 64 bits, which {path} keeps: {error}") from error
    except UnicodeEncodeError as error:
        raise InvalidInputError("a text holds a lone surrogate, which no file can keep; replace it") from error

"""Many rows by few statements.

Each statement, and each row of ``executemany``, lets go of the interpreter's lock and has to get it back,
which takes up to 5 ms (``sys.getswitchinterval``) where a thread of the host computes. So a commit has to
make do with a number of statements that does not grow with its rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TypeVar

__all__ = ["found_at", "insert_rows"]

_MOST_VALUES = 999
"""Values of one statement; SQLite before 3.32 takes no more."""
Key = TypeVar("Key", bound="tuple[object, ...]")


@lru_cache(maxsize=1024)
def _marks(n_rows: int, width: int) -> str:
    """The places for the values of so many rows.

    >>> _marks(2, 3)
    '(?, ?, ?), (?, ?, ?)'
    """
    return ", ".join([f"({', '.join('?' * width)})"] * n_rows)


def insert_rows(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[object, ...]], then: str = "") -> None:
    """Write rows of equal length.

    Args:
        connection: Inside a transaction.
        into: What comes before ``VALUES``.
        rows: What is written, in this order.
        then: What comes behind them, such as ``ON CONFLICT …``.
    """
    if not rows:
        return
    width = len(rows[0])
    most = _MOST_VALUES // width
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        statement = f"{into} VALUES {_marks(len(some), width)} {then}"
        connection.execute(statement, list(chain.from_iterable(some)))


def found_at(
    connection: sqlite3.Connection, table: str, column: str, names: Sequence[str], keys: Sequence[Key]
) -> Iterator[tuple[Sequence[Key], Mapping[Key, bytes]]]:
    """What lies at some keys, in pieces: keys, and what was found at them, as one row for each piece.

    Args:
        connection: Inside a transaction.
        table: Where to look.
        column: A blob.
        names: The columns of a key.
        keys: Their values, none NULL.
    """
    most = _MOST_VALUES // (1 + len(names))
    for start in range(0, len(keys), most):
        some = keys[start : start + most]
        yield some, dict(_found(connection, f"{table} USING ({', '.join(names)})", column, names, some))


def _found(
    connection: sqlite3.Connection, joined: str, column: str, names: Sequence[str], keys: Sequence[Key]
) -> Iterator[tuple[Key, bytes]]:
    query = (
        f"WITH asked (number, {', '.join(names)}) AS (VALUES {_marks(len(keys), 1 + len(names))}) "
        f"SELECT group_concat(number || ':' || hex({column})) FROM asked CROSS JOIN {joined}"
    )
    values = chain.from_iterable((i, *key) for i, key in enumerate(keys))
    (found,) = connection.execute(query, list(values)).fetchone()
    for item in found.split(",") if found else ():
        number, _, data = item.partition(":")
        yield keys[int(number)], bytes.fromhex(data)

"""Which texts fit some words: SQLite's full-text index in memory, or plain overlap where it is missing."""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, Protocol

__all__ = ["FullText", "Index", "Overlap", "index_kind", "make_index"]

log = logging.getLogger(__name__)
_WORD: Final = re.compile(r"\w+")
_MOST_WORDS: Final = 64


class Index(Protocol):
    """Texts by id, searched by words."""

    kind: Literal["fts5", "overlap"]

    def relevance(self, query: str) -> dict[str, float]:
        """Ids of the texts that share a word with the query → relevance in (0, 1], the best has 1."""


class FullText:
    """An FTS5 table in memory, ranked by BM25 (Robertson and Zaragoza 2009). Safe to call from any thread.

    >>> FullText({"1": "prices are in euro", "2": "be short"}).relevance("which prices?")
    {'1': 1.0}
    """

    kind: Final = "fts5"

    def __init__(self, texts: Mapping[str, str]) -> None:
        import sqlite3

        self._lock = threading.Lock()
        self._table = sqlite3.connect(":memory:", check_same_thread=False)
        # who forgets to close it leaves no open connection (Python 3.13 warns)
        weakref.finalize(self, self._table.close)
        self._table.execute(
            "CREATE VIRTUAL TABLE texts USING fts5 (id UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2')"
        )
        self._table.executemany("INSERT INTO texts VALUES (?, ?)", list(texts.items()))

    def relevance(self, query: str) -> dict[str, float]:
        """See ``Index``. Words are matched as they are, any of them is enough."""
        words = _words(query.lower())  # as the table does; folded further, ß would be lost
        if not words:
            return {}
        match = " OR ".join(f'"{word}"' for word in words)  # a word holds no quote, so nothing is left to escape
        with self._lock:
            rows = self._table.execute("SELECT id, bm25(texts) FROM texts WHERE texts MATCH ?", (match,)).fetchall()
        return _scaled({str(name): -float(rank) for name, rank in rows})

    def close(self) -> None:
        """Free the table."""
        with self._lock:
            self._table.close()


class Overlap:
    """Counts the words that a text shares with the query.

    >>> Overlap({"1": "prices are in euro", "2": "in short"}).relevance("prices in euro")
    {'1': 1.0, '2': 0.3333333333333333}
    """

    kind: Final = "overlap"

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._words = {name: frozenset(_WORD.findall(text.casefold())) for name, text in texts.items()}

    def relevance(self, query: str) -> dict[str, float]:
        """See ``Index``."""
        words = set(_words(query.casefold()))
        return _scaled({name: float(len(words & own)) for name, own in self._words.items() if words & own})

    def close(self) -> None:
        """Nothing to free."""


def _words(query: str) -> list[str]:
    return list(dict.fromkeys(_WORD.findall(query)))[:_MOST_WORDS]


def _scaled(found: Mapping[str, float]) -> dict[str, float]:
    """By the best; a word that is in nearly every text ranks near zero, and still fits."""
    best = max(found.values(), default=0.0)
    return {name: max(value / best, 1e-6) if best > 0 else 1.0 for name, value in found.items()}


@cache
def index_kind() -> Literal["fts5", "overlap"]:
    """What is there: ``fts5``, or ``overlap`` where this Python's SQLite came without it."""
    try:
        import sqlite3
    except ImportError as error:
        return _without(error)
    try:
        FullText({}).close()
    except sqlite3.Error as error:
        return _without(error)
    return "fts5"


def _without(error: Exception) -> Literal["overlap"]:
    log.warning("SQLite has no full-text index (%s); memory is recalled by overlap of words", error)
    return "overlap"


def make_index(texts: Mapping[str, str]) -> FullText | Overlap:
    """The best index that there is."""
    return FullText(texts) if index_kind() == "fts5" else Overlap(texts)

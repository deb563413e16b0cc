"""A store around another one that also writes a line per change into a file for the auditor.

``audited://sqlite:///hive.db`` keeps everything in ``sqlite:///hive.db``. A store of your own has
the same five parts; here they are the inner store's, but for the journal, which is watched.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Commit, Journal, Store
from hivefeedback.model import JournalEntry

__all__ = ["AuditedStore"]

SCHEME = "audited://"


def _open(url: str, read_only: bool) -> Store:
    """Open a store by URL through the entry points that every plugin comes in by."""
    scheme = url.partition("://")[0]
    for point in entry_points(group="hivefeedback"):
        if point.name == "stores":
            factory = point.load()().hive_stores().get(scheme)
            if factory is not None:
                opened: Store = factory(url, read_only=read_only)
                return opened
    raise StoreUnreachableError(f"no store is known for {url!r}; write audited://sqlite:///hive.db")


class _WatchedJournal:
    """The inner journal; each entry that it took is told to the audit file."""

    def __init__(self, inner: Journal, audit: AuditedStore) -> None:
        self._inner, self._audit = inner, audit

    def head(self) -> int:
        return self._inner.head()

    def read(self, *, after: int = 0) -> Sequence[JournalEntry]:
        return self._inner.read(after=after)

    def append(self, entry: JournalEntry, *, expected_head: int) -> JournalEntry:
        written = self._inner.append(entry, expected_head=expected_head)
        self._audit.note("entry", seq=written.seq, state=written.state, mutation=written.mutation_id, by=written.by)
        return written

    def put_body(self, text: str) -> str:
        return self._inner.put_body(text)

    def body(self, content_hash: str) -> str | None:
        return self._inner.body(content_hash)

    def erase_body(self, content_hash: str) -> bool:
        return self._inner.erase_body(content_hash)


class AuditedStore:
    """A ``Store`` that counts and writes down what it is told.

    Args:
        url: ``audited://`` and the URL of the store that keeps everything.
        read_only: Refuse writes.
        audit_file: Where each change leaves one line of JSON; empty: only ``counts`` are kept.
    """

    def __init__(self, url: str, *, read_only: bool = False, audit_file: str = "") -> None:
        self.url = url
        self.counts: Counter[str] = Counter()
        self._inner = _open(url.removeprefix(SCHEME), read_only)
        self._file = Path(audit_file) if audit_file else None
        self._lock = threading.Lock()
        self.commit_every_s = self._inner.commit_every_s
        self.log = self._inner.log
        self.aggregates = self._inner.aggregates
        self.journal: Journal = _WatchedJournal(self._inner.journal, self)
        self.config = self._inner.config
        self.state = self._inner.state

    def commit(self, commit: Commit) -> None:
        """Apply a commit, all or nothing, once."""
        self._inner.commit(commit)
        self.note("commit", producer=commit.producer, number=commit.number, n_events=len(commit.events))

    def check(self) -> Sequence[str]:
        """What is wrong with the inner store."""
        return self._inner.check()

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()

    def note(self, what: str, **facts: str | int) -> None:
        """Count a change, and write it down where a file was named."""
        with self._lock:
            self.counts[what] += 1
            if self._file is not None:
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"what": what, **facts}) + "\n")

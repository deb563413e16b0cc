"""The Redis store: many processes on many machines; Redis 7.0 and later, one server or a Cluster.

``redis://host:6379/0?name=main``, with TLS ``rediss://``, a Cluster with ``?cluster=true``. Needs the
extra ``redis``::

    loop = FeedbackLoop(store="redis://localhost:6379/0")

What Redis acknowledges may still be lost when it stops, or when a replica takes over: the room's README
says what, and how to set Redis up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hivefeedback.errors import StoreError
from hivefeedback.hooks import Aggregates, Commit, Config, EventLog, Journal, Selector, State
from hivefeedback_stores.redis_aggregates import RedisAggregates
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_commit import Committer
from hivefeedback_stores.redis_erase import erase
from hivefeedback_stores.redis_events import BLOCK
from hivefeedback_stores.redis_journal import RedisJournal
from hivefeedback_stores.redis_log import RedisLog
from hivefeedback_stores.redis_parts import RedisConfig, RedisState
from hivefeedback_stores.redis_schema import open_store
from hivefeedback_stores.redis_url import address_of

__all__ = ["RedisStore"]

MAX_SENTENCES = 20
"""What ``check`` says at most: a broken store has thousands of the same."""


class RedisStore:
    """A store in Redis.

    Args:
        url: ``redis://user:password@host:6379/0?name=main``; stores of other names on the same server
            are stores of their own.
        read_only: Refuse writes, and do not make the store.
        timeout_s: How long one answer may take (5: the longest call takes some 10 ms, and what could
            not be committed is kept by the recorder).
        clock: Seconds since 1970 UTC, for the expiry of records; None: Redis's own clock, so that the
            hosts' clocks do not matter.
        monotonic: Seconds that never go back, for the lease.

    Raises:
        MissingExtraError: redis-py is not installed.
        ConfigurationError: The URL cannot be used.
        StoreUnreachableError, StoreCorruptError, StoreVersionError: It cannot be opened.
    """

    commit_every_s = 0.1

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        timeout_s: float = 5.0,
        clock: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._server = Server(address_of(url), read_only=read_only, timeout_s=timeout_s)
        try:
            salt = open_store(self._server)
        except BaseException:
            self._server.close()  # nobody else will: what cannot be opened has no owner
            raise
        aggregates = RedisAggregates(self._server)
        self._committer = Committer(self._server, aggregates, clock)
        self._log = RedisLog(self._server, lambda selector: self._erase(aggregates, selector))
        self.log: EventLog = self._log
        self.aggregates: Aggregates = aggregates
        self._journal = RedisJournal(self._server, salt)
        self.journal: Journal = self._journal
        self.config: Config = RedisConfig(self._server, monotonic)
        self.state: State = RedisState(self._server, clock)

    def _erase(self, aggregates: RedisAggregates, selector: Selector) -> int:
        return erase(self._server, self._log, aggregates, selector)

    def commit(self, commit: Commit) -> None:
        """Apply a commit in one call, once."""
        self._committer.apply(commit)

    def check(self) -> Sequence[str]:
        """Read every entry and event."""
        said = _tried("the journal", self.journal.read)
        first, last = self._log.bounds()
        for start in range(first, last + 1, BLOCK):
            if len(said) >= MAX_SENTENCES:
                break
            if _tried("events", lambda: self._log.block(start, BLOCK)):  # noqa: B023  # called at once
                for position in range(start, start + BLOCK):
                    said += _tried("the log", lambda: self._log.block(position, 1))  # noqa: B023  # as above
        return said[:MAX_SENTENCES]

    def close(self) -> None:
        """Close the connections; further calls raise ClosedError."""
        self._journal.close()
        self._server.close()


def _tried(what: str, read: Callable[[], object]) -> list[str]:
    try:
        read()
    except StoreError as error:
        return [f"{what}: {error}"]
    return []

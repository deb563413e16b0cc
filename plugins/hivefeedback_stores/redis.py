"""The Redis store: many processes on many machines; Redis 7.0 and later, one server or a Cluster.

``redis://host:6379/0?name=main``, with TLS ``rediss://``, a Cluster with ``?cluster=true``. Needs the
extra ``redis``; ``?shards=3`` spreads a new store over the nodes of a Cluster::

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
from hivefeedback_stores.redis_client import Link
from hivefeedback_stores.redis_commit import Committer
from hivefeedback_stores.redis_erase import erase
from hivefeedback_stores.redis_events import BLOCK
from hivefeedback_stores.redis_fence import Fence
from hivefeedback_stores.redis_journal import RedisJournal
from hivefeedback_stores.redis_log import RedisLog
from hivefeedback_stores.redis_merged import MergedAggregates
from hivefeedback_stores.redis_outbox import Outbox
from hivefeedback_stores.redis_parts import RedisConfig, RedisState
from hivefeedback_stores.redis_places import Places, shard_of
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
        self._link = Link(address_of(url), read_only=read_only, timeout_s=timeout_s)
        try:
            self._open(read_only, clock, monotonic)
        except BaseException:
            self._link.close()  # nobody else will: what cannot be opened has no owner
            raise

    def _open(self, read_only: bool, clock: Callable[[], float] | None, monotonic: Callable[[], float]) -> None:
        salt, self._shards = open_store(self._link)
        first, fence = self._shards[0], Fence(self._shards)
        self._places = Places(len(self._shards))
        self._parts = [RedisAggregates(shard, fence) for shard in self._shards]
        self._outboxes = [Outbox(shard, first, clock) for shard in self._shards[1:]]
        self._committers = [
            Committer(part.server, part, self._places, outbox, clock)
            for part, outbox in zip(self._parts, (None, *self._outboxes), strict=True)
        ]
        self._log = RedisLog(self._shards, self._places, fence, self._erase)
        self._journal = RedisJournal(first, salt)
        self.log: EventLog = self._log
        self.aggregates: Aggregates = self._parts[0] if len(self._parts) == 1 else MergedAggregates(self._parts)
        self.journal: Journal = self._journal
        self.config: Config = RedisConfig(first, fence, monotonic, self._deliver)
        self.state: State = RedisState(first, clock)
        if not read_only:
            self._deliver()

    def _deliver(self) -> None:
        for outbox in self._outboxes:
            outbox.deliver()

    def _erase(self, selector: Selector) -> int:
        return erase(self._log, self._places, self._parts, selector)

    def commit(self, commit: Commit) -> None:
        """Apply a commit in one call to the shard of its producer, once."""
        self._committers[shard_of(commit.producer, len(self._shards))].apply(commit)

    def check(self) -> Sequence[str]:
        """Read every entry and event."""
        said = _tried("the journal", self.journal.read)
        for outbox in self._outboxes:
            said += outbox.check()
        for part in self._log.parts:
            first, last = part.bounds()
            for start in range(first, last + 1, BLOCK):
                if len(said) >= MAX_SENTENCES:
                    break
                if _tried("events", lambda: part.block(start, BLOCK)):  # noqa: B023  # called at once
                    for count in range(start, start + BLOCK):
                        said += _tried("the log", lambda: part.block(count, 1))  # noqa: B023  # as above
        return said[:MAX_SENTENCES]

    def close(self) -> None:
        """Close the connections; further calls raise ClosedError."""
        self._journal.close()
        self._link.close()


def _tried(what: str, read: Callable[[], object]) -> list[str]:
    try:
        read()
    except StoreError as error:
        return [f"{what}: {error}"]
    return []

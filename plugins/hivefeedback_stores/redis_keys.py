"""The keys of a Redis store, and what each of them is.

All keys of a shard carry one hash tag, so that they lie in one slot of a Cluster and one Lua call may
change them together: ``hive:{main:0}:journal``. Each shard has a log, aggregates, what was applied, and
the highest token of the lease in its ``meta``; journal, lease, checkpoint and records are in shard 0.

The number of keys does not grow with the number of runs, but for one key per time bucket (some 700 at
most). So every call can name all the keys that it touches, which is what lets Redis refuse it, rather
than see half of them, while a slot moves to another node.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from itertools import count

__all__ = ["FIXED", "KINDS", "LOG_KEYS", "SLOTS", "Bucket", "Keys", "bucket_name", "bucket_named", "slot_of", "tag_of"]

Bucket = tuple[int, int]
"""(start, width) of a time bucket, seconds."""

KINDS = {
    "meta": "hash",  # schema, number of shards, salt, epoch, last position, numbers of deltas, horizon, token
    "seen": "hash",  # (producer, epoch) → numbers of its commits and events that were applied
    "events": "hash",  # position → time and JSON; a stream would keep erased bytes until its node is full of them
    "joins": "zset",  # what an event is found by, in order of bytes: kind, digest of the value, (time,) position
    "blocks": "hash",  # position ÷ 1000 → the earliest time in it, for retention
    "deltas": "list",  # what waits to be folded into cells, each with its number
    "buckets": "zset",  # "start:width" by the number of its last change
    "cells": "hash",  # one for each bucket: cell's key → number of its last change and the cell
    "newest": "hash",  # (deployment, operation) → number of the last change and the newest runs
    "newestat": "zset",  # the same names by that number
    "journal": "list",  # a mark of who appended, and the entry
    "bodies": "hash",  # salted hash → text
    "checkpoint": "hash",  # version, config
    "lease": "hash",  # holder, token, number of the last beat, length
    "records": "hash",  # namespace and key → version, expiry, mark of who wrote, value
    "names": "zset",  # namespaces and keys in order
    "expiry": "zset",  # those that expire, by when
    "outbox": "list",  # records of commits of this shard on their way to shard 0
    "unread": "list",  # of those, the ones that cannot be read
    "taken": "zset",  # in shard 0, marks of those that came, by when
}
"""Last part of each key's name, and the type that Redis says it has."""

LOG_KEYS = ("events", "joins", "blocks")

FIXED = tuple(part for part in KINDS if part != "cells")


SLOTS = 16_384
_NEAR = 32
"""How far behind its place a shard's slot may lie: some 500 names are tried for each."""


def slot_of(tag: str) -> int:
    """The slot of a Cluster that keys with this hash tag lie in."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


def tag_of(name: str, shard: int, n_shards: int) -> str:
    """The hash tag of a shard.

    Nodes hold ranges of slots. So the shards' slots are spread evenly, beginning with that of shard 0, by
    names that are chosen for it: three shards lie on the three nodes of a Cluster, not two on one of them.

    >>> sorted(slot_of(tag_of("main", shard, 3)) * 3 // SLOTS for shard in range(3))
    [0, 1, 2]
    """
    if shard == 0:
        return f"{name}:0"
    place = slot_of(f"{name}:0") + shard * SLOTS // n_shards
    tags = (f"{name}:{shard}.{i}" for i in count())
    return next(tag for tag in tags if (slot_of(tag) - place) % SLOTS < _NEAR)


class Keys:
    """Names of one shard's keys.

    >>> Keys("main").of("meta", "journal")
    ['hive:{main:0}:meta', 'hive:{main:0}:journal']
    """

    def __init__(self, name: str, shard: int = 0, n_shards: int = 1) -> None:
        self.prefix = f"hive:{{{tag_of(name, shard, n_shards)}}}:"

    def of(self, *parts: str) -> list[str]:
        """Names of some fixed keys."""
        return [self.prefix + part for part in parts]

    def cells(self, buckets: Iterable[Bucket]) -> list[str]:
        """Names of the keys that hold the cells of some buckets."""
        return [f"{self.prefix}cells:{bucket_name(bucket)}" for bucket in buckets]


def bucket_name(bucket: Bucket) -> str:
    """A bucket as it is named in keys."""
    return f"{bucket[0]}:{bucket[1]}"


def bucket_named(name: bytes) -> Bucket:
    """The bucket of that name."""
    start, _, width = name.partition(b":")
    return int(start), int(width)

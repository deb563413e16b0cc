"""Positions of events over several shards, and which shard a producer writes to.

A shard counts its own events: 1, 2, 3, … The position that others see is ``count × shards + shard``, so
that each is given once, stays, and tells where its event lies; with one shard it is the count itself.

What that order guarantees: the events of one commit, and the commits of one producer, lie in the order
in which they were made. A commit lies behind everything that its own process has read or committed
before. And whatever ``read`` has answered is complete: every later commit of any process lies behind it,
since a reader moves the counts of all shards up to the highest one before it reads. (A store that is open
for reading only cannot do that: a commit to a shard with a lower count may come before what it has read.)
Otherwise commits of two producers at about the same time may lie in either order.
"""

from __future__ import annotations

import hashlib

__all__ = ["Places", "shard_of"]


def shard_of(producer: str, n_shards: int) -> int:
    """The shard that takes all commits of a producer.

    >>> shard_of("p", 1)
    0
    >>> sorted({shard_of(f"p{i}", 3) for i in range(20)})
    [0, 1, 2]
    """
    if n_shards == 1:
        return 0
    digest = hashlib.blake2b(producer.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n_shards


class Places:
    """How a store's positions are counted, and the highest count that this process knows of.

    >>> places = Places(3)
    >>> places.position(2, 5), places.shard(17), places.count(17)
    (17, 2, 5)
    """

    def __init__(self, n_shards: int) -> None:
        self.n_shards, self.highest = n_shards, 0

    def see(self, count: int) -> None:
        """Somebody has counted so far."""
        self.highest = max(self.highest, count)

    def position(self, shard: int, count: int) -> int:
        """What others see."""
        return count * self.n_shards + shard

    def shard(self, position: int) -> int:
        """Where it lies."""
        return position % self.n_shards

    def count(self, position: int) -> int:
        """What its shard counts it as."""
        return position // self.n_shards

"""The fencing token over all shards: who once led and was replaced changes nothing any more.

A new leader raises the token in every shard before it is told that it leads. Compaction and retention,
which only the leader does, carry the token that this process leads with, and are refused where a shard
knows a larger one; entries of the journal carry it too, in shard 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback_stores.redis_client import Script, Server

__all__ = ["Fence"]

_RAISE = Script(
    """
if tonumber(redis.call('HGET', KEYS[1], 'token') or 0) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'token', ARGV[1])
end
"""
)


class Fence:
    """The token that this process leads with.

    Args:
        shards: The store's.
    """

    def __init__(self, shards: Sequence[Server]) -> None:
        self._shards, self.token = shards, 0

    def raise_to(self, token: int) -> None:
        """This process leads; true in every shard when it returns."""
        for shard in self._shards:  # each time: one that lost what it had has to be told again
            shard.write(_RAISE, shard.keys.of("meta"), (token,))
        self.token = token

    def lower(self) -> None:
        """This process does not lead: what it does now, it does as anybody may."""
        self.token = 0

"""Records of a commit on their way from the shard that took it to shard 0, where records are.

One call changes one shard. So a commit to another shard leaves its records there as a letter, in the same
call; then they are put into shard 0, and the letter is removed. Whoever commits waits for that. Where
it dies in between, the next commit to that shard, the next process that opens the store, or whoever leads
or wants to, delivers the letter; letters of a shard are delivered in their order, each once. One that
cannot be read is set aside and told, so that those behind it come.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

from hivefeedback.errors import StoreCorruptError
from hivefeedback_stores.codec import decode_packed, packed
from hivefeedback_stores.redis_client import Argument, Script, Server
from hivefeedback_stores.redis_parts import PUT, RECORD_KEYS, Clock, given, is_record

__all__ = ["Outbox", "letter_of"]

log = logging.getLogger(__name__)

_MARK = 8
_AT_ONCE = 100
"""Letters that one call delivers."""
_LETTERS = Script("return redis.call('LRANGE', KEYS[2], 0, ARGV[1])", needs_store=False)
_TAKE_IN = Script(
    PUT
    + """
local now, n_letters, arrived = clock(take()), tonumber(take()), clock('')
sweep(now, KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', arrived - 600)
for _ = 1, n_letters do
  local mark, n_records = take(), tonumber(take())
  local is_new = redis.call('ZADD', KEYS[5], 'NX', arrived, mark) == 1
  for _ = 1, n_records do
    local name, row = take(), take()
    if is_new then put(name, row, now, KEYS[2], KEYS[3], KEYS[4]) end
  end
end
"""
)
"""A letter that two deliver at the same time is known by its mark for ten minutes."""
_REMOVE = Script("for i = 1, #ARGV do redis.call('LREM', KEYS[2], 1, ARGV[i]) end")
_SET_ASIDE = Script(
    """
local n = 0
for i = 1, #ARGV do
  if redis.call('LREM', KEYS[2], 1, ARGV[i]) > 0 then n = redis.call('RPUSH', KEYS[3], ARGV[i]) end
end
return n
"""
)
_UNREAD = Script("return redis.call('LLEN', KEYS[2])", needs_store=False)


def letter_of(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Rows of records in one piece; empty where there are none."""
    return secrets.token_bytes(_MARK) + packed(records) if records else b""


class Outbox:
    """Letters of one shard.

    Args:
        shard: Where they lie.
        first: Shard 0.
        clock: Judges the expiry of records; None: Redis's own.
    """

    def __init__(self, shard: Server, first: Server, clock: Clock) -> None:
        self._shard, self._first, self._clock = shard, first, clock
        self._here = shard.keys.of("meta", "outbox")
        self._there = first.keys.of("meta", *RECORD_KEYS, "taken")
        self._aside = shard.keys.of("meta", "outbox", "unread")

    def deliver(self) -> None:
        """Put what waits into shard 0."""
        while letters := self._shard.read(_LETTERS, self._here, (_AT_ONCE - 1,)):
            read = [(letter, _records(letter)) for letter in letters]
            self._set_aside([letter for letter, records in read if records is None])
            self._take_in([(letter, records) for letter, records in read if records is not None])
            if len(letters) < _AT_ONCE:
                return

    def _take_in(self, letters: Sequence[tuple[bytes, Sequence[tuple[bytes, bytes]]]]) -> None:
        if not letters:
            return
        args: list[Argument] = [given(self._clock), len(letters)]
        for letter, records in letters:
            args += [letter[:_MARK], len(records)]
            for record in records:
                args += record
        self._first.write(_TAKE_IN, self._there, args)
        self._shard.write(_REMOVE, self._here, [letter for letter, _ in letters])

    def _set_aside(self, letters: Sequence[bytes]) -> None:
        if letters and self._shard.write(_SET_ASIDE, self._aside, letters):
            log.error(
                "%s: records of %d commits cannot be read and are lost; they were set aside in %s",
                self._shard.address.shown, len(letters), self._aside[-1],
            )  # fmt: skip

    def check(self) -> list[str]:
        """A sentence where letters were set aside."""
        n = int(self._shard.read(_UNREAD, [self._aside[0], self._aside[-1]]))
        return [f"records of {n} commits could not be read; they lie in {self._aside[-1]}"] if n else []


def _records(letter: bytes) -> list[tuple[bytes, bytes]] | None:
    """What a letter holds; None where it cannot be read."""
    try:
        records = decode_packed("records on their way", letter[_MARK:], list[tuple[bytes, bytes]])
    except StoreCorruptError:
        return None
    return records if all(is_record(*record) for record in records) else None

"""Changing the aggregates of a Redis store: folds, compactions and erasures.

They are worked out by the client and written in one call, which is refused where what they were worked
out from is not there any more.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from msgspec import Struct

from hivefeedback_stores.buckets import Horizon
from hivefeedback_stores.codec import packed
from hivefeedback_stores.redis_cells import NUMBER
from hivefeedback_stores.redis_client import Argument, Script, Server
from hivefeedback_stores.redis_keys import LOG_KEYS, Bucket, bucket_name
from hivefeedback_stores.redis_shard_log import DROP

__all__ = ["Change", "numbered", "rewrite"]

_REWRITE = Script(
    DROP
    + """
local want, c = cmsgpack.unpack(take()), cmsgpack.unpack(take())
local meta, deltas, buckets, newest, newestat = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if want.token > 0 and want.token < tonumber(redis.call('HGET', meta, 'token') or 0) then
  return redis.error_reply('HIVE_FENCED')
end
for name, value in pairs(want.meta) do
  if (redis.call('HGET', meta, name) or '0') ~= value then return -1 end
end
for bucket, score in pairs(want.scores) do
  if tonumber(redis.call('ZSCORE', buckets, bucket) or -1) ~= score then return -1 end
end
if c.horizon then
  for _, bucket in ipairs(redis.call('ZRANGE', buckets, 0, -1)) do
    local start, width = string.match(bucket, '^(-?%d+):(%d+)$')
    start, width = tonumber(start), tonumber(width)
    local is_narrow = (start < c.horizon[1] and width < 3600) or (start < c.horizon[2] and width < 86400)
    if is_narrow and not want.scores[bucket] then return -1 end
  end
end
for _, position in ipairs(c.gone) do
  if redis.call('HEXISTS', KEYS[6], string.format('%.0f', position)) == 0 then return -2 end
end
local fresh
local function next_number()
  if not fresh then
    fresh = redis.call('HINCRBY', meta, 'number', 1)
    redis.call('HSET', meta, 'moved', fresh)
  end
  return fresh
end
local moved = tonumber(redis.call('HGET', meta, 'moved') or 0)
local function numbered(data)
  local number = struct.unpack('>I8', data)
  if number > moved then return data, number end
  return struct.pack('>I8', next_number()) .. string.sub(data, 9), fresh
end
for i, each in ipairs(c.cells) do
  local bucket, key, newest_number = each[1], KEYS[8 + i], 0
  if each[2] then redis.call('UNLINK', key) end
  for _ = 1, each[3] do
    local field = take()
    local data, number = numbered(take())
    redis.call('HSET', key, field, data)
    newest_number = math.max(newest_number, number)
  end
  for _ = 1, each[4] do redis.call('HDEL', key, take()) end
  if redis.call('EXISTS', key) == 0 then redis.call('ZREM', buckets, bucket)
  else redis.call('ZADD', buckets, newest_number > 0 and newest_number or next_number(), bucket) end
end
for _, is_kept in ipairs(c.newest) do
  local name = take()
  if is_kept then
    local data, number = numbered(take())
    redis.call('HSET', newest, name, data); redis.call('ZADD', newestat, number, name)
  else
    redis.call('HDEL', newest, name); redis.call('ZREM', newestat, name)
  end
end
if c.folded > 0 then redis.call('LTRIM', deltas, c.folded, -1); redis.call('HSET', meta, 'folded', c.last) end
if c.horizon then
  redis.call('HSET', meta, 'hours_before', c.horizon[1], 'days_before', c.horizon[2], 'gone_before', c.horizon[3])
  redis.call('HINCRBY', meta, 'layout', 1)
end
if c.epoch ~= '' then redis.call('HSET', meta, 'epoch', c.epoch) end
redis.call('HINCRBY', meta, 'generation', 1)
return drop(#c.gone, KEYS[6], KEYS[7], KEYS[8])
"""
)
"""-1: something is not as it was; -2: an event to be dropped is not there; else how many were dropped."""


class Change(Struct, kw_only=True, omit_defaults=False):
    """A change of the aggregates.

    Args:
        cells: For each bucket whether it is emptied first, then (field, cell) to put and fields to drop;
            cells are ``numbered``.
        newest: (name, runs), numbered too, or None to drop them.
        folded: How many of the waiting deltas are in these cells.
        last_folded: Number of the last of them.
        horizon, epoch: New ones, where they change.
        gone: Events to drop, with what they are found by.
        needs: What has to be in ``meta``, still.
        scores: Numbers that buckets have to have, still; -1: not there.
        token: Of the lease, where the leader makes it; refused where another one has raised it. 0: anybody.
    """

    cells: dict[Bucket, tuple[bool, list[tuple[bytes, bytes]], list[bytes]]] = {}
    newest: list[tuple[bytes, bytes | None]] = []
    folded: int = 0
    last_folded: int = 0
    horizon: Horizon | None = None
    epoch: str = ""
    gone: list[tuple[int, bytes]] = []
    needs: dict[str, str] = {}
    scores: dict[Bucket, int] = {}
    token: int = 0


def numbered(value: object, number: int = 0) -> bytes:
    """A cell or a list of newest runs as it is stored.

    Args:
        value: What.
        number: Of the newest delta in it. Redis takes a new number where it is 0, or not larger than
            that of the last compaction: what it counts of must not look as if it had not changed since.
    """
    return number.to_bytes(NUMBER, "big") + packed(value)


def rewrite(server: Server, change: Change) -> int:
    """Make a change, all of it or nothing.

    Returns:
        How many events were dropped; -1 where something was not as it has to be, -2 where an event
        to be dropped was not there.
    """
    want: dict[str, Any] = {
        "token": change.token,
        "meta": change.needs,
        "scores": {bucket_name(bucket): score for bucket, score in change.scores.items()},
    }
    cells = list(change.cells.items())
    what: dict[str, Any] = {
        "cells": [[bucket_name(b), is_emptied, len(put), len(drop)] for b, (is_emptied, put, drop) in cells],
        "newest": [data is not None for _, data in change.newest],
        "folded": change.folded,
        "last": change.last_folded,
        "horizon": change.horizon if change.horizon is not None else False,
        "epoch": change.epoch,
        "gone": [position for position, _ in change.gone],
    }
    args: list[Argument] = [packed(want), packed(what)]
    for _, (_, put, drop) in cells:
        args += [*chain.from_iterable(put), *drop]
    for name, data in change.newest:
        args += [name] if data is None else [name, data]
    args += chain.from_iterable(change.gone)
    keys = server.keys.of("meta", "deltas", "buckets", "newest", "newestat", *LOG_KEYS)
    keys += server.keys.cells(change.cells)
    return int(server.write(_REWRITE, keys, args))

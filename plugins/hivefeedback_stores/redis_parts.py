"""Configuration, lease and records in Redis: one Lua call for each thing that is done.

A put that was not answered is made again by the client, so each carries a mark of eight random bytes by
which Redis knows that it has done this one already.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator, Sequence

from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Lease, Record
from hivefeedback.model import Configuration
from hivefeedback_stores.codec import decode_config, encode
from hivefeedback_stores.lease import Heartbeat, Observer
from hivefeedback_stores.redis_client import Script, Server
from hivefeedback_stores.redis_errors import readable
from hivefeedback_stores.redis_fence import Fence
from hivefeedback_stores.rules import check_version

__all__ = ["PUT", "RECORD_KEYS", "Clock", "RedisConfig", "RedisState", "given", "is_record", "record_row"]

Clock = Callable[[], float] | None
"""Seconds since 1970 UTC; None: Redis's own clock."""
_MARK = 8
_PAGE = 1000
"""Records that one call reads."""

_LOAD = Script("return redis.call('HGET', KEYS[2], 'config')", needs_store=False)
_SAVE = Script(
    """
local version = redis.call('HGET', KEYS[2], 'version')
if not version or tonumber(version) <= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[2], 'version', ARGV[1], 'config', ARGV[2])
end
"""
)
_PRESENT = Script("return redis.call('HMGET', KEYS[2], 'holder', 'token', 'beat', 'length')", needs_store=False)
_BEAT = Script(
    """
local lease = redis.call('HMGET', KEYS[2], 'holder', 'token', 'beat')
local token, beat, expected = tonumber(lease[2] or 0), tonumber(lease[3] or 0), tonumber(ARGV[2])
if beat == expected + 1 and lease[1] == ARGV[1] then return token end
if beat ~= expected then return false end
if lease[1] ~= ARGV[1] then
  -- larger than any token that a failover made us forget, as long as Redis's clock goes forward
  token = math.max(token + 1, math.floor(clock('') * 1000))
end
redis.call('HSET', KEYS[2], 'holder', ARGV[1], 'token', string.format('%.0f', token), 'beat', beat + 1,
  'length', ARGV[3])
return token
"""
)
_RELEASE = Script(
    """
if redis.call('HGET', KEYS[2], 'holder') == ARGV[1] then
  redis.call('HSET', KEYS[2], 'holder', '')
  redis.call('HINCRBY', KEYS[2], 'beat', 1)
end
"""
)


class RedisConfig:
    """``Config`` in Redis.

    The lease is a heartbeat, judged by each observer's own monotonic clock: Redis's clock may jump as any
    other does, and is another one after a failover.

    Args:
        server: Shard 0.
        fence: Raised before somebody is told that it leads.
        monotonic: Seconds that never go back.
        before: Called whenever somebody wants to lead: what a process that died left undone is done.
    """

    def __init__(
        self,
        server: Server,
        fence: Fence,
        monotonic: Callable[[], float],
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._server, self._fence, self._before, self._observer = server, fence, before, Observer(monotonic)
        self._lease = server.keys.of("meta", "lease")

    def load(self) -> Configuration | None:
        data = self._server.read(_LOAD, self._server.keys.of("meta", "checkpoint"))
        return decode_config(data) if data is not None else None

    def save(self, config: Configuration) -> None:
        data = encode("the configuration", config)
        self._server.write(_SAVE, self._server.keys.of("meta", "checkpoint"), (config.version, data))

    def acquire(self, holder: str, *, length_s: float) -> Lease | None:
        with readable("the name of the lease's holder"):
            name = holder.encode()
        self._before()
        while True:
            present = self._present()
            if self._observer.judge(present, holder, length_s) is None:
                self._fence.lower()
                return None
            token = self._server.write(_BEAT, self._lease, (name, present.beat, length_s))
            if token is not None:  # else somebody else was faster
                self._fence.raise_to(token)
                return Lease(holder, token, length_s)

    def _present(self) -> Heartbeat:
        holder, token, beat, length_s = self._server.read(_PRESENT, self._lease)
        return Heartbeat((holder or b"").decode(), int(token or 0), int(beat or 0), float(length_s or 0.0))

    def release(self, holder: str) -> None:
        self._fence.lower()
        self._server.write(_RELEASE, self._lease, (holder.encode(),))


# --- records ------------------------------------------------------------------------------------

RECORD_KEYS = ("records", "names", "expiry")
_ROW = struct.Struct(">Qd8s")
"""Version, when it expires (infinity: never) and the mark of who wrote it, in front of the value."""

PUT = """
local function sweep(now, records, names, expiry)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('HDEL', records, name); redis.call('ZREM', names, name); redis.call('ZREM', expiry, name)
  end
end
local function version_of(records, name, now)
  local row = redis.call('HGET', records, name)
  if row then
    local version, until_s, mark = struct.unpack('>I8dc8', row)
    if until_s > now then return version, mark end
  end
  return 0, ''
end
local function put(name, row, now, records, names, expiry, expected)
  local version, known = version_of(records, name, now)
  local _, until_s, mark = struct.unpack('>I8dc8', row)
  if expected and version ~= expected then
    if version == expected + 1 and known == mark then return version, true end
    return version, false
  end
  redis.call('HSET', records, name, struct.pack('>I8', version + 1) .. string.sub(row, 9))
  redis.call('ZADD', names, 0, name)
  if until_s < math.huge then redis.call('ZADD', expiry, until_s, name) else redis.call('ZREM', expiry, name) end
  return version + 1, true
end
"""
"""Lua: ``put`` writes a record under its next version; answers the version and whether it was written."""

_PUT = Script(
    PUT
    + """
local now, expected = clock(ARGV[3]), tonumber(ARGV[4])
sweep(now, KEYS[2], KEYS[3], KEYS[4])
local version, is_written = put(ARGV[1], ARGV[2], now, KEYS[2], KEYS[3], KEYS[4], expected)
return {version, is_written and 1 or 0}
"""
)
_GET = Script("return {redis.call('HGET', KEYS[2], ARGV[1]), string.format('%.6f', clock(ARGV[2]))}", needs_store=False)
_DELETE = Script(
    PUT
    + """
local version = version_of(KEYS[2], ARGV[1], clock(ARGV[2]))
redis.call('HDEL', KEYS[2], ARGV[1]); redis.call('ZREM', KEYS[3], ARGV[1]); redis.call('ZREM', KEYS[4], ARGV[1])
return version
"""
)
_LIST = Script(
    """
local names = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[4])
if #names == 0 then return {names, {}, '0'} end
return {names, redis.call('HMGET', KEYS[2], unpack(names)), string.format('%.6f', clock(ARGV[3]))}
""",
    needs_store=False,
)


def given(clock: Clock) -> str:
    """The time as an argument of a call; empty: Redis's own."""
    return "" if clock is None else repr(clock())


def _name(namespace: str, key: str) -> bytes:
    """A record's name; records of a namespace lie together, in order of their keys."""
    with readable(f"the name of record {namespace!r}/{key!r}"):
        start = namespace.encode()
        return b"%d:%s%s" % (len(start), start, key.encode())


def record_row(record: Record) -> tuple[bytes, bytes]:
    """A record's name, and its content as ``put`` takes it."""
    until_s = float("inf") if record.expires_at_s is None else record.expires_at_s
    row = _ROW.pack(0, until_s, secrets.token_bytes(_MARK)) + record.value
    return _name(record.namespace, record.key), row


def is_record(name: bytes, row: bytes) -> bool:
    """True where both could come from ``record_row``."""
    n, _, rest = name.partition(b":")
    return len(row) >= _ROW.size and n.isdigit() and int(n) <= len(rest)


def _record(namespace: str, key: str, row: bytes, now_s: float) -> Record | None:
    if len(row) < _ROW.size:
        raise StoreCorruptError(f"record {namespace!r}/{key!r} cannot be read: it has {len(row)} bytes")
    version, until_s, _ = _ROW.unpack_from(row)
    if until_s <= now_s:
        return None
    return Record(namespace, key, row[_ROW.size :], version, None if until_s == float("inf") else until_s)


class RedisState:
    """``State`` in Redis; expiry is judged by Redis's clock."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server, self._clock = server, clock
        self._keys = server.keys.of("meta", *RECORD_KEYS)

    def get(self, namespace: str, key: str) -> Record | None:
        row, now_s = self._server.read(_GET, self._keys, (_name(namespace, key), given(self._clock)))
        return _record(namespace, key, row, float(now_s)) if row is not None else None

    def put(self, record: Record, *, expected: int | None = None) -> Record:
        name, row = record_row(record)
        args = (name, row, given(self._clock), "" if expected is None else expected)
        version, is_written = self._server.write(_PUT, self._keys, args)
        written = Record(record.namespace, record.key, record.value, version, record.expires_at_s)
        if not is_written:
            check_version(record, written, expected)
        return written

    def delete(self, namespace: str, key: str) -> bool:
        return bool(self._server.write(_DELETE, self._keys, (_name(namespace, key), given(self._clock))))

    def list(self, namespace: str, *, prefix: str = "") -> Sequence[Record]:
        return [*self._records(namespace, prefix, _PAGE)]

    def _records(self, namespace: str, prefix: str, n_at_once: int) -> Iterator[Record]:
        head, name = _name(namespace, ""), _name(namespace, prefix)
        low, high = b"[" + name, b"(" + name + b"\xff"  # no key holds this byte: they are UTF-8
        while True:
            names, rows, now_s = self._page(low, high, n_at_once)
            for each, row in zip(names, rows, strict=True):
                record = _record(namespace, each[len(head) :].decode(), row, now_s) if row else None
                if record is not None:
                    yield record
            if len(names) < n_at_once:
                return
            low = b"(" + names[-1]

    def _page(self, low: bytes, high: bytes, n: int) -> tuple[Sequence[bytes], Sequence[bytes | None], float]:
        """Names in a range with their rows, and what time it is."""
        names, rows, now_s = self._server.read(_LIST, self._keys, (low, high, given(self._clock), n))
        return names, rows, float(now_s)

    def namespaces(self) -> Sequence[str]:
        found: list[str] = []
        low = b"-"
        while True:  # names of a namespace lie together: look at the first that lives, and go on behind them
            names, _, _ = self._page(low, b"+", 1)
            if not names:
                return sorted(found)
            n, _, rest = names[0].partition(b":")
            namespace = rest[: int(n)].decode()
            if next(self._records(namespace, "", 100), None) is not None:
                found.append(namespace)
            low = b"(" + _name(namespace, "") + b"\xff"

"""The way to a Redis server: connections, Lua calls, what happens around a fork and after a restart.

Everything that a store does is one Lua call, or a few of which the last one checks that nothing has
changed since the first. A call that was not answered is made again once: each of ours may be made
twice, since it recognises itself.

redis-py is imported when a store is opened, not before.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hivefeedback.errors import MissingExtraError, StoreUnreachableError
from hivefeedback_stores.redis_errors import EmptiedError, translated
from hivefeedback_stores.redis_keys import KINDS, Keys
from hivefeedback_stores.redis_url import Address
from hivefeedback_stores.rules import closed, read_only_error

__all__ = ["SCHEMA", "SHARDED", "Argument", "Link", "Script", "Server"]

SCHEMA, SHARDED = 1, 2
"""Of a store with one shard; and of one with several, which would be read in part by who knows only 1."""
CONNECT_S = 2.0
"""How long a connection may take: a server in the same building needs a millisecond."""
_CHECK_S = 30
"""A connection for listening that was silent for so long is tried with a PING."""
Argument = str | bytes | int | float

log = logging.getLogger(__name__)

_KINDS = ", ".join(f"{part} = '{kind}'" for part, kind in KINDS.items())
_CHECKED = f"""
local kinds = {{{_KINDS}}}
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= kinds[string.match(key, '}}:(%a+)')] then
    return redis.error_reply('HIVE_FOREIGN ' .. key)
  end
end
local schema = redis.call('HGET', KEYS[1], 'schema')
if schema and schema ~= '{SCHEMA}' and schema ~= '{SHARDED}' then return redis.error_reply('HIVE_NEWER ' .. schema) end
"""
"""What every call begins with: the keys are ours, and of a schema that we know."""
_THERE = "if not schema then return redis.error_reply('HIVE_EMPTY') end\n"
_HELP = """
local at = 0
local function take() at = at + 1; return ARGV[at] end
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua call; its first key is always ``meta``.

    Args:
        body: What it does. ``clock(ARGV[n])`` answers the time: the one given, or Redis's own. Many
            byte strings come as arguments of their own, which ``take()`` hands out one after the
            other, since Redis's msgpack knows none.
        needs_store: Refused where the store's keys are gone.
    """

    body: str
    needs_store: bool = True
    source: str = field(init=False)
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        source = _CHECKED + (_THERE if self.needs_store else "") + _HELP + self.body
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "sha", hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class _Client(Protocol):
    """What is used of redis-py, whose own types do not tell what a script answers."""

    def execute_command(self, *args: Argument) -> Any: ...
    def close(self) -> None: ...


class Link:
    """Connections to a server, or to the nodes of a Cluster; the shards of a store share them.

    Args:
        address: Where.
        read_only: Refuse writes.
        timeout_s: How long an answer may take.

    Raises:
        MissingExtraError: redis-py is not installed.
    """

    def __init__(self, address: Address, *, read_only: bool, timeout_s: float) -> None:
        self.address, self.read_only = address, read_only
        self._timeout_s = timeout_s
        self._is_closed = False
        _need_redis()
        self._renew()

    def _renew(self) -> None:
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._client: _Client | None = None

    def client(self) -> _Client:
        """The client, connected where it was not."""
        if self._is_closed:
            raise closed(self.address.shown)
        if self._pid != os.getpid():  # connections and locks of the parent are let be
            self._renew()
        with self._lock:
            if self._client is None:
                self._client = _connect(self.address, self._timeout_s)
            return self._client

    def listen(self) -> Any:
        """A connection for published words alone: redis-py's ``PubSub``, not connected yet. In a Cluster
        it goes to the node that the URL names, which hears what is published at any."""
        from redis import Redis

        client: Any = Redis.from_url(
            self.address.server,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=min(CONNECT_S, self._timeout_s),
            socket_keepalive=True,
            health_check_interval=_CHECK_S,
        )
        return client.pubsub()

    def reconnect(self) -> None:
        """Drop the connections; the next call makes new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close the connections; further calls raise ClosedError."""
        self._is_closed = True
        if self._pid == os.getpid():
            self.reconnect()


class Server:
    """One shard of a store: its keys, and the calls on them.

    Args:
        link: The way to it.
        shard: Its number, from 0.
        n_shards: How many there are; the names of all but shard 0 depend on it.
    """

    def __init__(self, link: Link, shard: int = 0, n_shards: int = 1) -> None:
        self.link, self.shard, self.address = link, shard, link.address
        self.keys = Keys(link.address.name, shard, n_shards)
        self.make_anew: Callable[[], object] = lambda: None
        """Called when a write finds that the shard's keys are gone."""

    @property
    def read_only(self) -> bool:
        """True where writes are refused."""
        return self.link.read_only

    def read(self, script: Script, parts: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        """Call a script on keys; answers what it returns."""
        with translated(self.address.shown):
            client = self.link.client()
            given = (len(parts), *parts, *args)
            return _called(client, script, given)

    def write(self, script: Script, parts: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        """Call a script that changes something."""
        if self.read_only:
            raise read_only_error(self.address.shown)
        try:
            return self.read(script, parts, args)
        except EmptiedError:
            log.error("%s lost %s begin anew", self.address.shown,
                      f"shard {self.shard}: its events and aggregates" if self.shard
                      else "the store: events, aggregates and journal")  # fmt: skip
            self.make_anew()
            return self.read(script, parts, args)
        except StoreUnreachableError as error:
            if type(error.__cause__).__name__ == "ReadOnlyError":
                self.link.reconnect()  # the name may stand for another server after a failover
            raise


def _called(client: _Client, script: Script, given: tuple[Argument, ...]) -> Any:
    from redis.exceptions import NoScriptError

    try:
        return client.execute_command("EVALSHA", script.sha, *given)
    except NoScriptError:  # a server that has just been started, or another node
        return client.execute_command("EVAL", script.source, *given)


def _need_redis() -> None:
    try:
        import redis  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise MissingExtraError("the Redis store", "redis") from error


def _connect(address: Address, timeout_s: float) -> _Client:
    from redis import ConnectionError, Redis, RedisCluster, TimeoutError
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    kind: Any = RedisCluster if address.is_cluster else Redis
    again = {} if address.is_cluster else {"retry_on_error": [ConnectionError, TimeoutError]}
    client: _Client = kind.from_url(
        address.server,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(CONNECT_S, timeout_s),
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 1),
        **again,
    )
    return client

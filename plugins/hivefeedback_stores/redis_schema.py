"""Making a store in Redis, and refusing one that cannot be used."""

from __future__ import annotations

import logging
import secrets
from functools import partial

from hivefeedback.errors import ConfigurationError, StoreCorruptError, StoreUnreachableError
from hivefeedback_stores.bodies import new_salt
from hivefeedback_stores.redis_client import SCHEMA, SHARDED, Link, Script, Server
from hivefeedback_stores.redis_keys import FIXED
from hivefeedback_stores.redis_url import MAX_SHARDS

__all__ = ["open_store"]

log = logging.getLogger(__name__)

_OPEN = Script(
    """
local function line(section, name)
  local said = redis.pcall('INFO', section)
  return type(said) == 'string' and string.match(said, name .. ':([%w_-]+)') or ''
end
return {schema, redis.call('HGET', KEYS[1], 'salt'), redis.call('HGET', KEYS[1], 'shards'),
  line('persistence', 'aof_enabled'), line('memory', 'maxmemory'), line('memory', 'maxmemory_policy')}
""",
    needs_store=False,
)
_TOLD = Script("return redis.call('HGET', KEYS[1], 'shards')", needs_store=False)
_CREATE = Script(
    """
if not schema then
  for i = 2, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then return redis.error_reply('HIVE_FOREIGN ' .. KEYS[i]) end
  end
  redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'salt', ARGV[2], 'epoch', ARGV[3], 'shards', ARGV[4])
end
return {redis.call('HGET', KEYS[1], 'salt'), redis.call('HGET', KEYS[1], 'shards') or '1'}
""",
    needs_store=False,
)


def open_store(link: Link) -> tuple[str, list[Server]]:
    """Make the store where it is missing, now and whenever the keys of a shard are gone.

    How many shards it has is kept in shard 0; and, for whoever opens it after that one was lost with its
    node, at the far end of the slots, where shard 1 would lie if there were two.

    Returns:
        The store's salt and its shards.

    Raises:
        ConfigurationError: The URL asks for another number of shards than it has.
        StoreUnreachableError: The server cannot be reached, or holds no store and may only be read.
        StoreVersionError: A newer hivefeedback wrote it.
        StoreCorruptError: Its keys hold something else.
    """
    first, signpost = Server(link), Server(link, 1, 2)
    salt, n_shards = _looked_at(first)
    if n_shards is None:
        told = signpost.read(_TOLD, signpost.keys.of("meta"))
        salt, n_shards = _create(first, _number(link, told) if told else link.address.n_shards or 1)
    _check_number(link, n_shards)
    first.make_anew = partial(_create, first, n_shards)
    shards = [first, *(Server(link, number, n_shards) for number in range(1, n_shards))]
    for shard in shards[1:]:
        shard.make_anew = partial(_create, shard, n_shards)
        if _looked_at(shard)[1] is None:
            _create(shard, n_shards)
    if n_shards > 1 and not link.read_only:
        _create(signpost, n_shards)
    return salt, shards


def _looked_at(server: Server) -> tuple[str, int | None]:
    """Salt and number of shards, as one of them says; None where it is not there."""
    schema, salt, n_shards, aof, most, policy = server.read(_OPEN, server.keys.of(*FIXED))
    if server.shard == 0:
        _warn(server, aof, most, policy)
    if schema is not None:
        return (salt or b"").decode(), _number(server.link, n_shards or b"1")
    if server.read_only:
        raise StoreUnreachableError(f"{server.address.shown} holds no store of that name; open it once for writing")
    return "", None


def _warn(server: Server, aof: bytes, most: bytes, policy: bytes) -> None:
    if aof == b"0":
        log.warning(
            "%s keeps no append-only file: what came after its last save is lost when it stops; "
            "set `appendonly yes`, and for a journal that must not be lost `appendfsync always`",
            server.address.shown,
        )
    if policy not in (b"", b"noeviction") and most not in (b"", b"0"):
        log.warning("%s may evict the store's keys (%s); set `maxmemory-policy noeviction`",
                    server.address.shown, policy.decode())  # fmt: skip


def _check_number(link: Link, n_shards: int) -> None:
    asked = link.address.n_shards
    if asked is not None and asked != n_shards:
        raise ConfigurationError(
            f"{link.address.shown} was made with shards={n_shards}, which stays; leave shards={asked} away, or make a "
            "store of another name (?name=...) with it and carry this one there with `hivefeedback export` and `import`"
        )


def _create(server: Server, n_shards: int) -> tuple[str, int]:
    schema = SCHEMA if n_shards == 1 else SHARDED
    args = (schema, new_salt(), secrets.token_hex(8), n_shards)
    salt, present = server.read(_CREATE, server.keys.of(*FIXED), args)
    return salt.decode(), _number(server.link, present)


def _number(link: Link, told: bytes) -> int:
    if told.isdigit() and 1 <= int(told) <= MAX_SHARDS:
        return int(told)
    raise StoreCorruptError(f"{link.address.shown}: its number of shards cannot be read ({told!r:.50})")

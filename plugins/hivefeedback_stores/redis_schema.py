"""Making a store in Redis, and refusing one that cannot be used."""

from __future__ import annotations

import logging
import secrets

from hivefeedback.errors import StoreUnreachableError
from hivefeedback_stores.bodies import new_salt
from hivefeedback_stores.redis_client import SCHEMA, Script, Server
from hivefeedback_stores.redis_keys import FIXED

__all__ = ["open_store"]

log = logging.getLogger(__name__)

_OPEN = Script(
    """
local function line(section, name)
  local said = redis.pcall('INFO', section)
  return type(said) == 'string' and string.match(said, name .. ':([%w_-]+)') or ''
end
return {schema, redis.call('HGET', KEYS[1], 'salt'), line('persistence', 'aof_enabled'),
  line('memory', 'maxmemory'), line('memory', 'maxmemory_policy')}
""",
    needs_store=False,
)
_CREATE = Script(
    f"""
if not schema then
  for i = 2, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then return redis.error_reply('HIVE_FOREIGN ' .. KEYS[i]) end
  end
  redis.call('HSET', KEYS[1], 'schema', {SCHEMA}, 'salt', ARGV[1], 'epoch', ARGV[2])
end
return redis.call('HGET', KEYS[1], 'salt')
""",
    needs_store=False,
)


def open_store(server: Server) -> str:
    """Make the store where it is missing, now and whenever its keys are gone; answers its salt.

    Raises:
        StoreUnreachableError: The server cannot be reached, or holds no store and may only be read.
        StoreVersionError: A newer hivefeedback wrote it.
        StoreCorruptError: Its keys hold something else.
    """
    keys = server.keys.of(*FIXED)
    schema, salt, aof, most, policy = server.read(_OPEN, keys)
    if aof == b"0":
        log.warning(
            "%s keeps no append-only file: what came after its last save is lost when it stops; "
            "set `appendonly yes`, and for a journal that must not be lost `appendfsync always`",
            server.address.shown,
        )
    if policy not in (b"", b"noeviction") and most not in (b"", b"0"):
        log.warning("%s may evict the store's keys (%s); set `maxmemory-policy noeviction`",
                    server.address.shown, policy.decode())  # fmt: skip
    server.make_anew = lambda: _create(server)
    if schema is not None:
        return str((salt or b"").decode())
    if server.read_only:
        raise StoreUnreachableError(f"{server.address.shown} holds no store of that name; open it once for writing")
    return _create(server)


def _create(server: Server) -> str:
    salt = server.read(_CREATE, server.keys.of(*FIXED), (new_salt(), secrets.token_hex(8)))
    return str(salt.decode())

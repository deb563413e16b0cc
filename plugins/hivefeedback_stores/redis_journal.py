"""The journal in Redis, and the texts beside it.

Each entry carries a mark of eight random bytes. By it Redis knows an append that was not answered and is
made again; and by it a process notices that the journal was put back: Redis may forget the last entries
when a replica takes over or the machine fails, and somebody else may have written others in their place.
Whoever had seen the lost ones is told a head of 0 until he has read everything anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

from hivefeedback.errors import ConflictError, StoreCorruptError
from hivefeedback.model import JournalEntry
from hivefeedback_stores.bodies import check_adopted, hash_of
from hivefeedback_stores.codec import decode_entry, encode
from hivefeedback_stores.lease import Heartbeat
from hivefeedback_stores.redis_client import Script, Server
from hivefeedback_stores.redis_errors import readable
from hivefeedback_stores.redis_watch import PUBLISH, Watcher
from hivefeedback_stores.rules import appended

__all__ = ["RedisJournal"]

_MARK = 8
_PAGE = 1000
"""Entries that one call reads."""

_IS_KNOWN = """
local function is_known(list, n, mark)
  if n == 0 or mark == '' then return true end
  local entry = redis.call('LINDEX', list, n - 1)
  return not entry or string.sub(entry, 1, #mark) == mark
end
"""

_HEAD = Script(
    _IS_KNOWN
    + """
return {redis.call('LLEN', KEYS[2]), is_known(KEYS[2], tonumber(ARGV[1]), ARGV[2]) and 1 or 0}
""",
    needs_store=False,
)
_ENTRIES = Script(
    _IS_KNOWN
    + """
return {redis.call('LRANGE', KEYS[2], ARGV[3], ARGV[4]), is_known(KEYS[2], tonumber(ARGV[1]), ARGV[2]) and 1 or 0}
""",
    needs_store=False,
)
_APPEND = Script(
    _IS_KNOWN
    + PUBLISH
    + """
local head, expected = redis.call('LLEN', KEYS[2]), tonumber(ARGV[3])
if head == expected + 1 then
  local last = redis.call('LINDEX', KEYS[2], -1)
  if last and string.sub(last, 1, #ARGV[1]) == ARGV[1] then return {1} end
end
local lease = redis.call('HMGET', KEYS[3], 'token', 'holder')
local token, given = tonumber(lease[1] or 0), tonumber(ARGV[4])
if head ~= expected or (given > 0 and given < token) then return {0, head, token, lease[2] or ''} end
if not is_known(KEYS[2], tonumber(ARGV[5]), ARGV[6]) then return {0, expected, 0, ''} end
publish(redis.call('RPUSH', KEYS[2], ARGV[1] .. ARGV[2]))
return {1}
"""
)
_PUT_BODY = Script(
    """
local salt = redis.call('HGET', KEYS[1], 'salt')
if salt == ARGV[1] then redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3]) end
return salt
"""
)
_BODY = Script("return redis.call('HGET', KEYS[2], ARGV[1])", needs_store=False)
_SALT = Script("return redis.call('HGET', KEYS[1], 'salt') or ''", needs_store=False)
_NAMES_OF_BODIES = Script("return redis.call('HKEYS', KEYS[2])", needs_store=False)
_ADOPT = Script(
    """
if redis.call('HLEN', KEYS[2]) > 0 then return redis.call('HGET', KEYS[1], 'salt') end
redis.call('HSET', KEYS[1], 'salt', ARGV[1])
return ARGV[1]
"""
)
_ERASE_BODY = Script("return redis.call('HDEL', KEYS[2], ARGV[1])")


class _Known:
    """The newest entry that a process has seen.

    Args:
        newest: Its number and mark.
        is_put_back: Another entry lies in its place. Stays so until somebody was told and has then
            read everything: whoever reads without having been told still holds what is not true.
    """

    def __init__(self) -> None:
        self.newest: tuple[int, bytes] = (0, b"")
        self.is_put_back = self._is_told = False

    def check(self, is_known: int) -> bool:
        """Take in whether Redis still has that entry; False where it has not."""
        self.is_put_back = self.is_put_back or not is_known
        return not self.is_put_back

    def tell(self) -> None:
        """Somebody learns of it, and will read everything."""
        self._is_told = True

    def see(self, seq: int, mark: bytes, *, is_from_start: bool) -> None:
        """Entries were read or written up to this one; ``is_from_start``: all of them."""
        if is_from_start and self._is_told:
            self.is_put_back = self._is_told = False
        if not self.is_put_back and (is_from_start or seq > 0):
            self.newest = (seq, mark)


class RedisJournal:
    """``CarriedJournal`` and ``WatchedJournal`` in Redis. As durable as the server: see the room's README.

    Args:
        server: Where.
        salt: What the hashes of texts are salted with, as far as is known.
    """

    def __init__(self, server: Server, salt: str) -> None:
        self._server, self._salt, self._known = server, salt, _Known()
        self._keys, self._bodies = server.keys.of("meta", "journal"), server.keys.of("meta", "bodies")
        self._watcher = Watcher(server.address.shown, server.keys.prefix + "news", server.link.listen)

    def head(self) -> int:
        head, is_known = self._server.read(_HEAD, self._keys, self._known.newest)
        if self._known.check(is_known):
            return int(head)
        self._known.tell()
        return 0

    def read(self, *, after: int = 0) -> Sequence[JournalEntry]:
        start = max(0, after)
        found: list[JournalEntry] = []
        mark, page = b"", [b""] * _PAGE
        while len(page) == _PAGE:
            first = start + len(found)
            page, is_known = self._server.read(_ENTRIES, self._keys, (*self._known.newest, first, first + _PAGE - 1))
            if not self._known.check(is_known) and start > 0:
                return ()  # what lies behind belongs to other entries than the caller knows
            found += [decode_entry(data[_MARK:]) for data in page]
            mark = page[-1][:_MARK] if page else mark
        if found or start == 0:
            self._known.see(start + len(found), mark, is_from_start=start == 0)
        return tuple(found)

    def append(self, entry: JournalEntry, *, expected_head: int) -> JournalEntry:
        written = appended(entry, expected_head, expected_head, Heartbeat())
        data, mark = encode("a journal entry", written), secrets.token_bytes(_MARK)
        if self._known.is_put_back:
            raise _put_back()
        args = (mark, data, expected_head, entry.token, *self._known.newest)
        said = self._server.write(_APPEND, [*self._keys, *self._server.keys.of("lease")], args)
        if not said[0]:
            appended(entry, expected_head, said[1], Heartbeat(said[3].decode(), said[2]))
            self._known.check(0)
            raise _put_back()
        self._known.see(written.seq, mark, is_from_start=False)
        return written

    def watch(self, on_change: Callable[[], None]) -> Callable[[], None]:
        return self._watcher.watch(on_change)

    def close(self) -> None:
        """End watching."""
        self._watcher.close()

    def put_body(self, text: str) -> str:
        while True:
            name = hash_of(text, self._salt)
            salt = self._server.write(_PUT_BODY, self._bodies, (self._salt, name, text.encode())).decode()
            if salt == self._salt:
                return name
            self._salt = salt  # another journal's texts were taken over, or Redis had lost the store

    def body(self, content_hash: str) -> str | None:
        with readable("the hash of a text"):
            name = content_hash.encode()
        data = self._server.read(_BODY, self._bodies, (name,))
        return _text(content_hash, data) if data is not None else None

    def erase_body(self, content_hash: str) -> bool:
        with readable("the hash of a text"):
            name = content_hash.encode()
        return bool(self._server.write(_ERASE_BODY, self._bodies, (name,)))

    def salt(self) -> str:
        return str(self._server.read(_SALT, self._bodies).decode())

    def bodies(self) -> Iterable[tuple[str, str]]:
        for data in sorted(self._server.read(_NAMES_OF_BODIES, self._bodies)):
            name = data.decode()
            text = self.body(name)
            if text is not None:
                yield name, text

    def adopt(self, salt: str, bodies: Iterable[tuple[str, str]]) -> None:
        check_adopted(salt, self._server.write(_ADOPT, self._bodies, (salt,)).decode())
        for name, text in bodies:
            check_adopted(salt, self._server.write(_PUT_BODY, self._bodies, (salt, name, text.encode())).decode())
        self._salt = salt


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StoreCorruptError(f"the text {name} cannot be read: {error}") from error


def _put_back() -> ConflictError:
    return ConflictError("Redis has lost the end of the journal, and other entries follow; read it again and retry")

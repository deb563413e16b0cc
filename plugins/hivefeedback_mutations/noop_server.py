"""The built-in adapter server that loads nothing: it records what it was asked for, and says so.

It stands in where there is no GPU server to talk to, so that a LORA_APPLY mutation goes its whole
way: what the application is told by ``Decision.adapter`` is real, what is loaded is the
application's own matter. The books lie in the store, so that every process sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import LoadedAdapter, Record, State
from hivefeedback.model import Adapter, decoded
from hivefeedback_mutations.loaded import make_room

__all__ = ["Act", "NoopServer"]

NAMESPACE: Final = "adapter_server"
_ACTS: Final = 200
"""Acts that are remembered; enough to look back, and one small record."""
_TOUCH_S: Final = 60.0
"""Use is noted by the minute: it only orders what is to be unloaded."""
_TRIES: Final = 100


class Act(Struct, frozen=True):
    """One thing that the server was asked for: ``apply``, ``verify``, ``undo`` or ``unload``."""

    at_s: float
    act: str
    key: str
    adapter: str = ""


class _Book(Struct, frozen=True):
    loaded: tuple[LoadedAdapter, ...] = ()
    acts: tuple[Act, ...] = ()

    def told(self, *acts: Act) -> tuple[Act, ...]:
        return (*self.acts, *acts)[-_ACTS:]


class NoopServer:
    """Keeps the books of a server that is not there.

    Args:
        vram_gb: Memory for adapters that it pretends to have, in GB; None: no bound.
    """

    name = "noop"
    is_noop = True

    def __init__(self, *, vram_gb: float | None = None) -> None:
        self._vram_gb = vram_gb
        self._state: State | None = None
        self._clock: Callable[[], float] = lambda: 0.0
        self._unkept = _Book()

    def open(self, state: State, clock: Callable[[], float]) -> None:
        """Keep the books in the store from now on."""
        self._state, self._clock = state, clock

    @property
    def acts(self) -> Sequence[Act]:
        """What it was asked for, the newest last; at most 200."""
        return self._read()[0].acts

    def apply(self, adapter: Adapter, *, key: str, in_use: Collection[str]) -> str:
        """Note the adapter as loaded, and what would have to go for it."""
        gone: list[str] = []

        def change(book: _Book) -> _Book:
            now_s = self._clock()
            known = next((one for one in book.loaded if one.adapter == adapter.name), None)
            if known is not None and key in known.keys:
                gone[:] = []
                return book
            others = [one for one in book.loaded if one is not known]
            kept, gone[:] = make_room(others, adapter, vram_gb=self._vram_gb, in_use=in_use)
            keys = (*(known.keys if known else ()), key)
            new = LoadedAdapter(adapter.name, keys, adapter.vram_gb, now_s)
            acts = [*(Act(now_s, "unload", key, name) for name in gone), Act(now_s, "apply", key, adapter.name)]
            return _Book((*kept, new), book.told(*acts))

        self._write(change)
        unloaded = f", {', '.join(map(repr, gone))} would be unloaded for it" if gone else ""
        return f"server noop: recorded, nothing was loaded{unloaded}"

    def verify(self, *, key: str) -> bool:
        """True where the books say so."""
        is_there = any(key in one.keys for one in self._read()[0].loaded)
        self._write(lambda book: _Book(book.loaded, book.told(Act(self._clock(), "verify", key))))
        return is_there

    def undo(self, *, key: str) -> str:
        """Take the key out of the books, and the adapter where nobody else asked for it."""

        def change(book: _Book) -> _Book:
            held = next((one for one in book.loaded if key in one.keys), None)
            if held is None:
                return book
            keys = tuple(k for k in held.keys if k != key)
            rest = tuple(one for one in book.loaded if one is not held)
            loaded = (*rest, LoadedAdapter(held.adapter, keys, held.vram_gb, held.used_s)) if keys else rest
            return _Book(loaded, book.told(Act(self._clock(), "undo", key, held.adapter)))

        self._write(change)
        return "server noop: recorded, nothing was unloaded"

    def list(self) -> Sequence[LoadedAdapter]:
        """What the books hold as loaded."""
        return self._read()[0].loaded

    def touch(self, in_use: Collection[str]) -> None:
        """Note what is in service."""

        def change(book: _Book) -> _Book:
            now_s = self._clock()
            if not any(one.adapter in in_use and now_s - one.used_s >= _TOUCH_S for one in book.loaded):
                return book
            loaded = tuple(
                LoadedAdapter(one.adapter, one.keys, one.vram_gb, now_s) if one.adapter in in_use else one
                for one in book.loaded
            )
            return _Book(loaded, book.acts)

        self._write(change)

    def _read(self) -> tuple[_Book, int]:
        """The books and their version."""
        if self._state is None:
            return self._unkept, 0
        record = self._state.get(NAMESPACE, self.name)
        if record is None:
            return _Book(), 0
        try:
            return decoded(record.value, _Book), record.version
        except msgspec.MsgspecError:  # written by hand or by another version: begin anew
            return _Book(), record.version

    def _write(self, change: Callable[[_Book], _Book]) -> None:
        """Change the books by compare-and-set, since several processes may keep them."""
        for _ in range(_TRIES):
            book, version = self._read()
            changed = change(book)
            if changed is book:
                return
            if self._state is None:
                self._unkept = changed
                return
            try:
                self._state.put(Record(NAMESPACE, self.name, msgspec.json.encode(changed)), expected=version)
            except ConflictError:
                continue
            return
        raise ConflictError(f"the books of adapter server {self.name!r} changed {_TRIES} times in a row; try again")

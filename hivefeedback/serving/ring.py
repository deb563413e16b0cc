"""The bounded ring from the application's threads to the recorder."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from hivefeedback.model.item import TEXTS, n_chars_of, without_texts

__all__ = ["Ring"]

_FREE = 256
"""A recorder that keeps up never has more items before it."""
_MOST_CHARS = 64 << 20
"""Texts of those beyond: items are small, but a prompt or a comment may be a book."""

T = TypeVar("T")


class Ring(Generic[T]):
    """Many writers that never wait, one reader.

    ``deque.append`` and ``popleft`` are atomic under the interpreter's lock, so no lock of ours is
    taken. A full ring drops the newest item: what is in it was promised to be learnt. Where very much
    text waits, further items come without theirs.

    >>> ring = Ring(2)
    >>> [ring.put(x) for x in "abc"], ring.take(9), ring.n_dropped, ring.dropped
    ([True, True, False], ['a', 'b'], 1, {'str': 1})
    """

    __slots__ = ("_most_chars", "_n_chars", "_size", "_wake", "dropped", "free", "is_idle", "items")

    def __init__(self, size: int, *, most_chars: int = _MOST_CHARS) -> None:
        self.items: deque[T] = deque()
        self._size, self._most_chars, self._n_chars = size, most_chars, 0
        self.free = min(size, _FREE)
        """So many items may be appended without asking; with more, texts are weighed."""
        self._wake = threading.Event()
        self.is_idle = False
        self.dropped: dict[str, int] = {}

    @property
    def n_dropped(self) -> int:
        """Items that a full ring lost."""
        return sum(n for name, n in self.dropped.items() if name != TEXTS)

    def __len__(self) -> int:
        return len(self.items)

    def put(self, item: T) -> bool:
        """Add an item; False (and counted) where the ring is full."""
        items = self.items
        if len(items) >= self.free:
            if len(items) >= self._size:
                self.drop(item)
                return False
            item = self._weighed(item)
        items.append(item)
        if self.is_idle:
            self.is_idle = False
            self._wake.set()
        return True

    def _weighed(self, item: T) -> T:
        """The item, without its texts where too many characters wait. The sum is kept without a lock, so
        it may miss some under many writers; it starts anew whenever the reader has caught up."""
        if not isinstance(item, tuple):
            return item
        n_chars = n_chars_of(item[-1])
        if not n_chars:
            return item
        if self._n_chars + n_chars <= self._most_chars:
            self._n_chars += n_chars
            return item
        self.dropped[TEXTS] = self.dropped.get(TEXTS, 0) + 1
        return (*item[:-1], without_texts(item[-1]))  # type: ignore[return-value]  # the same but for its texts

    def drop(self, item: object) -> None:
        """Count an item that was lost, by what it was; of a tuple its last part is the thing."""
        thing = item[-1] if isinstance(item, tuple) else item
        name = type(thing).__name__.lower()
        self.dropped[name] = self.dropped.get(name, 0) + 1

    def put_always(self, item: T) -> None:
        """Add an item past the bound; for the loop's own few markers."""
        self.items.append(item)
        self.wake()

    def take(self, limit: int) -> list[T]:
        """Up to ``limit`` items, oldest first. One reader only."""
        items = self.items
        pop = items.popleft
        taken = [pop() for _ in range(min(limit, len(items)))]
        if self._n_chars and len(items) < self.free:
            self._n_chars = 0
        return taken

    def wait(self, timeout_s: float) -> None:
        """Sleep until an item comes or the time is over. One reader only."""
        self._wake.clear()
        self.is_idle = True
        if not self.items:  # looked at again after raising the flag, so that no wake-up is lost
            self._wake.wait(timeout_s)
        self.is_idle = False

    def wake(self) -> None:
        """End a ``wait`` early."""
        self.is_idle = False
        self._wake.set()

"""Names to indices, bounded, with places that are used again."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Roster"]


class Roster:
    """Gives each name an index; a name that left frees its place.

    Args:
        limit: Most names at a time.

    >>> roster = Roster(2)
    >>> roster.add("a"), roster.add("b"), roster.add("c")
    (0, 1, -1)
    >>> roster.remove("a"), roster.add("c"), roster.names()
    (0, 0, ['c', 'b'])
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free: list[int] = []
        self.indices: dict[str, int] = {}

    def add(self, name: str) -> int:
        """The index of a name, a new one where needed; −1 where the limit is reached."""
        index = self.indices.get(name)
        if index is not None:
            return index
        if len(self.indices) >= self._limit:
            return -1
        index = self._free.pop() if self._free else len(self.indices)
        self.indices[name] = index
        return index

    def remove(self, name: str) -> int | None:
        """Free the place of a name; answers its index, or None where it was not there."""
        index = self.indices.pop(name, None)
        if index is not None:
            self._free.append(index)
        return index

    def names(self) -> list[str | None]:
        """Names by index; None marks a free place."""
        names: list[str | None] = [None] * (len(self.indices) + len(self._free))
        for name, index in self.indices.items():
            names[index] = name
        return names

    def restore(self, names: Sequence[str | None]) -> None:
        """Take back what ``names`` answered."""
        self.indices = {name: index for index, name in enumerate(names) if name is not None}
        self._free = [index for index, name in enumerate(names) if name is None]

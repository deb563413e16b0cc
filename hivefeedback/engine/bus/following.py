"""The log as a source of events: what is stored first, then what is stored from now on, without hole or repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Store
from hivefeedback.model import Event

__all__ = ["Following", "check_position", "pages"]

_PAGE = 500


class Following:
    """Reads the log on from a position, events of every process of the store.

    Positions grow and none is given twice, so that what was told is not told again and what another
    process writes is not missed.

    Args:
        store: The store that is in use now.
        after: The position behind which to begin.
    """

    def __init__(self, store: Callable[[], Store], after: int) -> None:
        self._store, self._position = store, after

    def put(self, events: Sequence[Event]) -> int:
        """Nothing is kept in memory: it is read when it is stored."""
        return 0

    def clear(self) -> int:
        """Nothing waits."""
        return 0

    def take(self) -> Iterator[tuple[int, Event]]:
        """What was stored behind the position."""
        for position, event in pages(self._store(), self._position):
            yield position, event
            self._position = position


def pages(store: Store, after: int) -> Iterator[tuple[int, Event]]:
    """The stored events behind a position, page by page."""
    while page := store.log.read(after=after, limit=_PAGE):
        yield from page
        after = page[-1][0]


def check_position(position: object) -> int:
    """A position in the log.

    Raises:
        InvalidInputError: It is none.
    """
    if isinstance(position, int) and not isinstance(position, bool) and position >= 0:
        return position
    raise InvalidInputError(f"position {position!r:.100} is none; expected 0, or what a subscription's position said")

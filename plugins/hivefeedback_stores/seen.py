"""Which commits of one producer were applied: a high-water mark and the gaps below it.

Repeats are harmless and reordered commits lose nothing. The gaps are ranges and bounded: beyond
``MAX_GAPS`` the oldest are given up, that is, taken as applied, since a number that old was
almost surely dropped by its producer and a double count is worse than a lost one.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["MAX_GAPS", "Seen"]

MAX_GAPS = 1024


class Seen(Struct, array_like=True):
    """Commit numbers of one (producer, epoch).

    Args:
        mark: The largest applied number.
        gaps: Ranges (first, last) below it that were not applied, in order.

    >>> seen = Seen()
    >>> [seen.add(n) for n in (1, 4, 4, 2, 3, 3)]
    [True, True, False, True, True, False]
    >>> seen
    Seen(mark=4, gaps=[])
    """

    mark: int = 0
    gaps: list[tuple[int, int]] = []

    def add(self, number: int) -> bool:
        """Take a number in; False where it was applied before."""
        if number > self.mark:
            if number > self.mark + 1:
                self.gaps.append((self.mark + 1, number - 1))
                del self.gaps[:-MAX_GAPS]
            self.mark = number
            return True
        for i, (first, last) in enumerate(self.gaps):
            if first <= number <= last:
                self.gaps[i : i + 1] = [(a, b) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]
                del self.gaps[:-MAX_GAPS]
                return True
        return False

    def is_given_up(self, number: int) -> bool:
        """Whether a number that was not taken in may be one of those that were given up.

        >>> Seen(mark=9, gaps=[(4, 5)]).is_given_up(2), Seen(mark=9, gaps=[(4, 5)]).is_given_up(7)
        (True, False)
        """
        return number <= self.mark and (not self.gaps or number < self.gaps[0][0])

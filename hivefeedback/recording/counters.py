"""What went wrong, by name: dropped, bad and duplicate items."""

from __future__ import annotations

import logging
from collections import Counter

__all__ = ["Counters"]

log = logging.getLogger(__name__)


class Counters(Counter[str]):
    """Counts by name; the first of each name is logged once, so that a flood stays quiet."""

    def note(self, name: str, detail: str = "", n: int = 1) -> None:
        """Count so many, and say so the first time.

        >>> counters = Counters(lost=3)
        >>> counters.note("lost", n=2)
        >>> counters["lost"]
        5
        """
        is_first = not self[name]
        self[name] += n
        if is_first:
            log.warning("%s%s (further ones are only counted)", name, f": {detail}" if detail else "")

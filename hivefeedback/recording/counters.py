"""What went wrong, by name: dropped, bad and duplicate items."""

from __future__ import annotations

import logging
from collections import Counter

__all__ = ["Counters"]

log = logging.getLogger(__name__)


class Counters(Counter[str]):
    """Counts by name; the first of each name is logged once, so that a flood stays quiet."""

    def note(self, name: str, detail: str = "") -> None:
        """Count one, and say so the first time."""
        self[name] += 1
        if self[name] == 1:
            log.warning("%s%s (further ones are only counted)", name, f": {detail}" if detail else "")

"""What a full ring lost, counted once, whoever looks first: the recorder, or somebody who reads the counters.

The recorder looks when it has time, which it has not while a plugin or the machine keeps it; just then things are lost.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from hivefeedback.model.item import TEXTS
from hivefeedback.recording.counters import Counters

__all__ = ["Drops"]


class Drops:
    """Carries over what a ring lost to the counters.

    Args:
        dropped: How many, by what they were; the ring goes on counting there.
        counters: Where they are counted as ``events_dropped`` and ``texts_dropped``.

    >>> dropped, counters = {"run": 2}, Counters(events_dropped=1)
    >>> drops = Drops(dropped, counters)
    >>> drops.count(), drops.count(), counters["events_dropped"]
    (None, None, 3)
    """

    def __init__(self, dropped: Mapping[str, int], counters: Counters) -> None:
        self._dropped, self._counters = dropped, counters
        self._counted: Mapping[str, int] = {}
        self._lock = threading.Lock()

    def count(self) -> None:
        """Count what was lost since the last call; from any thread."""
        if not self._dropped:
            return
        with self._lock:
            now = dict(self._dropped)  # other threads go on counting
            lost = {name: n - self._counted.get(name, 0) for name, n in now.items() if n > self._counted.get(name, 0)}
            self._counted = now
            n_texts = lost.pop(TEXTS, 0)
            if n_texts:
                self._counters.note("texts_dropped", "too much text waited; the rest of these items was kept", n_texts)
            if lost:
                self._counters.note("events_dropped", f"the ring is full: {lost}", sum(lost.values()))

"""Asks plugins how process and host are, every so often."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from hivefeedback.hooks.registry import Registry
from hivefeedback.model import SystemState

__all__ = ["QUEUE_DEPTH", "Sampling"]

QUEUE_DEPTH = "queue_depth"
"""Runs, decisions and feedback that wait to be learnt in this process."""


class Sampling:
    """The newest sample of this process.

    Args:
        registry: Knows who measures.
        n_waiting: How many items wait in the ring.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, registry: Registry, n_waiting: Callable[[], int], clock: Callable[[], float]) -> None:
        self._registry, self._n_waiting = registry, n_waiting
        self._sampled_s = clock()  # a process that ends before the first is due pays nothing
        self.latest: SystemState | None = None

    def sample_due(self, now_s: float) -> SystemState | None:
        """A new sample where it is time for one; None before, and where nobody measures."""
        every_s = self._registry.sample_every_s()
        is_due = every_s < inf and not 0 <= now_s - self._sampled_s < every_s
        return self.sample(now_s) if is_due else None

    def sample(self, now_s: float) -> SystemState | None:
        """A new sample; None where there is nothing to be measured."""
        self._sampled_s = now_s
        values = self._registry.sample()
        if not values:
            return None
        self.latest = SystemState(now_s, {QUEUE_DEPTH: float(self._n_waiting()), **values})
        return self.latest

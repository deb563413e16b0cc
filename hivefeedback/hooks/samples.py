"""Plugins that measure process and host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

__all__ = ["Samples"]


@runtime_checkable
class Samples(Protocol):
    """A plugin that measures something from time to time.

    ``sample`` is called on the thread that writes to the store, never on the application's nor on the
    one that learns; in a loop with a given clock on the caller's. All plugins' values of one moment
    become one control event ``system_sample``.
    """

    @property
    def every_s(self) -> float:
        """Seconds between two samples, at least 1; infinite: never."""

    def sample(self) -> Mapping[str, float]:
        """Name → value, the unit in the name. What is not there is left out, never 0."""

"""What is configured by operation prefix: the longest prefix counts, ``""`` is every operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

__all__ = ["by_prefix"]

T = TypeVar("T")


def by_prefix(configured: Mapping[str, T], operation: str) -> T | None:
    """What is configured for an operation, or None.

    >>> by_prefix({"qa": 1, "qa/dogs": 2}, "qa/dogs/small"), by_prefix({"qa": 1}, "qax")
    (2, None)
    """
    prefix = operation
    while prefix and prefix not in configured:
        prefix = prefix.rpartition("/")[0]
    return configured.get(prefix)

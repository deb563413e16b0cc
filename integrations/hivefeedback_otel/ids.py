"""Trace and span ids: read where they are valid, derived where they are missing.

A derived id is a hash of what it stands for, so every process derives the same one.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["LOW_HALF", "derived_span_id", "derived_trace_id", "span_number", "trace_number"]

LOW_HALF: Final = (1 << 64) - 1
"""Masks the half of a trace id that is the span id of a root run whose trace was named after it."""
_HEX: Final = frozenset("0123456789abcdefABCDEF")


def trace_number(text: str) -> int:
    """The number of a trace id of 32 hex digits (dashes of a UUID allowed); 0 where it is none.

    >>> trace_number("0af7651916cd43dd8448eb211c80319c") > 0, trace_number("trace-1")
    (True, 0)
    """
    return _number(text.replace("-", "") if len(text) == 36 else text, 32)


def span_number(text: str) -> int:
    """The number of a span id of 16 hex digits; 0 where it is none.

    >>> span_number("b7ad6b7169203331") > 0, span_number("b7"), span_number("0" * 16)
    (True, 0, 0)
    """
    return _number(text, 16)


def _number(text: str, digits: int) -> int:
    return int(text, 16) if len(text) == digits and _HEX.issuperset(text) else 0


def derived_trace_id(name: str) -> int:
    """A trace id for something that has none."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "big") or 1


def derived_span_id(name: str) -> int:
    """A span id for something that has none."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") or 1

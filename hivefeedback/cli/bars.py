"""Bars of block characters, for looking at numbers in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["bar", "scale_of"]

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def bar(value: float | None, most: float, width: int) -> str:
    """A bar of up to ``width`` characters for a value from 0 to ``most``, in steps of an eighth.

    What is known and larger than 0 is always seen.

    >>> bar(0.5, 1.0, 4), bar(0.3, 1.0, 4), bar(1e-9, 1.0, 4), bar(0.0, 1.0, 4), bar(None, 1.0, 4)
    ('██', '█▎', '▏', '', '')
    """
    if value is None or value <= 0.0 or most <= 0.0:
        return ""
    eighths = max(1, round(min(value, most) / most * width * 8))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def scale_of(values: Sequence[float | None], unit: str) -> float:
    """What a full bar stands for: 1 for shares, 5 for ratings, else the largest value.

    >>> scale_of([0.2, None], "0-1"), scale_of([2.0], "1-5"), scale_of([3.0, 7.0], "s"), scale_of([None], "s")
    (1.0, 5.0, 7.0, 0.0)
    """
    fixed = {"0-1": 1.0, "1-5": 5.0}.get(unit)
    return fixed if fixed is not None else max((v for v in values if v is not None), default=0.0)

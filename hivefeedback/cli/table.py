"""Tables for people: numbers to the right, units in the header, as wide as the terminal at most."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hivefeedback.cli.words import plain

__all__ = ["Column", "table"]

_GAP: Final = "  "
_NARROWEST: Final = 8
"""A text column is not cut below this; then a column is left out instead."""
_WIDEST: Final = 120
"""A text column is not wider than this where there is no terminal: one long id would blow up every line."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        title: First line of the header.
        unit: Second line of the header.
        is_number: Stands to the right and is never cut.
        rank: Where the terminal is too narrow the highest goes first; 0 stays.
    """

    title: str
    unit: str = ""
    is_number: bool = False
    rank: int = 0


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None = None) -> str:
    """The table as text; what had to be left out is said below it.

    Args:
        columns: Titles and alignment.
        rows: As many cells each as there are columns.
        width: Of the terminal; None: as wide as it gets, with texts of 120 places at most.

    >>> print(table([Column("id"), Column("runs", is_number=True)], [["a", "5"], ["bb", "12"]]))
    id  runs
    a      5
    bb    12
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    kept = list(range(len(columns)))
    while width is not None and _least(columns, cells, kept) > width:
        worst = max(kept, key=lambda i: (columns[i].rank, i))
        if columns[worst].rank == 0:
            break
        kept.remove(worst)
    widths = _widths(columns, cells, kept, width)
    heads = [[columns[i].title for i in kept]]
    if any(columns[i].unit for i in kept):
        heads.append([columns[i].unit for i in kept])
    lines = [_line(columns, kept, widths, head) for head in heads]
    lines += [_line(columns, kept, widths, [row[i] for i in kept]) for row in cells]
    left_out = [c.title for i, c in enumerate(columns) if i not in kept]
    if left_out:
        lines.append(f"(left out for want of room: {', '.join(left_out)}; a wider terminal or --json shows them)")
    return "\n".join(lines)


def _natural(columns: Sequence[Column], cells: Sequence[Sequence[str]], i: int) -> int:
    wide = max([len(columns[i].title), len(columns[i].unit), *(_cells_wide(row[i]) for row in cells)])
    return wide if columns[i].is_number else min(wide, _WIDEST)


def _least(columns: Sequence[Column], cells: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    """Width below which the table cannot be cut."""
    wide = [_natural(columns, cells, i) for i in kept]
    return len(_GAP) * (len(kept) - 1) + sum(
        w if columns[i].is_number else min(w, max(_NARROWEST, len(columns[i].title)))
        for i, w in zip(kept, wide, strict=True)
    )


def _widths(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], kept: Sequence[int], width: int | None
) -> list[int]:
    """Width of each kept column; the widest texts are cut first."""
    widths = [_natural(columns, cells, i) for i in kept]
    while width is not None and sum(widths) + len(_GAP) * (len(kept) - 1) > width:
        cuttable = [k for k, i in enumerate(kept) if not columns[i].is_number and widths[k] > _NARROWEST]
        if not cuttable:
            break
        widths[max(cuttable, key=lambda k: widths[k])] -= 1
    return widths


def _line(columns: Sequence[Column], kept: Sequence[int], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts = []
    for i, wide, cell in zip(kept, widths, cells, strict=True):
        text = _cut(cell, wide)
        space = " " * (wide - _cells_wide(text))
        parts.append(space + text if columns[i].is_number else text + space)
    return _GAP.join(parts).rstrip()


def _cells_wide(text: str) -> int:
    """How many places a text takes on a terminal; wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, width: int) -> str:
    if _cells_wide(text) <= width:
        return text
    while text and _cells_wide(text) > width - 1:
        text = text[:-1]
    return text + "…"

"""The live picture: progress, success of the last calls, and what else could have been."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from hivefeedback_demo.book import Book

__all__ = ["Picture", "sparkline"]

LAST = 100
"""Calls that the moving figures look back on."""
_BARS = "▁▂▃▄▅▆▇█"
_BARS_SHOWN = 24
_QUIET_EVERY_S = 5.0
"""Where nobody watches a terminal, a line this often."""
_LIVE_EVERY_S = 0.15


def sparkline(values: Sequence[float]) -> str:
    """Values in [0, 1] as a row of bars.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▄█'
    """
    return "".join(_BARS[min(7, max(0, int(v * 7.999)))] for v in values)


class Picture:
    """Draws on a terminal, and writes plain lines anywhere else.

    Args:
        book: What is drawn.
        out: Where; default: standard output.
    """

    def __init__(self, book: Book, out: TextIO | None = None) -> None:
        self._book, self._out = book, out if out is not None else sys.stdout
        self._is_live = self._out.isatty()
        self._goal, self._start = 1, 0
        self._drawn_at_s = -1e9

    def watch(self, title: str, goal: int) -> None:
        """A phase begins."""
        self._goal, self._start = goal, len(self._book.calls)
        self.say("")
        self.say(f"== {title} ==")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        print(text, file=self._out, flush=True)

    def tick(self, now_s: float) -> None:
        """Draw, where it is time to."""
        if self._book.calls and now_s - self._drawn_at_s >= (_LIVE_EVERY_S if self._is_live else _QUIET_EVERY_S):
            self._drawn_at_s = now_s
            self._clear()
            wide = shutil.get_terminal_size().columns - 1 if self._is_live else None
            print(self.line(wide), end="" if self._is_live else "\n", file=self._out, flush=True)

    def line(self, wide: int | None = None) -> str:
        """One line about now, with as many bars as there is room for.

        Args:
            wide: Columns of the terminal: a line that went over its end could not be taken away again.
        """
        calls = self._book.calls
        last = calls[-LAST:]
        best = self._book.best_single(last)
        head = f"{len(calls):5d} calls ({len(calls) - self._start}/{self._goal})  "
        tail = (
            f"  last {len(last)}: {self._book.success(last):.0%} right, uniform {self._book.uniform(last):.0%}, "
            f"best single {self._book.single(best, last):.0%}"
        )
        room = _BARS_SHOWN if wide is None else max(0, min(_BARS_SHOWN, wide - len(head) - len(tail)))
        starts = range(0, len(calls), LAST // 2)
        history = [self._book.success(calls[i : i + LAST // 2]) for i in starts[len(starts) - room :]]
        return f"{head}{sparkline(history)}{tail}"[:wide]

    def end(self) -> None:
        """Leave the terminal clean."""
        self._clear()

    def _clear(self) -> None:
        if self._is_live:
            print("\r\x1b[2K", end="", file=self._out)

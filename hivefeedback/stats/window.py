"""A running window: the aggregates of the last day or so, kept current from what changed.

Memory: 200 bytes for each cell, that is for each key in each time bucket, and three for each of its
bins, and the newest runs. 50 deployments × 20 operations × 24 h are 142 000 cells: a process grew by
150 MB with 10⁵ runs and by 350 MB with 10⁷, what reading them takes for a moment included. Beyond
``MAX_BYTES`` no window is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, groupby

import numpy as np

from hivefeedback.stats.block import Block, make_block
from hivefeedback.stats.cell import Cell, CellKey
from hivefeedback.stats.changes import Changes
from hivefeedback.stats.legend import Legend
from hivefeedback.stats.recent import Newest, Pieces, Sorted, newest
from hivefeedback.stats.running import RunningView
from hivefeedback.stats.spans import Bucket, Spans
from hivefeedback.stats.view import Slice

__all__ = ["MAX_BYTES", "Window"]

MAX_BYTES = 512_000_000
"""Of cells; four times the largest day that the speed is promised for."""
_HOUR_S, _DAY_S, _MINUTE_S = 3600, 86_400, 60
_MAX_PIECES = 20
"""Additions to the newest runs of one name that wait to be sorted."""
_SPARE_KEYS = 1000
"""Keys without a bucket that are tolerated before the numbers are given anew."""

Name = tuple[str, str]


class Window:
    """Everything that begins or lies after a time, by bucket. One thread at a time changes it.

    ``mark`` says how far it has come; empty: it holds nothing, and has to be filled from the start.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.mark, self.from_s = "", float("inf")
        self._spans = Spans(Legend())
        self._contents: dict[Bucket, Block] = {}
        self._known: dict[Name, Pieces] = {}
        self._memo: dict[Name, tuple[Pieces, Sorted]] = {}

    @property
    def n_bytes(self) -> int:
        """What its cells take."""
        return sum(block.n_bytes for block in self._contents.values())

    def take_in(self, changes: Changes, *, from_s: float, breath: Callable[[], object] = lambda: None) -> bool:
        """Bring it up to date.

        Args:
            changes: What a store told for this window's mark.
            from_s: Where it begins from now on; what ended before is dropped.
            breath: Called between two cells, so that other threads get a turn.

        Returns:
            False where it became too large: then it is empty.
        """
        mark, before_s = self.mark, self.from_s
        self.mark = ""  # stays so if something breaks on the way: then it is filled anew
        if changes.is_whole or not mark:
            self.reset()
            before_s = from_s
        with self._spans.lock:
            self._widen(changes)
            if not self._replace(changes.replaced, breath):
                return False
            self._add(changes.added)
            self._take_exemplars(changes)
            self.from_s = max(from_s, before_s)
            for bucket in [b for b in self._contents if b[0] + b[1] <= self.from_s]:
                del self._contents[bucket]
            self._renumber()
        self.mark = changes.mark
        return True

    def view(self, from_s: float, to_s: float) -> RunningView:
        """The view that the store would answer for a window that begins at ``self.from_s`` or later."""
        with self._spans.lock:
            contents = {b: block for b, block in self._contents.items() if _is_read(b, from_s, to_s)}
            return RunningView(
                asked_from_s=from_s,
                asked_to_s=to_s,
                contents=contents,
                exemplars=Newest(dict(self._known), self._memo),
                spans=self._spans,
            )

    def _widen(self, changes: Changes) -> None:
        """Drop what was merged into wider buckets; those are among the changes."""
        for bucket in list(self._contents):
            start_s, width_s = bucket
            is_gone = (width_s < _HOUR_S and start_s < changes.hours_before_s) or (
                width_s < _DAY_S and start_s < changes.days_before_s
            )
            if is_gone:
                del self._contents[bucket]

    def _replace(self, slices: Iterable[Slice], breath: Callable[[], object]) -> bool:
        n_bytes = self.n_bytes
        for bucket, group in groupby(slices, key=_bucket_of):
            block = make_block(self._spans.legend, ((s.key, s.cell) for s in group), breath)
            known = self._contents.get(bucket)
            self._contents[bucket] = known.without(block.keys).plus(block) if known is not None else block
            n_bytes += block.n_bytes
            if n_bytes > MAX_BYTES and self.n_bytes > MAX_BYTES:
                self.reset()
                return False
        return True

    def _add(self, slices: Iterable[Slice]) -> None:
        together: dict[Bucket, dict[CellKey, Cell]] = {}
        for s in slices:
            cells = together.setdefault(_bucket_of(s), {})
            known = cells.get(s.key)
            if known is None:
                cells[s.key] = s.cell
            else:  # minutes of one hour
                cells[s.key] = both = Cell()
                both.merge(known)
                both.merge(s.cell)
        for bucket, cells in together.items():
            block = make_block(self._spans.legend, cells.items())
            known_block = self._contents.get(bucket)
            self._contents[bucket] = known_block.plus(block) if known_block is not None else block

    def _take_exemplars(self, changes: Changes) -> None:
        """Pieces are replaced, never changed: views of other moments show them."""
        for name, kept in changes.newest.items():
            self._known[name] = (kept,)
        for name, more in changes.newer.items():
            self._known[name] = _bounded((*self._known.get(name, ()), more))
        for name in [n for n in self._memo if n not in self._known]:
            del self._memo[name]

    def _renumber(self) -> None:
        """Give numbers anew where most keys went: deployments, agents and fingerprints come and go."""
        legend = self._spans.legend
        if len(legend.keys) <= _SPARE_KEYS:
            return
        is_used = np.zeros(len(legend.keys), dtype=np.bool_)
        for block in self._contents.values():
            is_used[block.keys] = True
        if len(legend.keys) > 2 * int(is_used.sum()) + _SPARE_KEYS:
            slices = self.view(float("-inf"), float("inf")).slices
            self._spans, self._contents = Spans(Legend()), {}
            self._replace(slices, lambda: None)


def _bucket_of(s: Slice) -> Bucket:
    return s.start_s, s.width_s


def _is_read(bucket: Bucket, from_s: float, to_s: float) -> bool:
    """True where a window reads a bucket: minutes that begin in it, wider ones that overlap it."""
    start_s, width_s = bucket
    if width_s <= _MINUTE_S:
        return from_s <= start_s < to_s
    return start_s < to_s and start_s + width_s > from_s


def _bounded(pieces: Pieces) -> Pieces:
    """Sorted and cut when somebody looks; here only where there are too many."""
    if len(pieces) <= _MAX_PIECES:
        return pieces
    return (newest(list(chain.from_iterable(pieces))),)

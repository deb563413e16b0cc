"""What the turn reads: aggregates over a window, with the window's true coverage.

How to be quick. A day of 50 deployments × 20 operations lies in 142 000 slices, and walking over
them takes a second. A loop keeps the sums of its windows, so ask for sums: ``sums`` (counters of
each key), ``totals``, ``samples``, ``series``, ``buckets`` and ``between`` answer in milliseconds
there, and ``bins=False`` leaves the histograms out where no quantile is asked. ``slices`` and the
cells of a part are made when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from hivefeedback.stats.cell import Cell, CellKey, n_succeeded
from hivefeedback.stats.delta import Exemplar
from hivefeedback.stats.names import REWARD
from hivefeedback.stats.repeat import Repeat

__all__ = ["Coverage", "Slice", "View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What an answer about a window really covers.

    Args:
        from_s, to_s: Aligned bounds of the buckets that were read, seconds since 1970 UTC.
        n_runs: Runs in it that enter success statistics.
        n_awaiting: Of these, how many still await a judgement.
        resolution_s: Width of the coarsest bucket that was read; 0 where there was none.
    """

    from_s: float
    to_s: float
    n_runs: int = 0
    n_awaiting: int = 0
    resolution_s: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """A cell of one time bucket."""

    start_s: int
    width_s: int
    key: CellKey
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Aggregates over a window; read-only, neither the view's cells nor its answers may be changed.

    Args:
        asked_from_s, asked_to_s: The window that was asked for.
        slices: Cells by time bucket, totals and arms; in order of time, then of key.
        exemplars: Newest runs of each (deployment, operation), newest last.
        repeats: What agents were corrected with again and again; in the view of a turn only.
    """

    asked_from_s: float
    asked_to_s: float
    slices: tuple[Slice, ...] = ()
    exemplars: Mapping[tuple[str, str], tuple[Exemplar, ...]] = field(default_factory=dict)
    repeats: tuple[Repeat, ...] = ()

    @property
    def coverage(self) -> Coverage:
        """What the window really covers; totals only."""
        totals = [s for s in self.slices if not s.key.arm]
        if not totals:
            return Coverage(from_s=self.asked_from_s, to_s=self.asked_to_s)
        return Coverage(
            from_s=min(s.start_s for s in totals),
            to_s=max(s.start_s + s.width_s for s in totals),
            n_runs=sum(s.cell.n_runs for s in totals),
            n_awaiting=sum(s.cell.n_awaiting for s in totals),
            resolution_s=max(s.width_s for s in totals),
        )

    def between(self, from_s: float, to_s: float) -> View:
        """The part of the view whose buckets begin in [from_s, to_s)."""
        kept = tuple(s for s in self.slices if from_s <= s.start_s < to_s)
        return replace(self, asked_from_s=from_s, asked_to_s=to_s, slices=kept)

    def only(self, where: Callable[[CellKey], bool]) -> View:
        """The part of the view whose keys satisfy ``where``."""
        kept = tuple(s for s in self.slices if where(s.key))
        return replace(self, slices=kept)

    def with_repeats(self, repeats: tuple[Repeat, ...]) -> View:
        """The same view, with what agents were corrected with again and again."""
        return replace(self, repeats=repeats)

    def buckets(self) -> tuple[tuple[int, int], ...]:
        """(start, width) of each time bucket that holds anything, in seconds, in order."""
        return tuple(sorted({(s.start_s, s.width_s) for s in self.slices}))

    def sums(self) -> Mapping[CellKey, Cell]:
        """One cell for each key, totals and arms, without histograms."""
        merged: dict[CellKey, Cell] = {}
        for s in self.slices:
            into = merged.get(s.key)
            if into is None:
                into = merged[s.key] = Cell()
            into.merge(s.cell, bins=False)
        return merged

    def totals(
        self, *by: str, where: Callable[[CellKey], bool] | None = None, bins: bool = True
    ) -> dict[tuple[str, ...], Cell]:
        """Cells merged by the named parts of the key (``deployment``, ``operation``, ``agent``,
        ``fingerprint``), each run counted once.

        Args:
            by: Parts of the key; none: everything under the empty tuple.
            where: Which keys; default: all.
            bins: Whether the cells get histograms, from which quantiles come.
        """
        return _merged(((s.key, s.cell) for s in self.slices if not s.key.arm), by, where, bins)

    def series(
        self, width_s: float, *by: str, where: Callable[[CellKey], bool] | None = None, bins: bool = False
    ) -> list[tuple[float, dict[tuple[str, ...], Cell]]]:
        """``totals`` by pieces of time: (begin, cells) of each piece that holds anything, in order.

        A bucket belongs to the piece that it begins in; pieces begin at multiples of their width,
        so one that is narrower than ``coverage.resolution_s`` is empty where buckets are wide.

        Args:
            width_s: Width of a piece in seconds, > 0.
            by, where, bins: As for ``totals``.
        """
        pieces: dict[int, list[tuple[CellKey, Cell]]] = {}
        for s in self.slices:
            if not s.key.arm:
                pieces.setdefault(int(s.start_s // width_s), []).append((s.key, s.cell))
        found = [(n * width_s, _merged(pieces[n], by, where, bins)) for n in sorted(pieces)]
        return [(begin_s, cells) for begin_s, cells in found if cells]

    def tallies(self, *by: str) -> dict[tuple[str, ...], tuple[int, int, int, int, int]]:
        """How runs outside of canaries went, by parts of the key: counted runs, those of them that
        succeeded, and n, Σ and Σ² of their rewards. ``samples`` makes samples of it."""
        names: dict[CellKey, tuple[str, ...]] = {}
        sums: dict[tuple[str, ...], list[int]] = {}
        for s in self.slices:
            key, cell = s.key, s.cell
            if key.arm and not key.arm.endswith(":canary"):
                continue
            sign = -1 if key.arm else 1
            name = names.get(key)
            if name is None:
                name = names[key] = tuple(str(getattr(key, part)) for part in by)
                sums.setdefault(name, [0, 0, 0, 0, 0])
            into = sums[name]
            into[0] += sign * cell.n_runs
            into[1] += sign * n_succeeded(cell.outcomes)
            rewards = cell.judged.get(REWARD)
            if rewards is not None:
                into[2] += sign * rewards.n
                into[3] += sign * rewards.total
                into[4] += sign * rewards.squares
        return {name: (n, n_ok, n_rewards, total, sq) for name, (n, n_ok, n_rewards, total, sq) in sums.items()}

    def arms(self, rollout_id: str) -> dict[str, Cell]:
        """Cells of a rollout's arms, by variant (``control``, ``canary``)."""
        prefix = rollout_id + ":"
        cells = _merged(((s.key, s.cell) for s in self.slices if s.key.arm.startswith(prefix)), ("arm",), None)
        return {key[0].removeprefix(prefix): cell for key, cell in cells.items()}

    def evidence(
        self, deployment: str, operation: str = "", *, failed_only: bool = False, limit: int = 16
    ) -> tuple[str, ...]:
        """Trace ids (run ids where there is none) of the newest runs of a deployment."""
        found: list[Exemplar] = []
        for d, o in self.exemplars:  # the names alone, since to look at newest runs may sort them
            if d == deployment and (not operation or o == operation):
                found += [e for e in self.exemplars[d, o] if not failed_only or e.outcome != "ok"]
        found.sort(key=lambda e: e.started_at_s, reverse=True)
        return tuple(e.trace_id or e.run_id for e in found[:limit])


def _merged(
    cells: Iterable[tuple[CellKey, Cell]],
    by: tuple[str, ...],
    where: Callable[[CellKey], bool] | None,
    bins: bool = True,
) -> dict[tuple[str, ...], Cell]:
    merged: dict[tuple[str, ...], Cell] = {}
    for key, cell in cells:
        if where is not None and not where(key):
            continue
        name = tuple(str(getattr(key, part)) for part in by)
        into = merged.get(name)
        if into is None:
            into = merged[name] = Cell()
        into.merge(cell, bins=bins)
    return merged

"""One mergeable cell of aggregates: everything that is known of some runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from hivefeedback.model import BLAMED, UNCOUNTED, Run
from hivefeedback.stats.histogram import bin_of, merge_bins, quantile

__all__ = ["JUDGED_UNIT", "Cell", "CellKey", "Judged", "n_succeeded"]

JUDGED_UNIT = 10_000
"""Rewards and scores are summed as integers in 10⁻⁴, since float sums are not associative."""


ALL_US = "all_us"
"""Name under which ``mean`` and ``quantile`` answer for the duration of all counted runs."""


def n_succeeded(outcomes: Mapping[str, int]) -> int:
    """Runs that succeeded: they enter success statistics and their outcome is no failure.

    ``refused`` and ``truncated`` are answers that a deployment gave: they are no failures, so they are
    successes here, in ``stats()`` as in what a turn looks at; whether they were any good is said by
    feedback and scores, without which they earn no reward.

    >>> n_succeeded({"ok": 7, "refused": 1, "timeout": 2, "cancelled": 5})
    8
    """
    return sum(n for name, n in outcomes.items() if name not in UNCOUNTED and name not in BLAMED)


class CellKey(NamedTuple):
    """What a cell is about.

    ``arm`` is ``""`` for the total (each run once) and ``rollout:variant`` once per assignment;
    totals read ``""`` only.
    """

    deployment: str
    operation: str
    agent: str = ""
    arm: str = ""
    fingerprint: str = ""


class Judged(Struct, array_like=True, gc=False):
    """n, Σ and Σ² of a judgement in units of 10⁻⁴."""

    n: int = 0
    total: int = 0
    squares: int = 0

    @property
    def mean(self) -> float | None:
        """Mean in [0, 1], or None without any."""
        return self.total / self.n / JUDGED_UNIT if self.n else None


class Cell(Struct, omit_defaults=True):
    """Counters, integer sums and sparse histograms of some runs; ``merge`` is commutative.

    Args:
        outcomes: Runs per outcome.
        sums: Σ of ``duration_us`` (of ok runs), ``other_us`` (of the other counted runs),
            ``ttft_us``, ``tokens_in``, ``tokens_out``, ``cost_nusd``, ``memory_kb``.
        ns: How many runs had each of those.
        bins: Log-bucket histogram of each of those, in seconds, tokens, USD, MB.
        judged: Per name of feedback, score or ``reward``: n, Σ, Σ².
        n_awaiting: Runs whose judgement is still expected.
    """

    outcomes: dict[str, int] = {}
    sums: dict[str, int] = {}
    ns: dict[str, int] = {}
    bins: dict[str, dict[int, int]] = {}
    judged: dict[str, Judged] = {}
    n_awaiting: int = 0

    def add_run(self, run: Run) -> None:
        """Count a run; its duration enters the latency of successes only where it is ``ok``."""
        outcome = run.outcome
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        duration_s = run.duration_s
        if duration_s is not None and outcome not in UNCOUNTED:
            name = "duration_us" if outcome == "ok" else "other_us"
            self._add(name, round(duration_s * 1_000_000), bin_of(duration_s))
        if run.tokens_in is not None:
            self._add("tokens_in", run.tokens_in, bin_of(run.tokens_in))
        if run.tokens_out is not None:
            self._add("tokens_out", run.tokens_out, bin_of(run.tokens_out))
        if run.cost_usd is not None:
            self._add("cost_nusd", round(run.cost_usd * 1_000_000_000), bin_of(run.cost_usd))
        if run.ttft_s is not None:
            self._add("ttft_us", round(run.ttft_s * 1_000_000), bin_of(run.ttft_s))
        if run.memory_mb is not None:
            self._add("memory_kb", round(run.memory_mb * 1024), bin_of(run.memory_mb))

    def _add(self, name: str, units: int, k: int) -> None:
        bins = self.bins.get(name)
        if bins is None:
            self.bins[name], self.sums[name], self.ns[name] = {k: 1}, units, 1
            return
        bins[k] = bins.get(k, 0) + 1
        self.sums[name] += units
        self.ns[name] += 1

    def add_judged(self, name: str, value: float, sign: int = 1) -> None:
        """Count a judgement in [0, 1], ``sign`` times over; −1 takes it back."""
        judged = self.judged.get(name)
        if judged is None:
            judged = self.judged[name] = Judged()
        units = round(value * JUDGED_UNIT)
        judged.n += sign
        judged.total += sign * units
        judged.squares += sign * units * units

    def merge(self, other: Cell, *, bins: bool = True) -> None:
        """Add another cell to this one; with ``bins=False`` without its histograms."""
        for name, n in other.outcomes.items():
            self.outcomes[name] = self.outcomes.get(name, 0) + n
        for name, n in other.sums.items():
            self.sums[name] = self.sums.get(name, 0) + n
        for name, n in other.ns.items():
            self.ns[name] = self.ns.get(name, 0) + n
        for name, counts in other.bins.items() if bins else ():
            merge_bins(self.bins.setdefault(name, {}), counts)
        for name, j in other.judged.items():
            mine = self.judged.setdefault(name, Judged())
            mine.n, mine.total, mine.squares = mine.n + j.n, mine.total + j.total, mine.squares + j.squares
        self.n_awaiting += other.n_awaiting

    def negated(self) -> Cell:
        """What takes this cell back when it is merged.

        >>> cell = Cell(outcomes={"ok": 2}, n_awaiting=1)
        >>> cell.negated()
        Cell(outcomes={'ok': -2}, sums={}, ns={}, bins={}, judged={}, n_awaiting=-1)
        """
        return Cell(
            {name: -n for name, n in self.outcomes.items()},
            {name: -n for name, n in self.sums.items()},
            {name: -n for name, n in self.ns.items()},
            {name: {k: -n for k, n in bins.items()} for name, bins in self.bins.items()},
            {name: Judged(-j.n, -j.total, -j.squares) for name, j in self.judged.items()},
            -self.n_awaiting,
        )

    @property
    def n_runs(self) -> int:
        """Runs that enter success statistics."""
        return sum(n for name, n in self.outcomes.items() if name not in UNCOUNTED)

    @property
    def n_all(self) -> int:
        """All runs, the cancelled and cached ones too."""
        return sum(self.outcomes.values())

    @property
    def failures(self) -> int:
        """Runs whose outcome counts against the deployment."""
        return sum(self.outcomes.get(name, 0) for name in BLAMED)

    @property
    def successes(self) -> int:
        """Runs that succeeded; with ``failures`` they make ``n_runs``."""
        return n_succeeded(self.outcomes)

    def mean(self, name: str) -> float | None:
        """Mean of a sum in its own unit (µs, tokens, nano-USD, KiB), or None without any.

        ``all_us`` is the duration of all counted runs: ``duration_us`` and ``other_us`` together.
        """
        names = ("duration_us", "other_us") if name == ALL_US else (name,)
        n = sum(self.ns.get(part, 0) for part in names)
        return sum(self.sums.get(part, 0) for part in names) / n if n else None

    def quantile(self, name: str, q: float) -> float | None:
        """Quantile of a histogram in seconds, tokens, USD or MB, within 1 %; ``all_us`` as for ``mean``."""
        if name != ALL_US:
            return quantile(self.bins.get(name, {}), q)
        bins = dict(self.bins.get("duration_us", {}))
        merge_bins(bins, self.bins.get("other_us", {}))
        return quantile(bins, q)

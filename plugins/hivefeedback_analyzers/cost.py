"""Tells where a success costs more than before, and where money buys nothing.

Cost per success is the mean cost of a run divided by the success rate. Two things are told: it rose
between what came before and the recent part of the window; or a deployment is dearer than another on
the same operation without being better. How far costs scatter comes from their histograms. Options::

    options:
      cost: {min_rise: 0.2, min_excess: 0.5, alpha: 0.001}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import BLAMED, UNCOUNTED, Configuration, Finding, Interval
from hivefeedback.stats import Cell, Sample, View, mean_difference, samples, spread_of
from hivefeedback_analyzers.limits import named, relative_variance
from hivefeedback_analyzers.odds import Ratio, not_better_p, ratio_of
from hivefeedback_analyzers.told import Suspected, told
from hivefeedback_analyzers.windows import Key, split_s

__all__ = ["CostAnalyzer", "CostOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostOptions:
    """When cost is reported.

    Args:
        min_rise: Smallest rise of the cost per success that is told: 0.2 is a fifth more.
        min_excess: How much dearer than the cheapest a deployment must be: 0.5 is half as much again.
        margin: By so much it must not be better, in points of success or quality in [0, 1].
        min_share: Smallest part of an operation's runs that makes its cost worth a word.
        recent_s: What counts as recent.
        min_runs: Fewest runs of known cost on either side; costs scatter more than rates.
        alpha: Largest p-value, adjusted for everything that was compared.
    """

    min_rise: float = 0.2
    min_excess: float = 0.5
    margin: float = 0.02
    min_share: float = 0.05
    recent_s: float = 3600.0
    min_runs: int = 30
    alpha: float = 0.001

    def __post_init__(self) -> None:
        if min(self.min_rise, self.min_excess, self.margin, self.recent_s) <= 0 or self.min_runs < 2:
            raise ValueError("min_rise, min_excess, margin and recent_s must be > 0, min_runs >= 2")
        if not (0.0 <= self.min_share < 1.0 and 0.0 < self.alpha < 1.0):
            raise ValueError("min_share and alpha must be between 0 and 1")


class _Price(NamedTuple):
    """What the runs of a cell cost. ``cost`` is that of a success in USD; infinite without one."""

    cell: Cell
    n: int
    good: int
    mean_usd: float
    cost: float


class CostAnalyzer(PluginWithOptions[CostOptions]):
    """Reads what successes cost."""

    name = "cost"
    Options = CostOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """At most one rise and one excess for each deployment × operation."""
        whole = self._told(view)
        if len(whole) == 0:
            return ()
        risen, n_rises = self._rises(view, now_s)
        excessive, n_pairs = self._excesses(view, whole)
        findings = told([*risen, *excessive], n_rises + n_pairs, self.options.alpha)
        return sorted(findings, key=lambda f: f.finding_id)

    def _told(self, view: View) -> dict[Key, _Price]:
        """Deployments with enough runs of known cost, without histograms."""
        cells = view.totals("deployment", "operation", bins=False)
        return {
            key: _price(cell)
            for key, cell in cells.items()
            if key[0] and cell.ns.get("cost_nusd", 0) >= self.options.min_runs and cell.sums["cost_nusd"] > 0
        }

    def _rises(self, view: View, now_s: float) -> tuple[list[Suspected], int]:
        split = split_s(view, now_s=now_s, recent_s=self.options.recent_s)
        if split is None:
            return [], 0
        past, recent = view.between(float("-inf"), split), view.between(split, float("inf"))
        before, after = self._told(past), self._told(recent)
        both = before.keys() & after.keys()
        limit = 1.0 + self.options.min_rise
        risen = {key for key in both if _is_above(before[key], after[key], limit)}
        pairs = zip(*(_with_bins(part, risen) for part in (past, recent)), strict=True) if risen else ()
        return [d for (key, a), (_, b) in pairs if (d := self._rise(view, key, a, b)) is not None], len(both)

    def _rise(self, view: View, key: Key, before: _Price, after: _Price) -> Suspected | None:
        ratio = _ratio(before, after)
        if ratio is None:
            return None
        i = ratio.interval
        message = (
            f"a success of {named(key)} costs {_usd(after.cost)} ({after.n} runs), {i.estimate - 1:.0%} more than "
            f"before ({_usd(before.cost)}, {before.n} runs; 95 %: {i.low - 1:+.0%} to {i.high - 1:+.0%})"
        )
        finding = _finding(view, "rise", key, message, 0.3 + 0.4 * (i.estimate - 1.0), i, after.n)
        return ratio.above_p(1.0), finding

    def _excesses(self, view: View, whole: Mapping[Key, _Price]) -> tuple[list[Suspected], int]:
        o, by_operation = self.options, dict[str, list[str]]()
        for deployment, operation in whole:
            by_operation.setdefault(operation, []).append(deployment)
        candidates: list[tuple[Key, Key]] = []
        n_pairs = 0
        for operation, deployments in by_operation.items():
            n_pairs += len(deployments) * (len(deployments) - 1)
            total = sum(whole[d, operation].n for d in deployments)
            cheapest = min(deployments, key=lambda d: (whole[d, operation].cost, d))
            candidates += [
                ((d, operation), (cheapest, operation))
                for d in deployments
                if _is_above(whole[cheapest, operation], whole[d, operation], 1.0 + o.min_excess)
                and whole[d, operation].n >= o.min_share * total
            ]
        if not candidates:
            return [], n_pairs
        wanted = {key for pair in candidates for key in pair}
        cells, quality = dict(_with_bins(view, wanted)), samples(view, "deployment", "operation")
        found = (self._excess(view, dear, cheap, cells, quality) for dear, cheap in candidates)
        return [d for d in found if d is not None], n_pairs

    def _excess(
        self, view: View, dear: Key, cheap: Key, cells: Mapping[Key, _Price], quality: Mapping[Key, Sample]
    ) -> Suspected | None:
        """Dearer and not better: both must be beyond chance, so the larger p-value counts."""
        ratio = _ratio(cells[cheap], cells[dear])
        if ratio is None or dear not in quality or cheap not in quality:
            return None
        mine, theirs = quality[dear], quality[cheap]
        is_judged = min(mine.rewards.n, theirs.rewards.n) >= self.options.min_runs
        a, b = (theirs.rewards, mine.rewards) if is_judged else (theirs.outcomes, mine.outcomes)
        better, i = mean_difference(a, b).interval, ratio.interval
        p_value = max(ratio.above_p(1.0), not_better_p(a, b, self.options.margin))
        message = (
            f"a success of {named(dear)} costs {_usd(cells[dear].cost)}, {i.estimate:.1f} times that of {cheap[0]!r} "
            f"({_usd(cells[cheap].cost)}; 95 %: {i.low:.1f} to {i.high:.1f}), and it is no better: "
            f"{'quality' if is_judged else 'success'} {better.estimate:+.1%} ({better.low:+.1%} to {better.high:+.1%})"
        )
        finding = _finding(view, "excess", dear, message, 0.2 + 0.1 * (i.estimate - 1.0), i, cells[dear].n)
        return p_value, finding


def _with_bins(view: View, keys: set[Key]) -> Iterator[tuple[Key, _Price]]:
    """Some cells with their histograms; those of all would take most of a turn."""
    names = {key[0] for key in keys}
    cells = view.totals("deployment", "operation", where=lambda k: k.deployment in names and k[:2] in keys)
    return ((key, _price(cells[key])) for key in sorted(cells))


def _price(cell: Cell) -> _Price:
    n = good = 0
    for name, count in cell.outcomes.items():  # n_runs and successes at once: thousands are asked for
        if name not in UNCOUNTED:
            n += count
            good += count if name not in BLAMED else 0
    n_told = cell.ns.get("cost_nusd", 0)
    mean_usd = cell.sums["cost_nusd"] / n_told / 1e9 if n_told else 0.0
    return _Price(cell, n, good, mean_usd, mean_usd * n / good if good else float("inf"))


def _is_above(first: _Price, second: _Price, limit: float) -> bool:
    return 0.0 < first.cost < float("inf") and second.cost < float("inf") and second.cost >= limit * first.cost


def _ratio(first: _Price, second: _Price) -> Ratio | None:
    """Cost per success, second by first.

    The variances of cost and success are added as if they were independent. Failed runs cost at most
    what good ones do, as a rule; then the true variance is smaller, and this errs on the careful side.
    """
    sides = []
    for price in (first, second):
        if not price.good:
            return None
        spread = spread_of(price.cell.bins.get("cost_nusd", {}), price.mean_usd)
        sides.append((price.cost, relative_variance(spread) + (price.n - price.good) / (price.good * price.n)))
    return ratio_of(sides[0], sides[1])


def _usd(value: float) -> str:
    return f"{value:.4g} USD"


def _finding(view: View, what: str, key: Key, message: str, severity: float, ratio: Interval, n: int) -> Finding:
    return Finding(
        finding_id=f"cost:{what}:{key[0]}:{key[1]}",
        analyzer="cost",
        kind="cost",
        message=message,
        deployment=key[0],
        operation=key[1],
        severity=min(1.0, severity),
        after=ratio,
        n_runs=n,
        evidence=view.evidence(key[0], key[1]),
    )

"""Finds operations whose traffic is spread unevenly without a reason, or so that the busiest one suffers.

Told is, each beyond chance: traffic that does not follow the weights that somebody fixed; a
deployment that gets far more than its fellows though another is not worse; a busiest deployment that
runs into limits and timeouts more often than the others. Uneven use that is earned by quality is
what a policy is for, and is not told. Options::

    options:
      imbalance: {min_gap: 0.2, margin: 0.05, alpha: 0.001}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import Cell, Sample, View, rate_difference, wilson_interval
from hivefeedback_analyzers.check import check_between
from hivefeedback_analyzers.odds import more_p, not_better_p, one_sided
from hivefeedback_analyzers.service import expected_shares, used_by_operation
from hivefeedback_analyzers.told import Suspected, told

__all__ = ["ImbalanceAnalyzer", "ImbalanceOptions"]

_OVERLOADS = ("rate_limited", "timeout")
_PIECE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImbalanceOptions:
    """When an imbalance is reported.

    Args:
        min_gap: Smallest distance between a share of the traffic and what it should be, 0–1.
        margin: So much worse another one may be to count as not worse, in points of quality or success.
        cheaper: A busiest deployment whose runs cost or take at most this part of the other's has earned it.
        min_overload: Smallest excess of limits and timeouts over the others' rate.
        min_runs: Fewest runs of an operation, and of a deployment that is compared.
        runs_per_draw: Runs that follow from one draw, since a session stays where it is; the scatter
            between hours is taken where it is larger.
        alpha: Largest p-value, adjusted for everything that was compared.
    """

    min_gap: float = 0.2
    margin: float = 0.05
    cheaper: float = 0.9
    min_overload: float = 0.02
    min_runs: int = 50
    runs_per_draw: float = 5.0
    alpha: float = 0.001

    def __post_init__(self) -> None:
        check_between(min_gap=self.min_gap, margin=self.margin, min_overload=self.min_overload, alpha=self.alpha)
        if not 0.0 < self.cheaper <= 1.0 or self.min_runs < 2 or self.runs_per_draw < 1.0:
            raise ValueError("cheaper must be in (0, 1], min_runs >= 2 and runs_per_draw >= 1")


class _Uneven(NamedTuple):
    """The busiest deployment of an operation, and what it should get."""

    operation: str
    busiest: str
    n: int
    total: int
    expected: float
    is_fixed: bool
    p_value: float

    @property
    def share(self) -> float:
        return self.n / self.total


class ImbalanceAnalyzer(PluginWithOptions[ImbalanceOptions]):
    """Looks at who gets how much of each operation."""

    name = "imbalance"
    Options = ImbalanceOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        """At most one finding for each operation: the one that matters most."""
        used = used_by_operation(view)
        uneven, n_tests = self._uneven(view, config, used)
        cells = self._cells(view, {u.operation for u in uneven})
        found: list[Suspected] = []
        for u in uneven:
            found += self._reasons(view, u, used[u.operation], cells)
        worst: dict[str, Finding] = {}
        for finding in told(found, n_tests, self.options.alpha):
            known = worst.get(finding.operation)
            if known is None or known.severity < finding.severity:
                worst[finding.operation] = finding
        return [worst[operation] for operation in sorted(worst)]

    def _uneven(
        self, view: View, config: Configuration, used: Mapping[str, Mapping[str, Sample]]
    ) -> tuple[list[_Uneven], int]:
        """Operations whose busiest deployment gets too much, and how much could have been told in all."""
        o, found, n_tests = self.options, [], 0
        for operation, of in used.items():
            shares, is_fixed = expected_shares(config, operation)
            total = sum(s.outcomes.n for s in of.values())
            if len(shares) < 2 or total < o.min_runs:
                continue
            n_tests += len(shares) * (1 if is_fixed else len(shares))
            gaps = {d: s.outcomes.n / total - shares.get(d, 0.0) for d, s in of.items()}
            busiest = max(gaps, key=lambda d: (gaps[d], d))
            if gaps[busiest] < o.min_gap:
                continue
            n, expected = of[busiest].outcomes.n, shares.get(busiest, 0.0)
            scatter = max(o.runs_per_draw, _scatter(view, operation, busiest))
            error = sqrt(max(expected * (1 - expected), 1e-6) * scatter / total)
            p_value = min(1.0, len(of) * one_sided(gaps[busiest] / error))  # the largest of so many gaps was taken
            found.append(_Uneven(operation, busiest, n, total, expected, is_fixed, p_value))
        return found, n_tests

    def _cells(self, view: View, operations: set[str]) -> dict[tuple[str, ...], Cell]:
        if not operations:
            return {}
        return view.totals("deployment", "operation", where=lambda key: key.operation in operations, bins=False)

    def _reasons(
        self, view: View, u: _Uneven, used: Mapping[str, Sample], cells: Mapping[tuple[str, ...], Cell]
    ) -> list[Suspected]:
        found = [self._overloaded(view, u, used, cells)]
        if u.is_fixed:
            message = f"{_gets(u)} though its weight is {u.expected:.0%}"
            found.append((u.p_value, _finding(view, u, message, 0.4)))
        else:
            found += [self._unearned(view, u, used, cells, other) for other in used if other != u.busiest]
        return [f for f in found if f is not None]

    def _overloaded(
        self, view: View, u: _Uneven, used: Mapping[str, Sample], cells: Mapping[tuple[str, ...], Cell]
    ) -> Suspected | None:
        """The busiest one hits limits more often than the rest together."""
        mine = cells.get((u.busiest, u.operation), Cell())
        others = [cells[d, u.operation] for d in used if d != u.busiest and (d, u.operation) in cells]
        k, n, rest = _overloads(mine), mine.n_runs, sum(c.n_runs for c in others)
        if min(n, rest) < self.options.min_runs:
            return None
        k_rest = sum(map(_overloads, others))
        i, p_value = rate_difference(k_rest, rest, k, n).interval, more_p(k_rest, rest, k, n)
        if i.low <= 0 or i.estimate < self.options.min_overload:
            return None
        message = (
            f"{_gets(u)} and {k / n:.1%} of them hit rate limits or time out, {i.estimate:+.1%} ({i.low:+.1%} to "
            f"{i.high:+.1%}) beside the others"
        )
        return max(u.p_value, p_value), _finding(view, u, message, 0.6 + min(0.4, i.estimate))

    def _unearned(
        self,
        view: View,
        u: _Uneven,
        used: Mapping[str, Sample],
        cells: Mapping[tuple[str, ...], Cell],
        other: str,
    ) -> Suspected | None:
        """Another one is not worse, nor dearer or slower."""
        o, a, b = self.options, used[other], used[u.busiest]
        if a.outcomes.n < o.min_runs or self._is_cheaper(cells, u, other):
            return None
        is_judged = min(a.rewards.n, b.rewards.n) >= o.min_runs
        theirs, mine = (a.rewards, b.rewards) if is_judged else (a.outcomes, b.outcomes)
        p_value = max(u.p_value, not_better_p(theirs, mine, o.margin))
        message = (
            f"{_gets(u)} though {other!r} is not worse: {'quality' if is_judged else 'success'} "
            f"{theirs.mean or 0:.1%} (n {theirs.n}) against {mine.mean or 0:.1%} (n {mine.n})"
        )
        return p_value, _finding(view, u, message, 0.3)

    def _is_cheaper(self, cells: Mapping[tuple[str, ...], Cell], u: _Uneven, other: str) -> bool:
        mine, theirs = cells.get((u.busiest, u.operation), Cell()), cells.get((other, u.operation), Cell())
        for name in ("cost_nusd", "duration_us"):
            a, b = mine.mean(name), theirs.mean(name)
            if a is not None and b and a <= self.options.cheaper * b:
                return True
        return False


def _scatter(view: View, operation: str, deployment: str) -> float:
    """How many times as much a deployment's share scatters from hour to hour as independent draws would."""
    pieces = view.series(_PIECE_S, "deployment", where=lambda key: key.operation == operation)
    counts = [(cells[deployment,].n_runs if (deployment,) in cells else 0, _n(cells)) for _, cells in pieces]
    k, n = sum(k for k, _ in counts), sum(n for _, n in counts)
    large = [(k_i, n_i) for k_i, n_i in counts if n_i >= 10]
    if len(large) < 3 or not 0 < k < n:
        return 1.0
    p = k / n
    return sum((k_i - n_i * p) ** 2 / (n_i * p * (1 - p)) for k_i, n_i in large) / (len(large) - 1)


def _n(cells: Mapping[tuple[str, ...], Cell]) -> int:
    return sum(cell.n_runs for (deployment,), cell in cells.items() if deployment)


def _overloads(cell: Cell) -> int:
    return sum(cell.outcomes.get(name, 0) for name in _OVERLOADS)


def _gets(u: _Uneven) -> str:
    return f"{u.busiest!r} gets {u.share:.0%} of the {u.total} runs on {u.operation!r}"


def _finding(view: View, u: _Uneven, message: str, severity: float) -> Finding:
    return Finding(
        finding_id=f"imbalance:{u.busiest}:{u.operation}",
        analyzer="imbalance",
        kind="imbalance",
        message=message,
        deployment=u.busiest,
        operation=u.operation,
        severity=severity,
        after=wilson_interval(u.n, u.total),
        n_runs=u.n,
        evidence=view.evidence(u.busiest, u.operation),
    )

"""What is on the bad side of a limit, with the p-value of its being there by chance.

Only those are answered; whoever adjusts for their number has to count the others too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hivefeedback.model import Interval
from hivefeedback.stats import (
    Cell,
    Judged,
    Spread,
    bin_of,
    mean_interval,
    spread_interval,
    spread_of,
    wilson_interval,
)
from hivefeedback_analyzers.odds import above_mean_p, above_rate_p, below_mean_p, below_rate_p, ratio_of
from hivefeedback_analyzers.windows import Key

__all__ = [
    "Broken",
    "changed_means",
    "failing",
    "low_ratings",
    "low_success",
    "named",
    "relative_variance",
    "slow",
    "slow_tail",
]

Cells = Mapping[Key, Cell]
Counts = Mapping[Key, tuple[int, int]]
"""Counted runs outside of canaries, and those of them that succeeded."""
_RATINGS = ("rating", "overall")
_TAIL = 0.05
"""Part of the runs above a 95 % quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Something on the bad side of a limit.

    Args:
        what: Which limit.
        key: (deployment, operation) that it is about; either may be empty.
        message: With the numbers.
        severity: 0–1, if it is more than chance.
        after: The measure with its 95 % interval.
        n: Runs or ratings behind it.
        p_value: Chance of it if the truth were just at the limit.
        before: What was before, where it is a change.
    """

    what: str
    key: Key
    message: str
    severity: float
    after: Interval
    n: int
    p_value: float
    before: Interval | None = None


def named(key: Key) -> str:
    """Deployment and operation in words."""
    return f"{key[0]!r} on {key[1]!r}" if key[1] else repr(key[0])


def failing(counts: Counts, rates: Sequence[float]) -> Iterator[Broken]:
    """Failures above the rungs of a ladder; the last rung has severity 1."""
    for key, (n, good) in counts.items():
        failures = n - good
        for rung, rate in enumerate(rates, 1):
            if failures <= rate * n:
                break
            after = wilson_interval(failures, n)
            yield Broken(
                what="errors",
                key=key,
                message=f"{after.estimate:.1%} of {n} runs of {named(key)} failed ({_bounds(after)}), "
                f"more than {rate:.0%}",
                severity=0.4 + 0.6 * rung / len(rates),
                after=after,
                n=n,
                p_value=above_rate_p(failures, n, rate),
            )


def low_success(counts: Counts, target: float) -> Iterator[Broken]:
    """Success below a target."""
    for key, (n, good) in counts.items():
        if good >= target * n:
            continue
        after = wilson_interval(good, n)
        yield Broken(
            what="success_rate",
            key=key,
            message=f"{named(key)} succeeds in {after.estimate:.1%} of {n} runs ({_bounds(after)}); "
            f"the target is {target:.1%}",
            severity=min(1.0, 0.4 + 2 * (target - after.estimate)),
            after=after,
            n=n,
            p_value=below_rate_p(good, n, target),
        )


def low_ratings(cells: Cells, target: float, *, min_ratings: int) -> Iterator[Broken]:
    """Mean ratings (1–5) below a target."""
    value = (target - 1.0) / 4.0
    for key, cell in cells.items():
        for name in _RATINGS:
            judged = cell.judged.get(name, Judged())
            if judged.n < min_ratings or (judged.mean or 0.0) >= value:
                continue
            after = mean_interval(judged)
            yield Broken(
                what=name,
                key=key,
                message=f"{name} of {named(key)} is {1 + 4 * after.estimate:.2f} of 5 ({1 + 4 * after.low:.2f} to "
                f"{1 + 4 * after.high:.2f}, n {judged.n}); the target is {target:g}",
                severity=min(1.0, 0.4 + (value - after.estimate)),
                after=after,
                n=judged.n,
                p_value=below_mean_p(judged, value),
            )


def slow(cells: Cells, ladder: Sequence[tuple[float, float]], *, min_runs: int) -> Iterator[Broken]:
    """Mean responses of successful runs above the rungs (seconds, severity) of a ladder."""
    for key, cell in cells.items():
        spread = _durations(cell)
        after = spread_interval(spread) if spread.n >= min_runs and spread.mean > ladder[0][0] else None
        for limit_s, severity in ladder:
            if after is None or after.estimate <= limit_s:
                break
            yield Broken(
                what="response",
                key=key,
                message=f"{named(key)} takes {after.estimate * 1000:.0f} ms on average ({after.low * 1000:.0f} to "
                f"{after.high * 1000:.0f}, n {spread.n}), more than {limit_s * 1000:.0f} ms",
                severity=severity,
                after=after,
                n=spread.n,
                p_value=above_mean_p(spread, limit_s),
            )


def slow_tail(cells: Cells, limit_s: float, *, min_runs: int) -> Iterator[Broken]:
    """95 % quantiles of all counted runs above a limit: more than 5 % of the runs took longer."""
    limit_bin = bin_of(limit_s)
    for key, cell in cells.items():
        bins = [(k, n) for name in ("duration_us", "other_us") for k, n in cell.bins.get(name, {}).items()]
        n = sum(count for _, count in bins)
        longer = sum(count for k, count in bins if k > limit_bin)
        if n < min_runs or longer <= _TAIL * n:
            continue
        after = wilson_interval(longer, n)
        yield Broken(
            what="response_p95",
            key=key,
            message=f"{after.estimate:.1%} of {n} runs of {named(key)} take more than {limit_s:g} s "
            f"({_bounds(after)}), so that the 95 % quantile does",
            severity=1.0,
            after=after,
            n=n,
            p_value=above_rate_p(longer, n, _TAIL),
        )


def changed_means(
    before: Cells, recent: Cells, targets: Mapping[str, float | None], *, min_runs: int
) -> Iterator[Broken]:
    """Times and costs that did not change as they should have."""
    for what, target in targets.items():
        for key, cell in recent.items() if target is not None else ():
            if target is None or key not in before:
                continue
            first, second = _of(what, before[key]), _of(what, cell)
            if min(first.n, second.n) < min_runs:
                continue
            ratio = ratio_of((first.mean, relative_variance(first)), (second.mean, relative_variance(second)))
            if ratio is None or ratio.interval.estimate <= 1.0 + target:
                continue
            i = ratio.interval
            yield Broken(
                what=what,
                key=key,
                message=f"{what} of {named(key)} changed by {i.estimate - 1:+.1%} ({i.low - 1:+.1%} to "
                f"{i.high - 1:+.1%}, n {second.n}); the target is {target:+.0%}",
                severity=min(1.0, 0.3 + 0.5 * (i.estimate - 1.0 - target)),
                after=i,
                n=second.n,
                p_value=ratio.above_p(1.0 + target),
            )


def _bounds(interval: Interval) -> str:
    return f"{interval.low:.1%} to {interval.high:.1%}"


def _of(what: str, cell: Cell) -> Spread:
    if what == "response_time":
        return _durations(cell)
    mean = cell.mean("cost_nusd")
    return spread_of(cell.bins.get("cost_nusd", {}), None if mean is None else mean / 1e9)


def _durations(cell: Cell) -> Spread:
    mean_us = cell.mean("duration_us")
    return spread_of(cell.bins.get("duration_us", {}), None if mean_us is None else mean_us / 1e6)


def relative_variance(spread: Spread) -> float:
    """Variance of the mean by the mean squared."""
    return spread.variance / spread.n / spread.mean**2 if spread.n > 0 and spread.mean > 0 else 0.0

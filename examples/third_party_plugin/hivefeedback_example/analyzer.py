"""Finds deployments that are slow."""

from __future__ import annotations

from collections.abc import Iterator

from hivefeedback.model import Finding
from hivefeedback.stats import View

__all__ = ["slow_deployments"]


def slow_deployments(view: View, *, max_p95_s: float, min_runs: int) -> Iterator[Finding]:
    """A finding for each deployment whose 95th percentile of duration is above ``max_p95_s``.

    Args:
        view: Aggregates of the analysis window.
        max_p95_s: Bound in seconds.
        min_runs: Runs below which nothing is said; a percentile of few runs is noise.
    """
    for (deployment,), cell in view.totals("deployment").items():
        p95_s = cell.quantile("all_us", 0.95)
        if p95_s is None or cell.n_runs < min_runs or p95_s <= max_p95_s:
            continue
        yield Finding(
            finding_id=f"example:slow:{deployment}",
            analyzer="example",
            kind="slow",
            deployment=deployment,
            severity=min(1.0, 0.2 * p95_s / max_p95_s),
            message=f"{deployment!r} takes {p95_s:.2f} s at the 95th percentile; the bound is {max_p95_s:.2f} s",
            n_runs=cell.n_runs,
            evidence=view.evidence(deployment),
        )

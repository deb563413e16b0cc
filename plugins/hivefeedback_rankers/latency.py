"""A latency as a score, the same for every ranker that weighs it."""

from __future__ import annotations

__all__ = ["latency_score"]


def latency_score(latency_ms: float, max_acceptable_ms: float) -> float:
    """100 for no time at all, 50 at what is acceptable, 0 from twice that on; linear between.

    Kept in 0–100 before any weighting: unbounded, a very slow deployment would have a negative
    score, which a penalty would raise.

    Args:
        latency_ms: Mean latency, ≥ 0.
        max_acceptable_ms: What is acceptable, > 0.

    >>> [latency_score(ms, 500.0) for ms in (0.0, 250.0, 500.0, 1000.0, 10_000.0)]
    [100.0, 75.0, 50.0, 0.0, 0.0]
    """
    return min(100.0, max(0.0, 100.0 - latency_ms / (2.0 * max_acceptable_ms) * 100.0))

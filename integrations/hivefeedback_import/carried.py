"""What was read from a file of another system, in our own nouns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hivefeedback.model import Deployment, Run

__all__ = ["Carried", "Quality", "Total"]


class Quality(NamedTuple):
    """A run with its rating: 1–5, or None where nobody rated it."""

    run: Run
    rating: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Sums of queries whose single runs nobody kept.

    Args:
        deployment, operation: What they are about.
        n_queries, n_successful: How many queries used it, and how many of these went well.
        latencies_s: Latencies in seconds, as many as were kept.
        at_s: When they were written down, seconds since 1970 UTC.
    """

    deployment: str
    operation: str
    n_queries: int
    n_successful: int
    latencies_s: tuple[float, ...] = ()
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The content of a file, and what of it has no place here.

    Args:
        kind: ``llmhive``, ``task44`` or ``litellm``.
        deployments: To declare.
        runs: Single runs, the oldest first, each with an id that the same record always gets.
        totals: Sums without runs.
        left: A sentence for each thing that cannot be carried; no values, since these may be keys.
    """

    kind: str
    deployments: tuple[Deployment, ...] = ()
    runs: tuple[Quality, ...] = ()
    totals: tuple[Total, ...] = ()
    left: tuple[str, ...] = ()

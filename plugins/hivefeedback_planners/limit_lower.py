"""How far ``max_tokens`` of a dear deployment can be lowered, and what that saves and costs.

Where 99 of 100 answers are well below the limit, lowering it towards them costs nothing, and stops
the few that run away. Where they come close, some will be cut: that share is told, and nothing is
lowered if it could exceed the rate of truncations that is put up with.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hivefeedback.stats import Cell, value_of
from hivefeedback_planners.limit import Limit, below_rate_p, share_above

__all__ = ["Lowering", "lowering"]

_HEADROOM = 1.1
"""Above what 99 of 100 answers need."""
_WORTH = 0.9
"""A limit that stays above this part of its old value is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """A lower limit.

    Args:
        to: The new value.
        p99: What 99 of 100 answers stay below, in tokens.
        cut: Part of the answers that are longer than the new limit, 0–1.
        saved: Tokens of the window above the new limit.
        saved_share: Part of all output tokens of the window, 0–1.
        n_runs: Answers whose length is known.
        p_value: Chance of so few long answers if as many as are put up with were cut.
    """

    to: int | float
    p99: float
    cut: float
    saved: float
    saved_share: float
    n_runs: int
    p_value: float

    @property
    def is_free(self) -> bool:
        """True where at most one answer in a hundred is longer than the new limit."""
        return self.p99 <= self.to


def lowering(cell: Cell, limit: Limit, *, accepted: float, min_runs: int, factor: float) -> Lowering | None:
    """The lower limit of a deployment, or None where there is none that is worth it.

    Args:
        cell: All of its runs as it is served now.
        limit: Its ``max_tokens``.
        accepted: Rate of truncated answers that is put up with, in (0, 1).
        min_runs: Fewest answers of known length.
        factor: What the limit is divided by at most, in one step.
    """
    n, p99 = cell.ns.get("tokens_out", 0), cell.quantile("tokens_out", 0.99)
    if n < min_runs or p99 is None:
        return None
    needed = ceil(p99 * _HEADROOM)
    step = limit.value / factor
    to = limit.at(max(step, needed) if needed <= _WORTH * limit.value else step)
    if to > _WORTH * limit.value:
        return None
    longer = share_above(cell, "tokens_out", to) or 0.0
    truncated = cell.outcomes.get("truncated", 0) / cell.n_runs if cell.n_runs else 0.0
    cut = max(longer, truncated)
    if cut >= accepted:
        return None
    saved = sum(max(0.0, value_of(k) - to) * count for k, count in cell.bins.get("tokens_out", {}).items())
    total = cell.sums.get("tokens_out", 0)
    return Lowering(
        to=to,
        p99=p99,
        cut=cut,
        saved=saved,
        saved_share=min(1.0, saved / total) if total > 0 else 0.0,
        n_runs=n,
        p_value=below_rate_p(round(cut * n), n, accepted),
    )

"""What users said, from the sums of a view without their histograms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hivefeedback.stats import Judged, View
from hivefeedback_analyzers.windows import Key

__all__ = ["Heard", "heard"]


@dataclass(frozen=True, slots=True)
class Heard:
    """Runs of a (deployment, operation), and each kind of judgement of them."""

    n_runs: int
    judged: Mapping[str, Judged]


def heard(view: View) -> dict[Key, Heard]:
    """By (deployment, operation); what was said of agents stands under the empty deployment."""
    cells = view.totals("deployment", "operation", bins=False)
    return {key: Heard(cell.n_runs, cell.judged) for key, cell in cells.items()}

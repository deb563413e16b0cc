"""What users said, summed from the cells of a view without their histograms."""

from __future__ import annotations

from dataclasses import dataclass, field

from hivefeedback.stats import Judged, View
from hivefeedback_analyzers.windows import Key

__all__ = ["Heard", "heard"]


@dataclass(slots=True)
class Heard:
    """Runs of a (deployment, operation), and each kind of judgement of them."""

    n_runs: int = 0
    judged: dict[str, Judged] = field(default_factory=dict)


def heard(view: View) -> dict[Key, Heard]:
    """By (deployment, operation); what was said of agents stands under the empty deployment."""
    found: dict[Key, Heard] = {}
    for s in view.slices:
        if s.key.arm:
            continue
        key = (s.key.deployment, s.key.operation)
        into = found.get(key)
        if into is None:
            into = found[key] = Heard()
        into.n_runs += s.cell.n_runs
        for name, judged in s.cell.judged.items():
            known = into.judged.setdefault(name, Judged())
            known.n += judged.n
            known.total += judged.total
            known.squares += judged.squares
    return found

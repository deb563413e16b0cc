"""How well runs went: outcomes and rewards as mergeable samples, without what canaries served.

What a canary does to its share of the traffic is the monitor's business; taken for the behaviour of
the deployment it would look like a degradation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from hivefeedback.model import BLAMED, is_counted
from hivefeedback.stats.cell import JUDGED_UNIT, Judged
from hivefeedback.stats.delta import Exemplar
from hivefeedback.stats.recent import Newest
from hivefeedback.stats.view import View

__all__ = ["Sample", "newest_runs", "newest_sample", "sample_of", "samples"]


_HOW = attrgetter("outcome", "reward")


class Sample(NamedTuple):
    """Some runs.

    Args:
        outcomes: 1 for each counted run that did not fail, 0 for each that did.
        rewards: What was learnt from them; fewer than the runs where judgements are missing.
    """

    outcomes: Judged
    rewards: Judged

    def plus(self, other: Sample) -> Sample:
        """Both together."""
        return Sample(_add(self.outcomes, other.outcomes, 1), _add(self.rewards, other.rewards, 1))

    def minus(self, part: Sample) -> Sample:
        """The rest, where ``part`` is contained in this."""
        return Sample(_add(self.outcomes, part.outcomes, -1), _add(self.rewards, part.rewards, -1))


def samples(view: View, *by: str) -> dict[tuple[str, ...], Sample]:
    """Samples of the runs of a view outside of canaries, by parts of the cell's key."""
    return {name: _clean(_sample(*found)) for name, found in view.tallies(*by).items()}


def newest_runs(view: View, deployment: str, operation: str) -> list[Exemplar]:
    """The newest counted runs of a (deployment, operation) outside of canaries, newest last, each once."""
    if isinstance(view.exemplars, Newest):
        return list(view.exemplars.counted((deployment, operation)))
    once = {e.run_id: e for e in view.exemplars.get((deployment, operation), ())}
    kept = [e for e in once.values() if not e.is_canary and is_counted(e.outcome)]
    return sorted(kept, key=lambda e: e.started_at_s)


def newest_sample(view: View, deployment: str, operation: str, n: int) -> Sample | None:
    """The sample of the newest n of ``newest_runs``; None where there are fewer. Quick in a running view."""
    if not isinstance(view.exemplars, Newest):
        runs = newest_runs(view, deployment, operation)
        return sample_of(runs[-n:]) if len(runs) >= n else None
    counted, memo = view.exemplars.with_memo((deployment, operation))
    if len(counted) < n:
        return None
    known = memo.get(n)
    if not isinstance(known, Sample):
        known = memo[n] = sample_of(counted[-n:])
    return known


def sample_of(exemplars: Iterable[Exemplar]) -> Sample:
    """The sample of single runs; those that went alike are counted together, since rewards are few values."""
    n = n_good = n_rewards = total = squares = 0
    for (outcome, reward), k in Counter(map(_HOW, exemplars)).items():
        n += k
        if outcome in BLAMED:
            n_rewards += k  # they earned nothing
            continue
        n_good += k
        if reward is not None:
            units = round(reward * JUDGED_UNIT)
            n_rewards, total, squares = n_rewards + k, total + k * units, squares + k * units * units
    return _sample(n, n_good, n_rewards, total, squares)


def _sample(n: int, n_ok: int, n_rewards: int, total: int, squares: int) -> Sample:
    return Sample(Judged(n, n_ok * JUDGED_UNIT, n_ok * JUDGED_UNIT**2), Judged(n_rewards, total, squares))


def _add(a: Judged, b: Judged, sign: int) -> Judged:
    return Judged(a.n + sign * b.n, a.total + sign * b.total, a.squares + sign * b.squares)


def _clean(sample: Sample) -> Sample:
    """Late corrections may have reached only one of two cells: never answer negative counts."""
    return Sample(*(j if j.n > 0 and j.total >= 0 and j.squares >= 0 else Judged() for j in sample))

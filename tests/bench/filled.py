"""A store as it lies there after a day: 50 deployments × 20 operations × 24 h."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hivefeedback.hooks import Commit, Store
from hivefeedback.model import Run
from hivefeedback.stats import MAX_EXEMPLARS, Cell, CellKey, Delta, Exemplar, bucket_of

__all__ = ["DEPLOYMENTS", "N_CELLS", "OPERATIONS", "fill"]

DEPLOYMENTS = tuple(f"m{i}" for i in range(50))
OPERATIONS = tuple(f"text-to-text/{i}" for i in range(20))
_HOURS, _MINUTES = 22, 120
N_CELLS = len(DEPLOYMENTS) * len(OPERATIONS) * (_HOURS + _MINUTES)
_TOGETHER = 10_000


def fill(store: Store, now_s: float, *, runs_per_cell: int, seed: int = 1) -> int:
    """Write 22 hours and 120 minutes of every deployment × operation; answers how many runs that stands for.

    Args:
        store: A new one.
        now_s: The end of the day, seconds since 1970 UTC.
        runs_per_cell: 1 makes 10⁵ runs, 70 make 10⁷. Their aggregates are written as they are, since
            nothing that is measured reads events.
        seed: Of the numbers.
    """
    rng = random.Random(seed)
    pool = _Pool(rng)
    templates = [pool.cell(runs_per_cell) for _ in range(500)]
    minute = bucket_of(now_s)
    starts = [minute - (h + 3) * 3600 for h in range(_HOURS)] + [minute - m * 60 for m in range(_MINUTES)]
    delta, number = Delta(), 0
    for start in sorted(starts):
        for key in _keys():
            delta.cells[(key, start)] = rng.choice(templates)
        if len(delta.cells) >= _TOGETHER:
            number += 1
            store.commit(Commit("bench", 1, number, (), delta))
            delta = Delta()
    for key in _keys():
        delta.add_exemplars(key.deployment, key.operation, pool.exemplars(key, now_s))
    store.commit(Commit("bench", 1, number + 1, (), delta))
    store.aggregates.compact(now_s=now_s)
    return N_CELLS * runs_per_cell


def _keys() -> Iterator[CellKey]:
    return (CellKey(d, o, fingerprint="fp") for d in DEPLOYMENTS for o in OPERATIONS)


def _run(rng: random.Random) -> Run:
    return Run(
        "m",
        "o",
        rng.choices(("ok", "timeout", "refused"), (90, 6, 4))[0],
        rng.lognormvariate(0.0, 0.6),
        tokens_in=rng.randrange(200, 2000),
        tokens_out=rng.randrange(50, 500),
        cost_usd=rng.uniform(0.0005, 0.01),
        ttft_s=rng.uniform(0.05, 0.4),
    )


class _Pool:
    """Runs and what they earned; cells and newest runs are drawn from the same, so that nothing changed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._runs = rng, [_run(rng) for _ in range(500)]
        self._rewards = [0.0 if r.outcome == "timeout" else rng.choice((0.5, 0.75, 1.0)) for r in self._runs]

    def draw(self) -> tuple[Run, float]:
        n = self._rng.randrange(len(self._runs))
        return self._runs[n], self._rewards[n]

    def cell(self, n_runs: int) -> Cell:
        cell = Cell()
        for i in range(n_runs):
            run, reward = self.draw()
            cell.add_run(run)
            cell.add_judged("reward", reward)
            if i % 5 == 0:
                cell.add_judged("rating", self._rng.choice((0.5, 0.75, 1.0)))
        return cell

    def exemplars(self, key: CellKey, now_s: float) -> list[Exemplar]:
        found = []
        for i in range(MAX_EXEMPLARS):
            run, reward = self.draw()
            at_s = now_s - 60.0 * (MAX_EXEMPLARS - i) + self._rng.random()
            name = f"r-{key.deployment}-{key.operation}-{i}"
            found.append(Exemplar(at_s, name, run.duration_s, run.outcome, reward=reward))
        return found

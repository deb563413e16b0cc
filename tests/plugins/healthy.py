"""Seeded traffic that is just as it should be, minute after minute, and the views of a turn on it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from hivefeedback.model import Configuration, Deployment, Run
from hivefeedback.stats import Cell, CellKey, Changes, Exemplar, Slice, View, Window, bucket_of

__all__ = ["CONFIG", "OPERATIONS", "turns"]

T0_S = 1_700_000_040.0
OPERATIONS = ("qa", "code", "text/sum")
CONFIG = Configuration(version=1, deployments={n: Deployment(n) for n in ("a", "b", "c")})
_TURN_S, _WINDOW_S = 300.0, 6 * 3600.0
_RUNS = 60
_SESSION = 5
"""Runs of a session, which stay with one deployment."""


def turns(n: int, *, seed: int) -> Iterator[tuple[View, float]]:
    """(view, now) of n turns after one full window of history.

    All deployments are alike, and as bad as the limits allow: 5 % fail, a response takes 1.5 s on
    average, ratings are 4.5 of 5, 1 % of the runs are complained of. Costs and times are lognormal.
    """
    rng, window = Random(seed), Window()
    history = int(_WINDOW_S / _TURN_S)
    for turn in range(history + n):
        from_s = T0_S + turn * _TURN_S
        cells, newer = _traffic(rng, from_s)
        added = [Slice(start, 60, key, cell) for (key, start), cell in cells.items()]
        now_s = from_s + _TURN_S
        window.take_in(Changes(mark=str(turn), is_whole=turn == 0, added=added, newer=newer), from_s=now_s - _WINDOW_S)
        if turn >= history:
            yield window.view(now_s - _WINDOW_S, now_s), now_s


def _traffic(
    rng: Random, from_s: float
) -> tuple[dict[tuple[CellKey, int], Cell], dict[tuple[str, str], list[Exemplar]]]:
    cells: dict[tuple[CellKey, int], Cell] = {}
    newer: dict[tuple[str, str], list[Exemplar]] = {}
    for i in range(_RUNS):
        if i % _SESSION == 0:
            deployment, operation = rng.choice("abc"), rng.choice(OPERATIONS)
        at_s = from_s + _TURN_S * i / _RUNS
        outcome = "ok" if rng.random() >= 0.05 else rng.choice(("timeout", "model_error"))
        run = Run(
            deployment,
            operation,
            outcome,
            1.5 * rng.lognormvariate(-0.18, 0.6),
            cost_usd=0.002 * rng.lognormvariate(-0.18, 0.6),
            run_id=f"r-{at_s}",
            started_at_s=at_s,
        )
        cell = cells.setdefault((CellKey(deployment, operation), bucket_of(at_s)), Cell())
        cell.add_run(run)
        if rng.random() < 0.3:
            for name in ("rating", "overall", "sentiment"):
                cell.add_judged(name, rng.choice((0.75, 1.0)))
        if rng.random() < 0.01:
            cell.add_judged("complaint", 1.0)
        exemplar = Exemplar(at_s, run.run_id, run.duration_s, outcome)
        newer.setdefault((deployment, operation), []).append(exemplar)
    return cells, newer

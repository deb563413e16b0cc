"""Questions and the turn with 50 deployments × 20 operations × 24 h stored, of 10⁵ and of 10⁷ runs."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hivefeedback import FeedbackLoop, Run
from hivefeedback.testing import FakeClock
from tests.bench.filled import DEPLOYMENTS, OPERATIONS, fill
from tests.bench.row import Row, median

__all__ = ["question_rows"]

_REPEATS = 7
_FRESH = 20
"""Runs between two questions, so that no answer is the one before."""
_BUSY = 3000
"""Runs in the minute between two turns: of nearly every deployment × operation."""


class _Times(NamedTuple):
    """Milliseconds: the first call of the process, later ones, and one after a minute of traffic."""

    cold: float
    warm: float
    busy: float


def question_rows() -> Iterator[Row]:
    """Each at 10⁷ runs, beside itself at 10⁵."""
    few, n_few = _measured(runs_per_cell=1)
    many, n_many = _measured(runs_per_cell=70)
    for name, times in many.items():
        note = (
            f"{n_many:.0e} runs; first call {times.cold:,.0f} ms; after a minute with {_BUSY} runs {times.busy:.1f} ms "
            f"(with {n_few:.0e} stored: {few[name].cold:,.0f}, {few[name].busy:.1f})"
        )
        if name == "turn()":
            yield Row(name=name, ours=times.warm, unit="ms", limit=50.0, note=note)
            yield Row(
                name="turn(), 10⁷ runs against 10⁵",
                ours=times.warm,
                unit="ms",
                floor=few[name].warm,
                floor_name="itself with 10⁵ runs stored",
                limit=1.1,
            )
        else:
            yield Row(name=name, ours=times.warm, unit="ms", limit=20.0, note=note)


def _measured(*, runs_per_cell: int) -> tuple[Mapping[str, _Times], int]:
    clock, rng = FakeClock(), random.Random(2)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/hive.db"
        with FeedbackLoop(url, clock=clock, mode="observe") as loop:
            n_runs = fill(loop.store, clock(), runs_per_cell=runs_per_cell)
        with FeedbackLoop(url, DEPLOYMENTS, clock=clock, seed=1) as loop:
            times = {name: _times(loop, ask, clock, rng) for name, ask in _asked(loop).items()}
    return times, n_runs


def _asked(loop: FeedbackLoop) -> dict[str, Callable[[], object]]:
    """The turn comes first, so its first call is the one that reads the whole day."""
    return {
        "turn()": loop.turn,
        "stats()": loop.stats,
        "compare()": loop.compare,
        "rank()": loop.rank,
        "rank(operation=)": lambda: loop.rank(operation=OPERATIONS[3]),
        "recommend()": loop.recommend,
        "trend()": lambda: loop.trend("success_rate"),
        "trend() of the 95th percentile": lambda: loop.trend("p95_s"),
        "insights()": loop.insights,
    }


def _times(loop: FeedbackLoop, ask: Callable[[], object], clock: FakeClock, rng: random.Random) -> _Times:
    cold, warm = _ms(ask), list[float]()
    for _ in range(_REPEATS):
        _record(loop, rng, _FRESH)
        clock.advance(1)
        warm.append(_ms(ask))
    _record(loop, rng, _BUSY)
    clock.advance(60)
    return _Times(cold, median(warm), _ms(ask))


def _ms(ask: Callable[[], object]) -> float:
    """CPU time of the thread, which does everything in a loop with a given clock."""
    start = time.thread_time()
    ask()
    return (time.thread_time() - start) * 1000


def _record(loop: FeedbackLoop, rng: random.Random, n: int) -> None:
    for _ in range(n):
        run = Run(
            rng.choice(DEPLOYMENTS),
            rng.choice(OPERATIONS),
            "ok",
            rng.uniform(0.5, 2.0),
            tokens_in=rng.randrange(2000),
            tokens_out=rng.randrange(500),
            cost_usd=0.002,
        )
        loop.record(run)

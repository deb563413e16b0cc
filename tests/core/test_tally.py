"""Many runs counted at once are what they are one by one."""

from __future__ import annotations

import random

import pytest

from hivefeedback import Run
from hivefeedback.stats import CellKey, Delta, Tally


def _some_runs(n: int, seed: int) -> list[tuple[CellKey, int, Run, float | None]]:
    rng = random.Random(seed)
    return [
        (
            CellKey(rng.choice("abc"), rng.choice("xyz")),
            rng.choice([0, 60]),
            Run(
                "a",
                "x",
                rng.choice(["ok", "ok", "timeout", "cancelled"]),
                rng.choice([None, 0.0, rng.expovariate(1.0)]),
                tokens_in=rng.choice([None, rng.randrange(3000)]),
                cost_usd=rng.random() * 1e5,
                memory_mb=rng.choice([None, 12.5]),
            ),
            rng.choice([None, 0.0, 1.0, rng.random()]),
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize("n", [0, 1, 47, 48, 1023, 5000])
def test_counting_together_equals_counting_one_by_one(n: int) -> None:
    together, one_by_one, tally = Delta(), Delta(), Tally()
    for key, bucket, run, reward in _some_runs(n, seed=n):
        cell = one_by_one.cell(key, bucket)
        cell.add_run(run)
        if reward is not None:
            cell.add_judged("reward", reward)
        tally.add(key, bucket, run, reward)
        if tally.is_long:
            tally.count_into(together)
    tally.count_into(together)
    assert together == one_by_one
    assert len(tally) == 0


def test_a_tally_is_long_before_counting_it_would_keep_others_waiting() -> None:
    tally = Tally()
    for key, bucket, run, reward in _some_runs(1024, seed=1):
        assert not tally.is_long
        tally.add(key, bucket, run, reward)
    assert tally.is_long

"""The newest runs are the same however many are looked at, in whatever order."""

from __future__ import annotations

import random

import pytest

from hivefeedback.stats import MAX_EXEMPLARS, Exemplar
from hivefeedback.stats.recent import newest


@pytest.mark.parametrize("n_runs", [5, 90, 150, 2000])
def test_the_newest_of_many_are_those_of_a_sort(n_runs: int) -> None:
    rng = random.Random(n_runs)
    runs = [Exemplar(float(rng.randrange(300)), f"r{i}", outcome="ok") for i in range(n_runs)]
    judged = [Exemplar(e.started_at_s, e.run_id, reward=0.5) for e in rng.choices(runs, k=3 * n_runs)]
    told = rng.sample(runs + judged, 4 * n_runs)
    rewards = {e.run_id: e.reward for e in judged}
    expected = sorted(runs, key=lambda e: (e.started_at_s, e.run_id))[-MAX_EXEMPLARS:]
    found = newest(told)
    assert [(e.run_id, e.reward) for e in found] == [(e.run_id, rewards.get(e.run_id)) for e in expected]

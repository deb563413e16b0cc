"""Simulated rollouts: how often the harm test is wrong, with one process and with eight.

``python -m tests.core.canaries 4000`` prints the rates of that many rollouts.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.canaries import ALPHA, canary_requests_until_stop, ending, harmless, is_skewed

ROLLOUTS = 400


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_harmless_rollouts_are_taken_back_less_often_than_alpha_whatever_the_number_of_processes(
    processes: int,
) -> None:
    """Sticky sessions that wander through all processes, failures that triple on the way, a ramp.

    Of 4000 rollouts 0.50 % were taken back with one process and 0.45 % with 2, 4 and 8; 0.12 to 0.15 %
    more were suspected in vain for a moment.
    """
    endings = [ending(harmless(np.random.default_rng(seed)), processes) for seed in range(ROLLOUTS)]
    allowed = ALPHA * ROLLOUTS
    assert sum(e.is_taken_back for e in endings) <= allowed + 2 * allowed**0.5
    assert sum(e.is_suspected_in_vain for e in endings) <= allowed + 2 * allowed**0.5
    assert processes > 1 or not any(e.is_suspected_in_vain for e in endings)  # one process agrees with itself


def test_units_that_are_counted_once_pass_the_sample_ratio_test_and_units_per_process_do_not() -> None:
    rollouts = [harmless(np.random.default_rng(seed)) for seed in range(60)]
    assert not any(map(is_skewed, rollouts))
    assert sum(is_skewed(t, 8) for t in rollouts) > 30  # why sessions are not counted per process


def test_eight_processes_prove_what_one_process_proves() -> None:
    for seed in range(100):
        harmful = harmless(np.random.default_rng(seed), canary_rate=0.6)
        one, eight = ending(harmful, 1), ending(harmful, 8)
        assert one.is_taken_back
        assert eight.proven_s <= one.proven_s + 30.0


@pytest.mark.parametrize(("rate", "requests"), [(0.5, 10), (0.9, 6)])
def test_eight_processes_find_a_broken_canary_about_as_soon_as_one_does(rate: float, requests: int) -> None:
    """Medians; one process alone gives 9 and 4."""
    found = [canary_requests_until_stop(np.random.default_rng(seed), rate, processes=8) for seed in range(60)]
    assert np.median(found) <= requests

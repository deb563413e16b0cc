"""The change detector and the newcomer's trial: hand-computed evidence, optimal speed, way back."""

from __future__ import annotations

from math import log
from random import Random
from statistics import median

import msgspec
import pytest

from hivefeedback_policies.changes import Fall, Rules, Watch, evidence
from hivefeedback_policies.trials import Trial, TrialRules

RULES = Rules()


def calls_until_alarm(rate: float, expected: float, seed: int, most: int = 20_000) -> int:
    watch, rng = Watch(), Random(seed)
    for call in range(1, most + 1):
        if watch.judge(0, expected, float(rng.random() < rate), RULES) >= 0:
            return call
    return most


def fallen(expected: float = 0.9) -> Watch:
    watch = Watch()
    while (fall := watch.judge(0, expected, 0.0, RULES)) < 0:
        pass
    watch.fall(fall, 0, RULES)
    return watch


def test_the_evidence_is_the_log_likelihood_ratio() -> None:
    assert evidence(0.8, 0.5, 1.0) == pytest.approx(log(0.5))
    assert evidence(0.8, 0.5, 0.0) == pytest.approx(log(0.6 / 0.2))
    assert evidence(0.8, 0.5, 0.25) == pytest.approx(0.25 * log(0.5) + 0.75 * log(3.0))


def test_certain_success_is_not_taken_at_its_word() -> None:
    assert evidence(1.0, 0.3, 0.0) == evidence(0.97, 0.3, 0.0)


def test_failures_alone_need_so_many_nats() -> None:
    watch = Watch()
    rules = Rules(falls=(Fall(0.3, 8.0),))
    answers = [watch.judge(0, 0.9, 0.0, rules) for _ in range(5)]  # 1.988 nats each
    assert answers == [-1, -1, -1, -1, 0]


# Optimal tests that know both rates, at one false alarm per 10 000 calls, need these medians and
# 95th percentiles for a fall to 30 %; the target is 1.3 times as many.
@pytest.mark.parametrize(
    ("before", "median_calls", "p95_calls"), [(0.95, 5, 10), (0.9, 6, 13), (0.85, 8, 16), (0.8, 9, 19), (0.7, 13, 26)]
)
def test_a_fall_to_30_percent_is_seen_nearly_as_fast_as_possible(
    before: float, median_calls: int, p95_calls: int
) -> None:
    calls = sorted(calls_until_alarm(0.3 * before, before, seed) for seed in range(400))
    assert median(calls) <= 1.3 * median_calls + 0.5
    assert calls[380] <= 1.3 * p95_calls + 0.5


@pytest.mark.parametrize("rate", [0.95, 0.85, 0.7, 0.5])
def test_healthy_deployments_rarely_raise_an_alarm(rate: float) -> None:
    calls = sum(calls_until_alarm(rate, rate, seed) for seed in range(20))
    assert calls > 20 * 10_000


def test_the_rewards_since_the_change_belong_to_the_new_level() -> None:
    watch = Watch()
    for reward in (1.0, 1.0, 1.0):
        watch.judge(0, 0.9, reward, RULES)
    while (fall := watch.judge(1, 0.9, 0.0, RULES)) < 0:
        pass
    moved = watch.fall(fall, 0, RULES)
    assert {(row, reward) for row, _, reward in moved} == {(1, 0.0)}
    assert watch.is_fallen
    assert watch.factor < 0.2


def test_successful_probes_bring_it_back() -> None:
    watch = fallen()
    # Against a level of 25 % a success is worth ln 4 = 1.39 nats, and 3 are needed.
    assert [watch.probe(0.9, 1.0, n, RULES) for n in range(3)] == [False, False, True]
    assert watch.factor == 1.0
    assert not watch.is_fallen


def test_a_deployment_that_is_still_bad_rarely_comes_back() -> None:
    returns = 0
    for seed in range(200):
        watch, rng = fallen(), Random(seed)
        returns += any(watch.probe(0.9, float(rng.random() < 0.27), n, RULES) for n in range(15))
        assert 0.02 <= watch.factor <= 1.0
    assert returns <= 0.25 * 200


def test_probes_are_spaced_and_a_success_calls_for_more() -> None:
    watch = fallen()
    assert watch.probe_share(1, RULES) == RULES.first_share
    watch.probe(0.9, 0.0, 10, RULES)
    waits = [watch.probe_share(10 + n, RULES) for n in range(0, 200, 5)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.0, RULES.wait_share)
    watch.probe(0.9, 1.0, 80, RULES)
    assert watch.probe_share(81, RULES) == RULES.burst_share


def test_a_trial_ends_by_time_or_by_evidence() -> None:
    rules = TrialRules()
    assert not Trial(60).is_over(59, rules)
    assert Trial(60).is_over(60, rules)
    bad, good = Trial(60), Trial(60)
    for _ in range(3):
        bad.judge(0.9, 0.0, rules)
        good.judge(0.9, 1.0, rules)
    assert bad.is_over(5, rules)
    assert not good.is_over(5, rules)


@pytest.mark.parametrize("seed", range(5))
def test_a_quiet_watch_is_one_that_a_success_does_not_change(seed: int) -> None:
    """The policy asks nothing of a quiet watch when a call succeeds, so nothing may be lost by it."""
    watch, rng = Watch(), Random(seed)
    n_quiet = 0
    for _ in range(500):
        if watch.is_quiet:
            n_quiet += 1
            before = msgspec.json.encode(watch)
            assert watch.judge(0, rng.uniform(0.01, 1.0), 1.0, RULES) == -1
            assert msgspec.json.encode(watch) == before
        watch.judge(0, rng.uniform(0.3, 1.0), rng.choice([1.0, 1.0, 1.0, 0.4, 0.0]), RULES)
    assert n_quiet > 50

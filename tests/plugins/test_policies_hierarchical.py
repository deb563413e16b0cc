"""The default policy: hand-computed shrinkage, invariants, and simulated bandits with stated bounds."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from random import Random

import numpy as np
import pytest

from hivefeedback.hooks import Observation
from hivefeedback_policies.estimates import Estimates
from hivefeedback_policies.hierarchical import HierarchicalPolicy
from hivefeedback_policies.roster import Roster
from hivefeedback_policies.winners import Winners

OPERATIONS = ("simple", "parallel", "java", "relevance")
# Success of four models on four operations, from the BFCL leaderboard of 2024-08 (HuanzhiMao/BFCL-Result), rounded.
RATES = ((0.96, 0.92, 0.85, 0.80), (0.62, 0.93, 0.88, 0.50), (0.64, 0.55, 0.53, 0.61), (0.80, 0.54, 0.88, 0.89))


class World:
    """Fake deployments with known success rates that a policy serves one call at a time."""

    def __init__(self, seed: int, rates: Sequence[Sequence[float]] = RATES, delay: int = 0) -> None:
        self.rates = [list(row) for row in rates]
        self.names = [f"m{k}" for k in range(len(self.rates[0]))]
        self.rng = Random(seed)
        self.policy = HierarchicalPolicy(seed)
        self.declare()
        self.delay = delay
        self.waiting: list[Observation] = []
        self.calls = 0
        self.picks: list[int] = []

    def declare(self) -> None:
        self.policy.declare(dict.fromkeys(self.names, (50.0, None)))

    def join(self, rates: Sequence[float]) -> None:
        for row, rate in zip(self.rates, rates, strict=True):
            row.append(rate)
        self.names.append(f"m{len(self.names)}")
        self.declare()

    def play(self, n_calls: int) -> float:
        """Serve some calls; answers expected reward ÷ that of the best choice for each operation."""
        got = best = 0.0
        for _ in range(n_calls):
            row = self.rng.randrange(len(self.rates))
            shares = self.policy.shares(OPERATIONS[row], self.names)
            k = self.rng.choices(range(len(shares)), shares)[0]
            got += self.rates[row][k]
            best += max(self.rates[row])
            self.picks.append(k)
            self.calls += 1
            reward = float(self.rng.random() < self.rates[row][k])
            self.waiting.append(Observation(OPERATIONS[row], self.names[k], reward, float(self.calls)))
            if len(self.waiting) > self.delay:
                self.policy.learn([self.waiting.pop(0)])
        return got / best

    def most_used(self, last: int = 300) -> int:
        picks = self.picks[-last:]
        return max(set(picks), key=picks.count)


def test_a_cell_is_shrunk_towards_its_row_and_column() -> None:
    estimates = Estimates(cell_strength=4.0, ability_sd=1e-6, ease=0.0, ease_sd=1e-6)
    row, k = estimates.add_row(), estimates.add_column()
    for reward in (1.0, 1.0, 1.0, 0.0):
        estimates.add(row, k, reward)
    estimates.refit(row)
    mean, sd = estimates.read(row)
    # With row and column held at 0 the prior is Beta(4 · 0.5, 4 · 0.5): mean (2 + 3) / (4 + 4).
    assert mean[0] == pytest.approx(0.625, abs=1e-6)
    assert sd[0] == pytest.approx((0.625 * 0.375 / 9) ** 0.5, abs=1e-6)


def test_row_and_column_effects_are_found() -> None:
    estimates = Estimates(cell_strength=1e6, ability_sd=10.0, ease_sd=10.0)
    ease, ability = (1.5, -0.5), (0.8, 0.0, -1.0)
    for i in range(2):
        estimates.add_row()
        for k in range(3):
            if i == 0:
                estimates.add_column()
            rate = 1 / (1 + exp(-ease[i] - ability[k]))
            estimates.add(i, k, 1000.0 * rate, 1000.0)
    for _ in range(50):
        estimates.refit(0)
        estimates.refit(1)
    assert estimates.ease[0] - estimates.ease[1] == pytest.approx(2.0, abs=0.02)
    assert np.diff(estimates.ability[:3]) == pytest.approx([-0.8, -1.0], abs=0.02)


def test_a_deployment_good_elsewhere_starts_high_in_an_operation_where_it_was_never_seen() -> None:
    policy = HierarchicalPolicy(1)
    for i in range(60):
        policy.learn([Observation("x", "good", 1.0, 0.0), Observation("x", "bad", float(i % 3 == 0), 0.0)])
        policy.shares("x", ["good", "bad"])
    good, bad = policy.shares("new", ["good", "bad"])
    assert good > 0.8 > bad


def test_winners_are_counted() -> None:
    winners = Winners(1)
    sharp, broad = winners.shares(np.array([0.9, 0.1]), np.array([0.01, 0.01]), np.array([0.01, 0.01]))
    assert sharp.tolist() == broad.tolist() == [1.0, 0.0]
    sharp, broad = winners.shares(np.array([0.5, 0.5]), np.array([0.1, 0.1]), np.array([0.1, 0.1]))
    assert sharp.sum() == broad.sum() == 1.0
    assert 0.25 < sharp[0] < 0.75


def test_ten_thousand_candidates_are_served() -> None:
    sharp, broad = Winners(1).shares(np.zeros(10_000), np.ones(10_000), np.ones(10_000))
    assert sharp.sum() == pytest.approx(1.0)
    assert broad.sum() == pytest.approx(1.0)


def test_every_candidate_keeps_its_part_of_the_even_share() -> None:
    world = World(1)
    world.play(800)
    for operation in OPERATIONS:
        assert min(world.policy.shares(operation, world.names)) >= 0.02 * 0.1 / 4 * 0.44


def test_arrays_grow_with_operations_and_deployments() -> None:
    policy = HierarchicalPolicy(1)
    for i in range(40):
        policy.learn([Observation(f"op{i}", f"m{i}", 1.0, 0.0)])
    assert sum(policy.index("op39").values()) == pytest.approx(1.0)
    assert len(policy.index("")) == 40


def test_a_place_is_used_again_and_knows_nothing_of_who_had_it() -> None:
    roster = Roster(3)
    assert [roster.add(name) for name in "ab"] == [0, 1]
    roster.remove("a")
    copy = Roster(3)
    copy.restore(roster.names())
    assert copy.add("c") == roster.add("c") == 0
    policy = HierarchicalPolicy(1)
    for _ in range(50):
        policy.learn([Observation("x", "old", 0.0, 0.0), Observation("x", "b", 0.5, 0.0)])
        policy.shares("x", ["old", "b"])
    policy.forget("old")
    policy.learn([Observation("x", "new", 1.0, 0.0)])
    assert policy.shares("x", ["new", "b"])[0] > 0.8


def test_nonsense_rewards_teach_nothing() -> None:
    policy = HierarchicalPolicy(1)
    policy.learn([Observation("x", "a", 1.0, 0.0)])
    before = policy.dump()
    policy.learn([Observation("x", "a", reward, 0.0) for reward in (float("nan"), 2.0, -1.0, float("inf"))])
    assert policy.dump() == before


def test_a_promoted_variant_hands_on_what_it_learnt() -> None:
    policy = HierarchicalPolicy(1)
    for _ in range(60):
        policy.learn([Observation("x", "a", 0.0, 0.0), Observation("x", "b", 0.5, 0.0)])
        policy.learn([Observation("x", "a@r1", 1.0, 0.0)])
        policy.shares("x", ["a", "b"])
    assert policy.shares("x", ["a", "b"])[0] < 0.1
    policy.adopt("a", "a@r1")
    assert policy.shares("x", ["a", "b"])[0] > 0.9


def test_a_variant_starts_as_its_deployment() -> None:
    policy = HierarchicalPolicy(1)
    for _ in range(100):
        policy.learn([Observation("x", "a", 1.0, 0.0), Observation("x", "b", 0.0, 0.0)])
        policy.shares("x", ["a", "b"])
    assert policy.shares("x", ["a@r1", "b"])[0] > 0.9


def test_a_dearer_deployment_is_believed_a_little_better_until_it_is_known() -> None:
    policy = HierarchicalPolicy(1)
    policy.declare({"dear": (50.0, 10.0), "cheap": (50.0, 0.1), "unknown": (50.0, None)})
    shares = policy.index("x")
    assert shares["dear"] > shares["cheap"] > 0.0


def test_the_state_of_a_thousand_cells_is_small() -> None:
    policy, rng = HierarchicalPolicy(1), Random(1)
    for i in range(50):
        for k in range(20):
            policy.learn([Observation(f"op{i}", f"m{k}", rng.random(), 0.0)])
        policy.index(f"op{i}")
    assert len(policy.dump()) < 100_000


def test_it_comes_close_to_the_best_choice_for_each_operation() -> None:
    ratios = [World(seed).play(1500) for seed in range(6)]
    assert sum(ratios) / 6 >= 0.95
    assert min(ratios) >= 0.92


def test_feedback_that_is_a_hundred_calls_late_costs_little() -> None:
    prompt = [World(seed).play(1500) for seed in range(6)]
    late = [World(seed, delay=100).play(1500) for seed in range(6)]
    assert sum(late) / 6 >= sum(prompt) / 6 - 0.025


def test_a_silent_fall_is_left_within_two_dozen_of_its_calls_and_found_again() -> None:
    for seed in range(4):
        world = World(seed)
        world.play(1200)
        victim = world.most_used()
        before = [row[victim] for row in world.rates]
        for row in world.rates:
            row[victim] *= 0.3
        world.play(300)
        assert world.picks[-300:].count(victim) <= 45
        assert [name for name, _, _ in world.policy.alarms()].count(f"m{victim}") >= 1
        assert world.play(500) >= 0.88
        for row, rate in zip(world.rates, before, strict=True):
            row[victim] = rate
        world.play(400)
        assert world.picks[-200:].count(victim) >= 20


def test_an_alarm_makes_all_operations_due_once() -> None:
    policy = HierarchicalPolicy(1)
    for i in range(200):
        policy.learn([Observation("x", "a", 1.0, float(i)), Observation("x", "b", 0.5, float(i))])
        policy.shares("x", ["a", "b"])
    assert policy.due(200.0) == ()
    for i in range(8):
        policy.learn([Observation("x", "a", 0.0, 200.0 + i)])
    assert policy.due(210.0) == ("",)
    ((deployment, operation, numbers),) = policy.alarms()
    assert (deployment, operation) == ("a", "x")
    assert numbers["factor"] < 0.3 < numbers["expected"]
    assert policy.alarms() == []


def test_a_better_newcomer_is_taken_up_and_a_bad_one_is_not_flooded() -> None:
    for seed in range(6):
        good = World(seed)
        good.play(800)
        good.join((0.99, 0.98, 0.9, 0.97))
        good.play(60)
        assert good.picks[-60:].count(4) >= 30
        bad = World(seed)
        bad.play(800)
        bad.join((0.3, 0.3, 0.3, 0.3))
        bad.play(60)
        assert bad.picks[-60:].count(4) <= 15

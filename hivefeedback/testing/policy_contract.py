"""What every policy must do; inherit, and say how to make yours."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.hooks import LearnsAlike, LearnsShared, Observation, Policy

__all__ = ["PolicyContract", "play"]

_DEPLOYMENTS = ("a", "b", "c")
_RATES = {"x": (0.9, 0.5, 0.2), "y": (0.3, 0.4, 0.8)}


def play(policy: Policy, n_calls: int, *, first: int = 0) -> list[tuple[float, ...]]:
    """Let a policy serve three made-up deployments on two operations; answers all shares.

    The draws and outcomes come from a fixed sequence, so that the same policy sees the same world.
    """
    seen = []
    for i in range(first, first + n_calls):
        operation = "xy"[i % 2]
        shares = tuple(policy.shares(operation, _DEPLOYMENTS))
        seen.append(shares)
        k = _drawn(shares, (i * 0.618034) % 1.0)
        reward = float((i * 0.754878) % 1.0 < _RATES[operation][k])
        policy.learn([Observation(operation, _DEPLOYMENTS[k], reward, float(i))])
    return seen


def _drawn(shares: Sequence[float], u: float) -> int:
    for k, share in enumerate(shares):
        u -= share
        if u < 0.0:
            return k
    return len(shares) - 1


class PolicyContract:
    """Inherit as ``class TestMyPolicy(PolicyContract)`` and override ``make_policy``."""

    def make_policy(self, seed: int = 1) -> Policy:
        """A new policy that has learnt nothing."""
        raise NotImplementedError

    def declared(self, seed: int = 1) -> Policy:
        """A new policy that was told of three deployments."""
        policy = self.make_policy(seed)
        policy.declare({"a": (50.0, None), "b": (80.0, 3.0), "c": (20.0, 0.5)})
        return policy

    def test_it_has_a_name(self) -> None:
        assert self.make_policy().name

    def test_shares_are_positive_and_sum_to_one_before_and_after_learning(self) -> None:
        for shares in play(self.declared(), 200):
            assert len(shares) == 3
            assert min(shares) > 0.0
            assert abs(sum(shares) - 1.0) < 1e-9

    def test_equal_rewards_at_once_are_learnt_like_one_after_the_other(self) -> None:
        """Only for policies that offer ``learn_alike``."""
        single, several = self.declared(), self.declared()
        if not isinstance(several, LearnsAlike):
            return
        for policy in (single, several):
            play(policy, 50)
        for reward, n in ((1.0, 5), (0.0, 3), (1.0, 4), (0.5, 2)):
            single.learn([Observation("x", "b", reward, 1.0)] * n)
            several.learn_alike("x", "b", reward, n)
        assert several.dump() == single.dump()

    def test_what_other_processes_learnt_counts_like_rewards_and_raises_no_alarm(self) -> None:
        """Only for policies that offer ``learn_shared``."""
        alone, shared = self.declared(), self.declared()
        if not isinstance(shared, LearnsShared):
            return
        for policy in (alone, shared):
            play(policy, 30)
            policy.alarms()
        before = shared.dump()
        shared.learn_shared("x", "a", 400, 8.0)
        shared.learn_shared("x", "b", 400, 392.0)
        assert shared.dump() != before
        for policy in (alone, shared):
            policy.due(1e9)
        a, b, c = shared.shares("x", _DEPLOYMENTS)
        assert b >= a
        assert abs(a + b + c - 1.0) < 1e-9
        shared.learn_shared("x", "b", 0, -1.5)
        shared.learn_shared("never seen", "nobody", 3, 3.0)
        assert list(shared.alarms()) == []

    def test_one_candidate_gets_everything(self) -> None:
        policy = self.declared()
        play(policy, 20)
        assert abs(sum(policy.shares("x", ["b"])) - 1.0) < 1e-9

    def test_any_set_and_order_of_candidates_is_served(self) -> None:
        policy = self.declared()
        play(policy, 50)
        for candidates in (("c", "a"), ("b", "nobody knew"), ("b", "c", "a")):
            shares = policy.shares("x", candidates)
            assert len(shares) == len(candidates)
            assert min(shares) > 0.0

    def test_the_index_names_deployments_with_positive_shares_also_for_an_unseen_operation(self) -> None:
        policy = self.declared()
        play(policy, 50)
        for operation in ("x", "never seen", ""):
            index = policy.index(operation)
            assert set(index) >= set(_DEPLOYMENTS)
            assert min(index.values()) > 0.0

    def test_the_same_seed_and_calls_give_the_same_shares(self) -> None:
        assert play(self.declared(7), 100) == play(self.declared(7), 100)

    def test_what_was_dumped_and_loaded_goes_on_in_the_same_way(self) -> None:
        policy, copy = self.declared(3), self.make_policy(3)
        play(policy, 100)
        copy.load(policy.dump())
        assert copy.dump() == policy.dump()
        assert play(copy, 100, first=100) == play(policy, 100, first=100)

    def test_a_copy_is_independent(self) -> None:
        policy, copy = self.declared(3), self.make_policy(3)
        play(policy, 50)
        before = policy.dump()
        copy.load(before)
        play(copy, 50)
        assert policy.dump() == before

    def test_foreign_data_is_ignored(self) -> None:
        policy = self.declared()
        play(policy, 20)
        before = policy.dump()
        for data in (b"", b"not json", b"[]", b"{}", b'{"policy":"another","version":1}'):
            policy.load(data)
        assert policy.dump() == before

    def test_a_correction_leaves_the_shares_that_the_right_reward_would_have_given(self) -> None:
        right, corrected = self.declared(), self.declared()
        right.learn([Observation("x", "a", 0.0, 1.0)])
        corrected.learn([Observation("x", "a", 1.0, 1.0), Observation("x", "a", 0.0, 2.0, previous=1.0)])
        assert list(right.shares("x", _DEPLOYMENTS)) == list(corrected.shares("x", _DEPLOYMENTS))

    def test_variants_can_be_adopted_and_forgotten(self) -> None:
        policy = self.declared()
        play(policy, 50)
        policy.learn([Observation("x", "a@1", 1.0, 0.0), Observation("x", "b@2", 1.0, 0.0)])
        policy.adopt("a", "a@1")
        policy.forget("b@2")
        policy.forget("never there")
        assert abs(sum(policy.shares("x", _DEPLOYMENTS)) - 1.0) < 1e-9

    def test_due_and_alarms_answer_sequences(self) -> None:
        policy = self.declared()
        play(policy, 50)
        assert all(isinstance(operation, str) for operation in policy.due(100.0))
        assert list(policy.alarms()) == []

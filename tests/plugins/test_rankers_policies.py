"""The sources' formulas as policies: the first of a ranking gets the calls."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Observation, Policy
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Deployment, Run
from hivefeedback.testing import FakeClock, PolicyContract
from hivefeedback_rankers.adaptive import AdaptiveOptions, AdaptiveRanker
from hivefeedback_rankers.policy import RankedPolicy
from hivefeedback_rankers.thresholds import ThresholdsRanker

NAMES = ["adaptive", "balanced", "llmhive", "quality", "reliable", "speed"]
PLUGINS = ["adaptive", "balanced", "quality", "reliable", "speed", "thresholds"]


@cache
def registry() -> Registry:
    """Loaded once, since to look for entry points takes a while."""
    found = Registry(is_inline=True)
    found.load_entry_points(allow=PLUGINS)
    return found


def made(name: str, seed: int = 1) -> Policy:
    return registry().policies[name](seed)


class TestAdaptive(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        return made("adaptive", seed)


class TestSmoothAdaptive(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        ranker = AdaptiveRanker(AdaptiveOptions(mode="smooth", shrinkage=20.0), has_memory=False)
        return RankedPolicy("adaptive", ranker)


class TestBalanced(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        return made("balanced", seed)


class TestSpeed(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        return made("speed", seed)


class TestQuality(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        return made("quality", seed)


class TestReliable(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        return made("reliable", seed)


class TestLlmhive(PolicyContract):
    def make_policy(self, seed: int = 1) -> Policy:
        return made("llmhive", seed)


def told(
    deployment: str, n: int, *, n_ok: int, duration_s: float = 0.12, operation: str = "chat", good: float = 1.0
) -> list[Observation]:
    return [
        Observation(operation, deployment, good if i < n_ok else 0.0, float(i), duration_s=duration_s) for i in range(n)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_names_are_registered_beside_the_rankers(name: str) -> None:
    """S3.1, S5.5, S1.11: every source's rule can be chosen as a policy."""
    assert made(name).name == name


def test_the_examples_of_the_source_are_drawn_as_they_score() -> None:
    """S3.10: 88.95 goes before 38.025, though its capability is lower."""
    policy = made("adaptive")
    policy.declare({"llama3-70b": (85.0, None), "mistral-7b": (88.0, None)})
    both = ["llama3-70b", "mistral-7b"]
    assert policy.shares("chat", both) == [0.01, 0.99]
    policy.learn(told("llama3-70b", 100, n_ok=99) + told("mistral-7b", 100, n_ok=60, duration_s=0.45))
    assert policy.shares("chat", both) == [0.99, 0.01]
    assert policy.index("chat") == {"llama3-70b": 0.99, "mistral-7b": 0.01}


def test_a_deployment_below_the_threshold_of_its_domain_keeps_a_small_share() -> None:
    """S1.11, C5: out of the medical domain but for probes, and untouched in another one."""
    policy = made("llmhive")
    policy.declare({"model-x": (60.0, None), "gpt-4o": (55.0, None)})
    both = ["model-x", "gpt-4o"]
    policy.learn(told("model-x", 20, n_ok=5, operation="text-to-text/medical/triage"))
    assert policy.shares("text-to-text/medical", both) == [0.01, 0.99]
    assert policy.shares("text-to-text/financial", both) == [0.99, 0.01]


def test_speed_is_that_of_good_runs() -> None:
    """C9: what fails fast does not win."""
    policy = made("speed")
    policy.learn(told("hasty", 20, n_ok=19, duration_s=0.3) + told("quick", 20, n_ok=20, duration_s=0.2))
    assert policy.shares("chat", ["hasty", "quick"]) == [0.01, 0.99]
    policy.learn(told("quick", 40, n_ok=0, duration_s=0.001))
    assert policy.shares("chat", ["hasty", "quick"]) == [0.99, 0.01]


def test_ratings_count_as_quality_and_from_the_middle_on_as_success() -> None:
    """C7: 4 of 5 is a success, and less quality than 5 of 5."""
    reliable, quality = made("reliable"), made("quality")
    for policy in (reliable, quality):
        policy.learn(told("good", 20, n_ok=20, good=0.75) + told("best", 20, n_ok=19, good=1.0))
    assert reliable.shares("chat", ["good", "best"]) == [0.99, 0.01]
    assert quality.shares("chat", ["good", "best"]) == [0.01, 0.99]


def test_an_operation_with_few_runs_is_judged_by_what_lies_above_it() -> None:
    """S3.6: the narrowest prefix with ten runs."""
    policy = made("adaptive")
    policy.declare({"a": (60.0, None), "b": (50.0, None)})
    policy.learn(told("a", 20, n_ok=2, operation="chat/de"))
    assert policy.shares("chat/fr", ["a", "b"]) == [0.01, 0.99]
    assert policy.shares("never/seen", ["a", "b"]) == [0.01, 0.99]
    policy.learn(told("a", 10, n_ok=10, operation="chat/fr"))
    assert policy.shares("chat/fr", ["a", "b"]) == [0.99, 0.01]


def test_a_correction_also_takes_back_the_latency() -> None:
    """C9: a run that turns out bad was not fast."""
    policy = RankedPolicy("speed", AdaptiveRanker(AdaptiveOptions(min_requests_for_performance=1)))
    policy.learn([Observation("chat", "a", 1.0, 0.0, duration_s=9.0)])
    policy.learn([Observation("chat", "a", 0.0, 1.0, previous=1.0, duration_s=9.0)])
    never_good = RankedPolicy("speed", AdaptiveRanker(AdaptiveOptions(min_requests_for_performance=1)))
    never_good.learn([Observation("chat", "a", 0.0, 0.0, duration_s=9.0)])
    assert policy.dump() == never_good.dump()


def test_old_runs_fade() -> None:
    """S5.9, C5: of a thousand old runs what happened lately outweighs them within as many again."""
    policy = made("reliable")
    policy.learn(told("a", 5000, n_ok=5000) + told("b", 100, n_ok=80))
    assert policy.shares("chat", ["a", "b"]) == [0.99, 0.01]
    policy.learn(told("a", 1000, n_ok=0))
    assert policy.shares("chat", ["a", "b"]) == [0.01, 0.99]


def test_operations_beyond_the_bound_are_forgotten_but_their_runs_are_not() -> None:
    """The memory of a policy is bounded; the whole row keeps all."""
    policy = RankedPolicy("adaptive", AdaptiveRanker())
    policy.declare({"a": (60.0, None), "b": (50.0, None)})
    for i in range(1500):
        policy.learn(told("a", 1, n_ok=0, operation=f"user {i}"))
    assert len(policy.dump()) < 200_000
    assert policy.shares("user 1", ["a", "b"]) == [0.01, 0.99]


def test_everything_is_due_after_learning_and_nothing_before() -> None:
    """Wider operations stand in for narrow ones, so each draw may have changed."""
    policy = made("adaptive")
    assert policy.due(0.0) == ()
    policy.learn(told("a", 1, n_ok=1))
    assert policy.due(0.0) == ("",)
    assert policy.due(0.0) == ()


def test_without_anybody_known_the_index_is_empty() -> None:
    """Bad input: nothing declared, nothing learnt."""
    assert made("adaptive").index("chat") == {}


def test_regret_stays_small_where_rates_lie_on_both_sides_of_the_limit() -> None:
    """S3.14: over 2000 calls less than a tenth of what a fixed wrong choice loses."""
    rates, rng = {"a": 0.6, "b": 0.97, "c": 0.8}, Random(4)
    policy = made("adaptive")
    policy.declare({"a": (80.0, None), "b": (70.0, None), "c": (75.0, None)})
    lost = 0.0
    for i in range(2000):
        [name] = rng.choices(list(rates), policy.shares("chat", list(rates)))
        lost += rates["b"] - rates[name]
        policy.learn([Observation("chat", name, float(rng.random() < rates[name]), float(i), duration_s=0.1)])
    assert lost < 0.1 * 2000 * (rates["b"] - rates["a"])


def test_a_loop_serves_by_it() -> None:
    """S3.9: from the first run on the better one is drawn."""
    loop = FeedbackLoop(
        store="memory://",
        deployments=[Deployment("a", capability=80.0), Deployment("b", capability=70.0)],
        policy="adaptive",
        options={"adaptive": {"mode": "smooth"}},
        clock=FakeClock(),
        seed=1,
    )
    for _ in range(60):
        loop.record(Run("a", "chat", "model_error", 0.1))
        loop.record(Run("b", "chat", "ok", 0.1))
    drawn = [loop.decide("chat").deployment for _ in range(200)]
    assert drawn.count("b") > 180
    loop.close()


def test_the_policy_of_the_thresholds_looks_at_its_own_domain_only() -> None:
    """S1.9, C5: no accuracy of elsewhere filters a deployment here."""
    policy = RankedPolicy("llmhive", ThresholdsRanker(), rolls_up=False)
    policy.learn(told("a", 50, n_ok=0, operation="text-to-text/financial"))
    assert policy.shares("text-to-text/medical", ["a", "b"]) == [0.99, 0.01]

"""New weights come into new snapshots: touched rows first, within a budget, never half a change."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from hivefeedback.model import Configuration, ConfigurationPublished, Deployment, OfferKey, Run, Snapshot
from hivefeedback.recording import Counters, Refresher
from hivefeedback.testing import EvenPolicy
from hivefeedback_policies.hierarchical import HierarchicalPolicy
from tests.core.loops import live_loop, sync_loop, told


class Growing(EvenPolicy):
    """Prefers the first candidate the more often it is asked about an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        self.asked.append(operation)
        n = 1 + self.asked.count(operation)
        return [n / (n + 1), *[1 / (n + 1) / (len(candidates) - 1)] * (len(candidates) - 1)]


def make(*names: str) -> tuple[Refresher, Growing, list[Snapshot]]:
    config = Configuration(version=1, deployments={n: Deployment(n) for n in names or ("a", "b")})
    first = Snapshot("act", config, {}, 0, {}, frozenset(), {}, frozenset(), {}, {})
    published: list[Snapshot] = []
    policy = Growing()
    refresher = Refresher(policy, first, published.append, Counters())
    refresher.configure(config, {})
    return refresher, policy, published


def ask(refresher: Refresher, *keys: OfferKey) -> None:
    """What ``decide()`` does with a set that is not prepared."""
    for key in keys:
        operation, candidates = (key, None) if isinstance(key, str) else (key[0], key[1])
        refresher.snapshot.offer(key, operation, candidates, ())


def test_a_set_that_was_asked_for_is_prepared_by_the_next_refresh() -> None:
    refresher, _, published = make()
    ask(refresher, "x")
    assert refresher.snapshot.offers["x"].reason == "prior"
    assert refresher.is_dirty
    assert refresher.refresh(()) == ("x",)
    assert published[-1].offers["x"].reason == "policy"
    assert not refresher.is_dirty


def test_only_touched_rows_are_computed_anew_and_the_others_stay() -> None:
    refresher, policy, published = make()
    ask(refresher, "x", "y")
    refresher.refresh(())
    before = published[-1]
    n_asked = len(policy.asked)
    refresher.touch("x")
    assert refresher.refresh(()) == ("x",)
    assert policy.asked[n_asked:] == ["x"]
    assert published[-1].offers["y"] is before.offers["y"]
    assert published[-1].weights_version == before.weights_version + 1
    assert before.offers["x"].weights != published[-1].offers["x"].weights  # the old snapshot is what it was


def test_rows_that_the_policy_calls_stale_are_refreshed_and_an_empty_name_means_all() -> None:
    refresher, _, _ = make()
    ask(refresher, "x", "y", ("x", ("a", "q")))
    refresher.refresh(())
    assert refresher.refresh(("y",)) == ("y",)
    assert set(refresher.refresh(("",))) == {"x", "y"}
    assert refresher.refresh(()) == ()


def test_a_budget_ends_a_refresh_early_and_the_rest_is_not_forgotten() -> None:
    refresher, _, _ = make()
    ask(refresher, "x", "y", "z")
    seen = [refresher.refresh((), budget_s=0.0) for _ in range(3)]
    assert sorted(row for rows in seen for row in rows) == ["x", "y", "z"]
    assert [len(rows) for rows in seen] == [1, 1, 1]


def test_prepared_sets_are_bounded_and_the_oldest_go_first() -> None:
    refresher, _, published = make()
    for i in range(1500):
        ask(refresher, f"op{i}")
        if i % 100 == 99:
            refresher.refresh(())
    refresher.refresh(())
    assert len(published[-1].offers) == 1024
    assert "op0" not in published[-1].offers
    assert "op1499" in published[-1].offers


def test_a_set_that_decisions_use_outlives_newer_ones_that_none_uses() -> None:
    refresher, _, published = make()
    for i in range(1500):
        ask(refresher, f"op{i}")
        refresher.use("op0", refresher.snapshot.offers["op0"].lineup.key)
        if i % 100 == 99:
            refresher.refresh(())
    refresher.refresh(())
    assert len(published[-1].offers) == 1024
    assert {"op0", "op1499"} <= set(published[-1].offers)
    assert "op1" not in published[-1].offers


def test_another_configuration_prepares_the_known_sets_anew() -> None:
    refresher, _, published = make()
    ask(refresher, "x", ("x", ("a", "b")))
    refresher.refresh(())
    config = Configuration(version=2, deployments={n: Deployment(n) for n in ("a", "c")})
    refresher.configure(config, {})
    snapshot = published[-1]
    assert snapshot.offers["x"].lineup.candidates == ("a", "c")
    assert snapshot.offers["x"].reason == "policy"
    assert snapshot.offers["x"].lineup.config_version == 2
    assert snapshot.offers[("x", ("a", "b"))].lineup.candidates == ("a", "b")


def test_breakers_and_stopped_rollouts_are_served_at_once() -> None:
    refresher, _, published = make()
    ask(refresher, "x")
    assert refresher.reopen(frozenset({"a"}), {}, frozenset())
    assert published[-1].offers["x"].weights[0] == 0
    n = len(published)
    assert refresher.reopen(frozenset({"a"}), {}, frozenset()) is False
    assert len(published) == n
    assert refresher.reopen(frozenset({"a"}), {"a": deque("a")}, frozenset({"m-1"}))
    assert published[-1].stopped == {"m-1"}
    assert published[-1].offers["x"].is_plain is False


def test_a_set_of_a_new_operation_is_served_from_the_global_row() -> None:
    class Knows(EvenPolicy):
        def index(self, operation: str) -> dict[str, float]:
            return {"a": 0.75, "b": 0.25} if not operation else {"a": 0.5, "b": 0.5}

    config = Configuration(version=1, deployments={n: Deployment(n) for n in ("a", "b")})
    first = Snapshot("act", config, {}, 0, {}, frozenset(), {}, frozenset(), {}, {})
    refresher = Refresher(Knows(), first, lambda snapshot: None, Counters())
    refresher.configure(config, {})
    ask(refresher, "x")
    refresher.refresh(())
    ask(refresher, "new")
    offer = refresher.snapshot.offers["new"]
    assert [offer.propensity(i) for i in range(2)] == [0.75, 0.25]


def test_a_turn_that_changes_nothing_weighs_nothing_anew() -> None:
    with sync_loop("a", "b") as loop:
        loop.decide("x")

        before = len(told(loop, ConfigurationPublished))
        for _ in range(3):
            loop.turn()
        assert len(told(loop, ConfigurationPublished)) == before
        loop.add_deployment(Deployment("c"))
        assert len(told(loop, ConfigurationPublished)) == before + 1


def test_the_first_decision_after_a_restart_is_drawn_by_what_was_learnt(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hive.db"
    with live_loop("a", "b", store=url, policy=HierarchicalPolicy(), allow=("stores",)) as loop:
        for _ in range(300):
            loop.record(Run("a", "x"))
            loop.record(Run("b", "x", "timeout"))
        assert loop.flush(20.0)
    for candidates in (None, ["a", "b"]):
        with live_loop("a", "b", store=url, policy=HierarchicalPolicy(), allow=("stores",)) as loop:
            first = loop.decide("x", candidates)
            offer = first.offer
            assert offer is not None
            assert offer.propensity(offer.lineup.candidates.index("a")) > 0.9
            assert candidates or first.reason == "policy"

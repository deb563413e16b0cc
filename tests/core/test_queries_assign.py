"""``loop.assign()``: a deployment for each agent, with one decision record each."""

from __future__ import annotations

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.cli.answer import plain_data
from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.queries import AgentAssignment, Shut, assign
from tests.core.asking import NOW_S, RANKERS, GivenRanker, basis_of, runs
from tests.core.loops import sync_loop

LLAMA, MISTRAL = Deployment("llama3-70b", capability=85.0), Deployment("mistral-7b", capability=88.0)


@pytest.fixture
def loop() -> FeedbackLoop:
    """The two models of the source, as they were measured there."""
    loop = sync_loop(LLAMA, MISTRAL, allow=RANKERS)
    for i in range(100):
        loop.record(Run("llama3-70b", "x", "ok" if i else "model_error", 0.120))
    for i in range(10):
        loop.record(Run("mistral-7b", "x", "ok" if i % 5 < 3 else "model_error", 0.450))
    return loop


def test_a_good_model_is_assigned_with_its_record(loop: FeedbackLoop) -> None:
    """S3.7, S3.8, S3.10: example 1, 88.95 and +3.95; full precision, 120.0 ms (C1)."""
    (row,) = loop.assign(["agent_gpu_1"])
    assert plain_data(row) == {
        "agent_id": "agent_gpu_1",
        "model_id": "llama3-70b",
        "capability_score": 85.0,
        "performance_score": pytest.approx(88.95),
        "performance_adjustment": pytest.approx(3.95),
        "has_performance_data": True,
        "success_rate": pytest.approx(0.99),
        "avg_latency_ms": pytest.approx(120.0),
        "operation": "",
        "reason": "100 runs: success 99.0%, 120 ms",
    }


def test_a_poor_model_has_the_penalty_in_its_record(loop: FeedbackLoop) -> None:
    """S3.7, S3.10, S3.2: example 2, 38.025 and -49.975."""
    (row,) = loop.assign(["agent_gpu_1"], candidates=["mistral-7b"])
    assert (row.model_id, row.capability_score) == ("mistral-7b", 88.0)
    assert row.success_rate == pytest.approx(0.60)
    assert row.performance_score == pytest.approx(38.025)
    assert row.performance_adjustment == pytest.approx(-49.975)
    assert row.avg_latency_ms == pytest.approx(450.0)
    assert "below 90.0%" in row.reason


def test_without_data_capability_stands_alone() -> None:
    """S3.6, S3.7: fewer than 10 requests."""
    with sync_loop(LLAMA, MISTRAL, allow=RANKERS) as loop:
        for _ in range(9):
            loop.record(Run("llama3-70b", "x", "ok", 0.01))
        (row,) = loop.assign(["a1"])
        assert (row.model_id, row.performance_score, row.performance_adjustment) == ("mistral-7b", 88.0, 0.0)
        assert (row.has_performance_data, row.success_rate, row.avg_latency_ms) == (False, None, None)


def test_each_of_several_agents_gets_the_best_where_load_does_not_count(loop: FeedbackLoop) -> None:
    """S3.9, C3: the formula has no term for load, so it never spreads."""
    found = loop.assign(["a1", "a2", "a3"])
    assert [(r.agent_id, r.model_id) for r in found] == [(a, "llama3-70b") for a in ("a1", "a2", "a3")]
    assert (found.is_load_aware, found.by, found.coverage.n_runs) == (False, "adaptive", 110)


def test_load_aware_agents_spread_in_proportion_to_the_scores() -> None:
    """S3.11, C3: on request three agents take three models, and six agents the better ones twice."""
    ranker = GivenRanker("given", {"A": 93.15, "C": 90.0, "B": 88.6})
    basis = basis_of(deployments=["A", "B", "C"], rankers=[ranker])
    three = assign(basis, agents=["1", "2", "3"], by="given", is_load_aware=True)
    assert [r.model_id for r in three] == ["A", "C", "B"]
    six = assign(basis, agents=[str(i) for i in range(6)], by="given", is_load_aware=True)
    assert sorted(r.model_id for r in six) == ["A", "A", "B", "B", "C", "C"]
    assert six[5].reason == "as given; 1 agents or runs have it already"
    weak = basis_of(deployments=["A", "B"], rankers=[GivenRanker("given", {"A": 90.0, "B": 30.0})])
    shares = [r.model_id for r in assign(weak, agents=[str(i) for i in range(8)], by="given", is_load_aware=True)]
    assert (shares.count("A"), shares.count("B")) == (6, 2)


def test_runs_in_flight_count_as_load() -> None:
    basis = basis_of(deployments=["A", "B"], rankers=[GivenRanker("given", {"A": 90.0, "B": 80.0})])
    (row,) = assign(basis, agents=["1"], by="given", is_load_aware=True, in_flight={"A": 1})
    assert row.model_id == "B"
    (row,) = assign(basis, agents=["1"], by="given", in_flight={"A": 1})
    assert row.model_id == "A"


def test_agents_may_have_operations_of_their_own() -> None:
    with sync_loop("a", "b", allow=RANKERS) as loop:
        for _ in range(20):
            for name, operation in (("a", "law"), ("b", "medicine")):
                loop.record(Run(name, operation, "ok", 0.01))
            for name, operation in (("b", "law"), ("a", "medicine")):
                loop.record(Run(name, operation, "ok", 0.4))
        found = loop.assign({"l": "law", "m": "medicine", "n": ""}, operation="law")
        assert [(r.agent_id, r.operation, r.model_id) for r in found] == [
            ("l", "law", "a"), ("m", "medicine", "b"), ("n", "law", "a"),
        ]  # fmt: skip


def test_who_is_blacklisted_is_not_assigned_unless_all_are() -> None:
    """S2.9."""
    ranker, shut = GivenRanker("given", {"a": 90.0, "b": 80.0}), Shut(failures=3, until_s=NOW_S + 60.0)
    one = basis_of(rankers=[ranker], shut={"a": shut})
    assert [r.model_id for r in assign(one, agents=["1"], by="given")] == ["b"]
    both = basis_of(rankers=[ranker], shut={"a": shut, "b": shut})
    assert [r.model_id for r in assign(both, agents=["1"], by="given")] == ["a"]


def test_another_ranker_fills_the_record_from_the_window() -> None:
    basis = basis_of(runs("a", 20, failed=5, duration_s=0.2), deployments=[Deployment("a", capability=70.0)],
                     rankers=[GivenRanker("given", {"a": 40.0})])  # fmt: skip
    (row,) = assign(basis, agents=["1"], by="given")
    assert row == AgentAssignment(
        agent_id="1", model_id="a", capability_score=70.0, performance_score=40.0, performance_adjustment=-30.0,
        has_performance_data=True, success_rate=0.75, avg_latency_ms=200.0, reason="as given",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("agents", "said"),
    [
        ("a1", "expected a list of ids"),
        (5, "expected a list of ids"),
        (["a1", "a1"], "named twice"),
        ([""], "no id"),
        ([7], "no id"),
        ({"a": 7}, "operation 7"),
    ],
)
def test_agents_that_cannot_be_used_are_refused(agents: list[str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        assign(basis_of(rankers=[GivenRanker("adaptive", {})]), agents=agents)


def test_nobody_to_assign_is_told_and_no_agents_are_no_assignments() -> None:
    nobody = basis_of(deployments=[], rankers=[GivenRanker("adaptive", {})])
    with pytest.raises(InvalidInputError, match="there is no deployment to assign"):
        assign(nobody, agents=["a1"])
    assert len(assign(nobody, agents=[])) == 0
    with pytest.raises(UnknownNameError, match="deployment 'x'"):
        assign(basis_of(rankers=[GivenRanker("adaptive", {})]), agents=["a1"], candidates=["x"])

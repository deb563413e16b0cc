"""An operation that loops back or fails checks too often gets more candidates, where a route leaves some out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.model import Configuration, Finding, Mutation, MutationKind, Route
from hivefeedback.testing import EvenPolicy, FakeClock, Seen, view_of
from hivefeedback_planners import WiderRouteOptions, WiderRoutePlanner

T0_S = 1_700_000_040.0
DEPLOYMENTS = {n: Deployment(n, capability=10.0 * i) for i, n in enumerate("abcdef")}


def _config(routes: Mapping[str, Route] | None = None, names: str = "abcdef") -> Configuration:
    kept = {n: DEPLOYMENTS[n] for n in names}
    return Configuration(
        version=1, deployments=kept, routes={"x": Route(candidates=("a",))} if routes is None else routes
    )


def _runs(
    n: int, times: int, name: str = "loop_back", value: float = 1.0, deployment: str = "a", operation: str = "x/fin"
) -> Iterator[Seen]:
    """So many runs, ``times`` of them with the feedback."""
    for i in range(n):
        judged = {name: value} if i < times else {}
        run = Run(deployment, operation, run_id=f"{deployment}-{i}", started_at_s=T0_S + i, trace_id=f"t-{i}")
        yield Seen(run=run, judged=judged)


def _plan(config: Configuration, *parts: Iterator[Seen], findings: tuple[Finding, ...] = ()) -> list[Mutation]:
    view = view_of(s for p in parts for s in p)
    return list(WiderRoutePlanner().hive_plan(findings, view, config, T0_S + 100))


def test_an_operation_that_loops_back_often_gets_four_candidates() -> None:
    """S1.12: a domain with many loop-backs gets 4+ models."""
    (mutation,) = _plan(_config(), _runs(100, 45))
    assert (mutation.kind, mutation.target, mutation.from_) == (MutationKind.ROUTE_CHANGE, "x/fin", None)
    assert mutation.to == ["a", "f", "e", "d"]  # by stated capability, as nothing else is known
    assert 0.7 <= mutation.confidence <= 0.8
    assert mutation.expected_effect.metric == "loop_back_rate"
    assert mutation.expected_effect.change == pytest.approx(-0.25)
    assert "45.0% of the runs on 'x/fin' loop back" in mutation.reason
    assert "its route 'x' has 1 candidate, 'f', 'e', 'd' would make it 4;" in mutation.reason
    assert "priority" in mutation.reason
    assert mutation.evidence
    assert mutation.planner == "wider_route_planner"


def test_failed_fact_checks_count_among_the_checked_runs() -> None:
    """S1.12: fact-check failures of a domain."""
    (mutation,) = _plan(_config(), _runs(400, 60, "fact_check", 0.0))
    assert "100.0% of the runs on 'x/fin' fail their fact check" in mutation.reason
    assert not _plan(_config(), _runs(400, 60, "fact_check", 1.0))


def test_loop_backs_of_an_agents_own_runs_are_found_beside_many_calls() -> None:
    agents = (replace(s, run=_of_agent(s.run)) for s in _runs(60, 30))
    (mutation,) = _plan(_config(), agents, _runs(1000, 0))
    assert "50.0%" in mutation.reason


def _of_agent(run: Run) -> Run:
    return Run("", run.operation, run_id="agent-" + run.run_id, started_at_s=run.started_at_s, kind="agent")


@pytest.mark.parametrize(("n", "times"), [(100, 20), (100, 25), (20, 20), (0, 0)])
def test_a_rate_that_may_be_chance_or_rests_on_few_runs_plans_nothing(n: int, times: int) -> None:
    assert not _plan(_config(), _runs(n, times))


@pytest.mark.parametrize(
    "routes", [{}, {"y": Route(candidates=("a",))}, {"x": Route()}, {"x": Route(candidates=("a", "b", "c", "d"))}]
)
def test_where_four_are_candidates_already_nothing_is_planned(routes: dict[str, Route]) -> None:
    assert not _plan(_config(routes), _runs(100, 45))


def test_fixed_weights_of_zero_leave_out_as_well() -> None:
    routes = {"x/fin": Route(candidates=("a", "b", "c", "d"), weights={"a": 1.0, "b": 0.0})}
    (mutation,) = _plan(_config(routes), _runs(100, 45))
    assert mutation.to == ["a", "f", "e", "d"]
    assert mutation.from_ == {"candidates": ["a", "b", "c", "d"], "weights": {"a": 1.0, "b": 0.0}}


def test_with_fewer_deployments_all_of_them_become_candidates_and_the_reason_says_so() -> None:
    (mutation,) = _plan(_config(names="ab"), _runs(100, 45))
    assert mutation.to == ["a", "b"]
    assert "(no more of 4 are in service)" in mutation.reason
    assert not _plan(_config(names="a"), _runs(100, 45))


def test_a_deployments_own_record_counts_for_more_than_its_capability() -> None:
    good = (replace(s, reward=1.0) for s in _runs(30, 0, deployment="b", operation="y"))
    bad = (replace(s, reward=0.1) for s in _runs(30, 0, deployment="f", operation="y"))
    (mutation,) = _plan(_config(), _runs(100, 45), good, bad)
    assert mutation.to == ["a", "b", "e", "d"]


def test_a_deployment_that_fell_does_not_come_in() -> None:
    fell = Finding(finding_id="f", analyzer="x", kind="degradation", message="", deployment="f")
    (mutation,) = _plan(_config(), _runs(100, 45), findings=(fell,))
    assert mutation.to == ["a", "e", "d", "c"]


def test_gpu_memory_of_who_comes_in_is_told() -> None:
    """S4.4: resources."""
    config = _config()
    config = replace(config, deployments={**config.deployments, "f": Deployment("f", capability=90.0, vram_gb=24.0)})
    (mutation,) = _plan(config, _runs(100, 45))
    assert mutation.resources == {"vram_gb": 24.0}


@pytest.mark.parametrize("wrong", [{"max_rate": 0.0}, {"alpha": 1.0}, {"min_runs": 0}, {"candidates": 1}])
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        WiderRouteOptions(**wrong)


def test_options_are_taken() -> None:
    planner = WiderRoutePlanner()
    planner.configure(WiderRouteOptions(candidates=2))
    (mutation,) = planner.hive_plan((), view_of(_runs(100, 45)), _config(), T0_S)
    assert mutation.to == ["a", "f"]


def test_a_route_that_loops_back_is_widened_by_evidence_and_the_change_can_be_taken_back() -> None:
    """S1.12: from recorded runs to applied and undone."""
    clock, rng = FakeClock(), random.Random(5)
    with FeedbackLoop(
        "memory://",
        list("abcd"),
        policy=EvenPolicy(),
        clock=clock,
        seed=5,
        judgements={"": ["loop_back"]},
        canary_steps=[0.5, 1.0],
        canary_min_units=10,
    ) as loop:
        loop.set_route("x", ["a"])
        for i in range(800):
            decision = loop.decide("x/fin")
            run_id = loop.record(Run(decision.deployment or "", "x/fin", "ok", 0.3, decision_id=decision.decision_id))
            goes_back = rng.random() < (0.6 if decision.deployment == "a" else 0.05)
            loop.feedback(Feedback(name="loop_back", value=goes_back, run_id=run_id))
            clock.advance(1.0)
            if i % 50 == 49:
                loop.turn()
        life = next(iter(loop.ledger.lives.values()))
        assert (life.mutation.planner, life.state) == ("wider_route_planner", "promoted")
        assert set(loop.configuration.routes["x/fin"].candidates) == set("abcd")
        loop.rollback(life.mutation.mutation_id)
        assert "x/fin" not in loop.configuration.routes
        assert loop.decide("x/fin").deployment == "a"

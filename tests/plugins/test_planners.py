"""Planners change what is bound to a deployment that got worse, and leave the rest to the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from hivefeedback.model import Configuration, Deployment, Finding, Interval, Mutation, MutationKind, Route, Run
from hivefeedback.stats import View
from hivefeedback.testing import Seen, view_of
from hivefeedback_planners import ModelSwapOptions, ModelSwapPlanner, RouteChangeOptions, RouteChangePlanner

T0_S = 1_700_000_040.0
DEPLOYMENTS = {n: Deployment(n, model=f"model-{n}") for n in ("a", "b", "c")}
FREE = Configuration(version=1, deployments=DEPLOYMENTS)


def _runs(
    deployment: str,
    n: int,
    rate: float,
    *,
    operation: str = "x/qa",
    from_s: float = 0.0,
    every_s: float = 1.0,
    arm: str = "",
) -> Iterator[Seen]:
    rng = np.random.default_rng([n, ord(deployment)])
    good = rng.permutation(np.arange(n) < round(rate * n))
    for i in range(n):
        at_s = T0_S + from_s + i * every_s
        run = Run(deployment, operation, run_id=f"{deployment}-{operation}-{at_s}", started_at_s=at_s)
        yield Seen(run=run, reward=float(good[i]), arm=arm)


def _view(*parts: Iterator[Seen]) -> View:
    seen = [s for part in parts for s in part]
    seen.sort(key=lambda s: s.run.started_at_s or 0.0)
    return view_of(seen)


def _fall(deployment: str = "a", operation: str = "x/qa", kind: str = "degradation", severity: float = 1.0) -> Finding:
    return Finding(
        finding_id=f"degradation:{kind}:{deployment}:{operation}",
        analyzer="degradation",
        kind=kind,
        message=f"{deployment} fell",
        deployment=deployment,
        operation=operation,
        severity=severity,
        before=Interval(estimate=0.95, low=0.9, high=1.0),
        after=Interval(estimate=0.3, low=0.2, high=0.4),
        evidence=("t1", "t2"),
    )


def _bound(routes: Mapping[str, Route]) -> Configuration:
    return replace(FREE, routes=routes)


def _routes(view: View, config: Configuration, *findings: Finding) -> list[Mutation]:
    return list(RouteChangePlanner().hive_plan(findings or (_fall(),), view, config, T0_S))


def _swaps(view: View, config: Configuration = FREE, *findings: Finding) -> list[Mutation]:
    return list(ModelSwapPlanner().hive_plan(findings or (_fall(),), view, config, T0_S))


STUCK = [("a", 60, 0.95, 0.0), ("a", 60, 0.3, 60.0)]


def _stuck(*more: Iterator[Seen]) -> View:
    """``a`` fell on x/qa, still gets all of its traffic, and ``b`` does well on a sibling."""
    return _view(
        *(_runs(d, n, rate, from_s=at_s) for d, n, rate, at_s in STUCK),
        _runs("b", 60, 0.95, operation="x/other"),
        *more,
    )


ONLY_A = _bound({"x/qa": Route(candidates=("a",))})


# --- routes -------------------------------------------------------------------------------------


def test_an_operation_bound_to_a_fallen_deployment_is_routed_to_a_better_one() -> None:
    (mutation,) = _routes(_stuck(), ONLY_A)
    assert (mutation.kind, mutation.target) == (MutationKind.ROUTE_CHANGE, "x/qa")
    assert (mutation.from_, mutation.to) == (["a"], ["b"])
    assert mutation.confidence == pytest.approx(0.9, abs=0.01)  # sure, but from a sibling operation
    assert mutation.expected_effect.change == pytest.approx(0.6, abs=0.1)
    assert mutation.expected_effect.low is not None
    assert mutation.expected_effect.low > 0.3
    assert (mutation.risk, mutation.finding_id) == ("low", "degradation:degradation:a:x/qa")
    assert mutation.evidence == ("t1", "t2")
    assert "'b' does" in mutation.reason
    assert mutation.undo
    assert mutation.planner == "route_change_planner"


def test_evidence_on_the_very_operation_is_worth_more_than_on_siblings_and_these_more_than_any() -> None:
    direct = _routes(_stuck(_runs("b", 60, 0.95)), ONLY_A)[0]
    sibling = _routes(_stuck(), ONLY_A)[0]
    fallen = [_runs(d, n, rate, from_s=at_s) for d, n, rate, at_s in STUCK]
    far = _routes(_view(*fallen, _runs("b", 60, 0.95, operation="y")), ONLY_A)[0]
    assert direct.confidence > sibling.confidence > far.confidence >= 0.7
    assert far.risk == "medium"


def test_the_best_of_several_alternatives_is_chosen() -> None:
    (mutation,) = _routes(_stuck(_runs("c", 60, 0.7, operation="x/other")), ONLY_A)
    assert mutation.to == ["b"]


def test_an_alternative_that_fell_too_is_none() -> None:
    assert not _routes(_stuck(), ONLY_A, _fall(), _fall("b", "x/other"))


def test_fixed_weights_give_way_to_the_better_candidates() -> None:
    config = _bound({"x": Route(candidates=("a", "c"), weights={"a": 0.9, "c": 0.1})})
    (mutation,) = _routes(_stuck(), config)
    assert (mutation.target, mutation.to) == ("x", ["b", "c"])


def test_a_route_with_another_sound_candidate_is_left_to_the_policy() -> None:
    assert not _routes(_stuck(), _bound({"x/qa": Route(candidates=("a", "c"))}))


def test_without_a_route_there_is_nothing_to_route() -> None:
    assert not _routes(_stuck(), FREE)


def test_a_wider_route_is_changed_whole_only_where_all_of_it_is_concerned() -> None:
    config = _bound({"x": Route(candidates=("a",))})
    (whole,) = _routes(_stuck(), config)
    assert whole.target == "x"
    sound = _stuck(_runs("a", 60, 0.95, operation="x/sound"))
    (part,) = _routes(sound, config)
    assert (part.target, part.from_, part.to) == ("x/qa", None, ["b"])


def test_a_finding_about_the_whole_deployment_concerns_every_bound_operation() -> None:
    config = _bound({"": Route(candidates=("a",))})
    (mutation,) = _routes(_stuck(), config, _fall(operation=""))
    assert (mutation.target, mutation.to, mutation.risk) == ("", ["b"], "medium")


def test_a_better_alternative_that_the_route_leaves_out_is_let_in() -> None:
    config = _bound({"x/qa": Route(candidates=("a", "c"))})
    view = _view(_runs("a", 60, 0.6), _runs("c", 60, 0.6), _runs("b", 60, 0.98))
    (mutation,) = _routes(view, config, _fall(kind="better_alternative"))
    assert mutation.to == ["b", "c"]


def test_one_mutation_for_each_route_of_several_findings() -> None:
    assert len(_routes(_stuck(), ONLY_A, _fall(), _fall(operation=""), _fall(kind="dissatisfaction"))) == 1


@pytest.mark.parametrize("options", [RouteChangeOptions(min_gain=0.9), RouteChangeOptions(min_runs=500)])
def test_too_little_gain_or_evidence_plans_nothing(options: RouteChangeOptions) -> None:
    planner = RouteChangePlanner()
    planner.configure(options)
    assert not planner.hive_plan([_fall()], _stuck(), ONLY_A, T0_S)


def test_an_alternative_that_may_be_no_better_is_not_taken() -> None:
    view = _view(_runs("a", 40, 0.8), _runs("b", 22, 0.86))
    assert not _routes(view, ONLY_A)


def test_other_findings_and_none_plan_nothing() -> None:
    assert not _routes(_stuck(), ONLY_A, _fall(kind="imbalance"))
    assert not RouteChangePlanner().hive_plan((), _stuck(), ONLY_A, T0_S)
    assert not ModelSwapPlanner().hive_plan((), _stuck(), FREE, T0_S)


# --- models -------------------------------------------------------------------------------------


def test_a_deployment_that_the_host_keeps_asking_for_gets_a_better_model() -> None:
    (mutation,) = _swaps(_stuck())
    assert (mutation.kind, mutation.target) == (MutationKind.MODEL_SWAP, "a")
    assert (mutation.from_, mutation.to) == ("model-a", "model-b")
    assert mutation.confidence >= 0.7
    assert "cannot leave it" in mutation.reason
    assert mutation.planner == "model_swap_planner"


def test_traffic_that_the_policy_moves_away_plans_no_swap() -> None:
    moved = _view(_runs("a", 60, 0.95), _runs("a", 25, 0.3, from_s=60), _runs("b", 60, 0.95, from_s=70, every_s=0.5))
    assert not _swaps(moved)


def test_a_fall_that_has_just_begun_plans_no_swap_yet() -> None:
    assert not _swaps(_view(_runs("a", 60, 1.0), _runs("a", 10, 0.0, from_s=60), _runs("b", 60, 0.95, operation="x/o")))


def test_a_bound_operation_is_the_route_planners_business() -> None:
    assert not _swaps(_stuck(), ONLY_A)


def test_the_same_model_under_another_id_is_no_alternative() -> None:
    twin = replace(FREE, deployments={**DEPLOYMENTS, "b": Deployment("b", model="model-a")})
    assert not _swaps(_stuck(), twin)


def test_a_deployment_that_nobody_declared_is_not_swapped() -> None:
    assert not _swaps(_stuck(), replace(FREE, deployments={"b": DEPLOYMENTS["b"]}))


def test_a_finding_about_the_whole_deployment_is_enough_for_a_swap() -> None:
    (mutation,) = _swaps(_stuck(), FREE, _fall(operation=""))
    assert mutation.target == "a"


def test_what_a_canary_already_does_better_is_not_counted_for_the_fallen_one() -> None:
    (plain,) = _swaps(_stuck())
    (mutation,) = _swaps(_stuck(_runs("a", 40, 1.0, from_s=60.5, arm="m-1:canary")))
    assert mutation.expected_effect == plain.expected_effect


def test_more_severe_findings_make_more_urgent_mutations() -> None:
    mild = _swaps(_stuck(), FREE, _fall(severity=0.4))[0]
    grave = _swaps(_stuck(), FREE, _fall(severity=0.9))[0]
    assert 0 <= mild.priority < grave.priority <= 1


def test_swap_options_are_taken() -> None:
    planner = ModelSwapPlanner()
    planner.configure(ModelSwapOptions(stuck_runs=100))
    assert not planner.hive_plan([_fall()], _stuck(), FREE, T0_S)

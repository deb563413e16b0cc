"""PARAM_SET is planned where a limit is the cause, inside its bounds, with what it needs and saves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hivefeedback.model import Configuration, Deployment, Finding, Mutation, MutationKind, ParamValue, Price, Run
from hivefeedback.testing import Seen, view_of
from hivefeedback_planners import ParamSetOptions, ParamSetPlanner

T0_S = 1_700_000_040.0


def _config(
    params: Mapping[str, ParamValue] | None = None, bounds: Mapping[str, tuple[float, float]] | None = None
) -> Configuration:
    a = Deployment(
        "a",
        params={"max_tokens": 512} if params is None else params,
        bounds={"max_tokens": (128, 2048)} if bounds is None else bounds,
        price=Price(1.0, 10.0),
    )
    return Configuration(version=1, deployments={"a": a, "b": Deployment("b")})


def _runs(
    n: int, hits: int, *, outcome: str = "truncated", operation: str = "x/qa", over_s: float = 3600.0, **more: Any
) -> Iterator[Seen]:
    """So many runs over an hour, ``hits`` of them with the outcome, spread evenly."""
    for i in range(n):
        is_hit = hits > 0 and (i * hits) % n < hits
        tokens = 512 if is_hit else 100 + 300 * i // n
        fields = {"tokens_out": tokens, "duration_s": 1.0, "trace_id": f"t-{i}", **more}
        at_s = T0_S + i * over_s / n
        run = Run("a", operation, outcome if is_hit else "ok", run_id=f"{operation}-{i}", started_at_s=at_s, **fields)
        yield Seen(run=run)


def _plan(config: Configuration, *parts: Iterator[Seen], findings: tuple[Finding, ...] = ()) -> list[Mutation]:
    view = view_of(seen for part in parts for seen in part)
    return list(ParamSetPlanner().hive_plan(findings, view, config, T0_S + 3600))


DEAR = Finding(
    finding_id="cost:cost:a:", analyzer="cost", kind="cost", message="'a' is dear", deployment="a", severity=0.6
)

# --- truncated ------------------------------------------------------------------------------------


def test_many_truncated_answers_get_half_as_many_tokens_more() -> None:
    """S4.4 S4.5: truncated → more max_tokens, with confidence, priority and resources."""
    (mutation,) = _plan(_config(), _runs(200, 60))
    assert (mutation.kind, mutation.target, mutation.to) == (MutationKind.PARAM_SET, "a", {"max_tokens": 768})
    assert mutation.confidence == 0.99
    assert mutation.expected_effect.metric == "truncated_rate"
    assert -0.3 <= mutation.expected_effect.change < 0
    assert mutation.reason.startswith("30.0% of the runs of 'a' on 'x/qa' are truncated (")
    assert "priority" in mutation.reason
    assert "impact" in mutation.reason
    assert mutation.undo == "call 'a' with max_tokens=512 again"
    assert len(mutation.evidence) == 16
    assert mutation.planner == "param_set_planner"


def test_what_more_tokens_cost_a_day_at_most_is_told() -> None:
    """S4.4: resources. 60 of 200 runs an hour go on for 256 tokens at 10 USD a million."""
    (mutation,) = _plan(_config(), _runs(200, 60))
    assert mutation.resources["tokens_out_per_day"] == pytest.approx(60 * 24 * 256, rel=0.05)
    assert mutation.resources["cost_usd_per_day"] == pytest.approx(60 * 24 * 256 * 10 / 1e6, rel=0.05)


def test_of_less_than_an_hour_it_is_told_what_a_run_costs() -> None:
    """A burst of five minutes says nothing of a day."""
    (mutation,) = _plan(_config(), _runs(200, 60, over_s=300.0))
    assert mutation.resources["tokens_out_per_run"] == pytest.approx(60 / 200 * 256)
    assert mutation.resources["cost_usd_per_run"] == pytest.approx(60 / 200 * 256 * 10 / 1e6)
    assert "USD a run at most" in mutation.reason


def test_priority_is_impact_times_urgency() -> None:
    """S4.4: priority = impact × urgency; the impact counts all traffic, so that of a part is smaller."""
    (alone,) = _plan(_config(), _runs(200, 60))
    elsewhere = (replace(s, run=Run("b", "x", started_at_s=s.run.started_at_s)) for s in _runs(200, 0))
    (half,) = _plan(_config(), _runs(200, 60), elsewhere)
    assert half.priority == pytest.approx(alone.priority / 2)
    change, urgency = -alone.expected_effect.change, 0.3 + 2 * 0.3
    assert alone.priority == pytest.approx(change * urgency)


@pytest.mark.parametrize(("high", "to"), [(2048, 768), (600, 600), (600.9, 600)])
def test_a_limit_is_never_raised_beyond_its_bounds(high: float, to: int) -> None:
    config = _config(bounds={"max_tokens": (128, high)})
    assert [m.to for m in _plan(config, _runs(200, 60))] == [{"max_tokens": to}]


@pytest.mark.parametrize(
    "config",
    [
        _config(bounds={"max_tokens": (128, 512)}),
        _config(bounds={}),
        _config(params={}),
        _config(params={"max_tokens": "512"}),
        _config(params={"max_tokens": True}),
    ],
)
def test_nothing_is_planned_for_what_cannot_be_raised(config: Configuration) -> None:
    assert not _plan(config, _runs(200, 60))


def test_the_first_bounded_name_of_the_parameter_counts() -> None:
    config = _config({"max_completion_tokens": 512}, {"max_completion_tokens": (1, 4096)})
    assert [m.to for m in _plan(config, _runs(200, 60))] == [{"max_completion_tokens": 768}]


@pytest.mark.parametrize(("n", "hits"), [(200, 10), (200, 16), (40, 20), (0, 0)])
def test_a_rate_that_may_be_chance_or_rests_on_few_runs_plans_nothing(n: int, hits: int) -> None:
    assert not _plan(_config(), _runs(n, hits))


def test_an_operation_that_is_truncated_is_found_among_many_that_are_not() -> None:
    (mutation,) = _plan(_config(), _runs(2000, 0, operation="x/short"), _runs(100, 40, operation="x/long"))
    assert "on 'x/long'" in mutation.reason


def test_among_many_operations_chance_needs_more_evidence() -> None:
    """S4.3: the p-values are adjusted for the number of operations that were looked at."""
    alone = _plan(_config(), _runs(100, 14))
    many = [_runs(100, 3, operation=f"x/{i}") for i in range(30)]
    assert alone
    assert not _plan(_config(), _runs(100, 14), *many)


def test_answers_that_end_far_below_the_limit_are_not_truncated_by_it() -> None:
    assert not _plan(_config(), _runs(200, 60, tokens_out=200))


def test_without_token_counts_the_outcome_is_believed() -> None:
    (mutation,) = _plan(_config(), _runs(200, 60, tokens_out=None))
    assert mutation.to == {"max_tokens": 768}


def test_truncations_that_are_over_are_not_planned_for() -> None:
    later = (replace(s, run=_moved(s.run, 3600.0)) for s in _runs(120, 0))
    assert not _plan(_config(), _runs(200, 60), later)


def _moved(run: Run, by_s: float) -> Run:
    import msgspec

    return msgspec.structs.replace(run, started_at_s=(run.started_at_s or 0.0) + by_s, run_id=run.run_id + "-later")


# --- timeouts ------------------------------------------------------------------------------------

TIMED = _config({"timeout_s": 10.0}, {"timeout_s": (1.0, 60.0)})


def test_slow_calls_that_time_out_get_more_time() -> None:
    """S4.5: timeouts → longer timeout."""
    (mutation,) = _plan(TIMED, _runs(200, 40, outcome="timeout", duration_s=9.0))
    assert mutation.to == {"timeout_s": 15.0}
    assert mutation.expected_effect.metric == "timeout_rate"
    assert mutation.resources["waiting_s_per_day"] == pytest.approx(40 * 24 * 5.0, rel=0.05)


def test_calls_that_hang_would_only_hang_longer() -> None:
    assert not _plan(TIMED, _runs(200, 40, outcome="timeout", duration_s=1.0))


def test_where_nothing_ends_well_a_longer_timeout_is_no_cure() -> None:
    assert not _plan(TIMED, _runs(200, 200, outcome="timeout", duration_s=9.0))


# --- cost ----------------------------------------------------------------------------------------


def test_a_dear_deployment_gets_fewer_tokens_where_that_costs_nothing() -> None:
    """S4.5: cost → fewer tokens."""
    config = _config({"max_tokens": 1024})
    (mutation,) = _plan(config, _runs(300, 0), findings=(DEAR,))
    assert mutation.to == {"max_tokens": 683}
    assert "so 683 costs nothing" in mutation.reason
    assert (mutation.risk, mutation.finding_id) == ("low", DEAR.finding_id)
    assert mutation.priority == 0.0  # no answer of these would have been shorter


def test_runaway_answers_are_what_a_lower_limit_saves() -> None:
    config = _config({"max_tokens": 2048}, {"max_tokens": (128, 4096)})
    long = (_with_tokens(s, 2000) for s in _runs(3, 0, operation="x/run-away"))
    (mutation,) = _plan(config, _runs(400, 0), long, findings=(DEAR,))
    assert mutation.to == {"max_tokens": 1365}
    assert mutation.resources["tokens_out_per_day"] == pytest.approx(-3 * 24 * (2000 - 1365), rel=0.1)
    assert mutation.resources["cost_usd_per_day"] < 0
    assert mutation.priority > 0


def test_answers_that_would_be_cut_are_told() -> None:
    config = _config({"max_tokens": 512})
    long = (_with_tokens(s, 480) for s in _runs(6, 0, operation="x/long"))
    short = (_with_tokens(s, 200) for s in _runs(400, 0))
    (mutation,) = _plan(config, short, long, findings=(DEAR,))
    assert mutation.to == {"max_tokens": 341}
    assert "cuts about 1.5% of them" in mutation.reason
    assert mutation.risk == "medium"


@pytest.mark.parametrize("tokens", [500, 510])
def test_a_limit_that_is_needed_stays(tokens: int) -> None:
    assert not _plan(_config(), (_with_tokens(s, tokens) for s in _runs(300, 0)), findings=(DEAR,))


def test_a_dear_deployment_whose_answers_are_truncated_gets_more_not_fewer() -> None:
    (mutation,) = _plan(_config(), _runs(200, 60), findings=(DEAR,))
    assert mutation.to == {"max_tokens": 768}


@pytest.mark.parametrize("lowest", [500, 512])
def test_a_limit_is_never_lowered_beyond_its_bounds(lowest: int) -> None:
    config = _config({"max_tokens": 512}, {"max_tokens": (lowest, 1024)})
    assert not _plan(config, _runs(300, 0), findings=(DEAR,))  # what is left to save is not worth a change


def test_without_token_counts_nothing_is_lowered() -> None:
    assert not _plan(_config({"max_tokens": 1024}), _runs(300, 0, tokens_out=None), findings=(DEAR,))


def test_other_findings_and_unknown_deployments_lower_nothing() -> None:
    config = _config({"max_tokens": 1024})
    assert not _plan(config, _runs(300, 0), findings=(replace(DEAR, kind="drift"),))
    assert not _plan(config, _runs(300, 0), findings=(replace(DEAR, deployment="nobody"),))


def _with_tokens(seen: Seen, tokens: int) -> Seen:
    import msgspec

    return replace(seen, run=msgspec.structs.replace(seen.run, tokens_out=tokens))


# --- options -------------------------------------------------------------------------------------


def test_options_are_taken() -> None:
    planner = ParamSetPlanner()
    planner.configure(ParamSetOptions(max_rate=0.5))
    assert not planner.hive_plan((), view_of(_runs(200, 60)), _config(), T0_S)
    planner.configure(ParamSetOptions(factor=2.0))
    (mutation,) = planner.hive_plan((), view_of(_runs(200, 60)), _config(), T0_S)
    assert mutation.to == {"max_tokens": 1024}


@pytest.mark.parametrize("wrong", [{"max_rate": 0.0}, {"alpha": 1.0}, {"factor": 1.0}, {"min_runs": 0}])
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ParamSetOptions(**wrong)

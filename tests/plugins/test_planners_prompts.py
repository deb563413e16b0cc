"""PROMPT_PATCH is planned where a prompt is what fell has in common, and not where a model is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hivefeedback.model import Configuration, Deployment, Finding, Interval, Mutation, MutationKind, PromptVersions, Run
from hivefeedback.testing import Seen, view_of
from hivefeedback_planners import PromptPatchOptions, PromptPatchPlanner

T0_S = 1_700_000_040.0
CONFIG = Configuration(
    version=1,
    deployments={n: Deployment(n) for n in "ab"},
    prompts={
        "answer": PromptVersions(bodies=("h1", "h2"), current=2),
        "single": PromptVersions(bodies=("h3",), current=1),
        "system": PromptVersions(bodies=("h4", "h5"), current=1),
    },
)
ALONE = replace(CONFIG, deployments={"a": Deployment("a")})


def _runs(
    deployment: str, operation: str, rate: float, *prompts: str, n: int = 40, from_s: float = 0.0
) -> Iterator[Seen]:
    """So many judged runs, good ones spread evenly."""
    for i in range(n):
        good = int((i + 1) * rate) > int(i * rate)
        at_s = T0_S + from_s + i
        run = Run(deployment, operation, run_id=f"{deployment}-{operation}-{at_s}", started_at_s=at_s)
        yield Seen(run=run, reward=float(good), prompts=prompts)


def _fall(deployment: str, operation: str, kind: str = "degradation", severity: float = 0.9) -> Finding:
    return Finding(
        finding_id=f"{kind}:{deployment}:{operation}",
        analyzer="x",
        kind=kind,
        message=f"{deployment} fell on {operation}",
        deployment=deployment,
        operation=operation,
        severity=severity,
        before=Interval(estimate=0.9, low=0.85, high=0.95),
        after=Interval(estimate=0.4, low=0.3, high=0.5),
        p_value=0.0001,
        evidence=(f"t-{deployment}-1", f"t-{deployment}-2"),
    )


def _plan(config: Configuration, findings: list[Finding], *parts: Iterator[Seen]) -> list[Mutation]:
    return list(PromptPatchPlanner().hive_plan(findings, view_of(s for p in parts for s in p), config, T0_S + 100))


BOTH = [_fall("a", "x"), _fall("b", "x", severity=0.8)]


def _both() -> tuple[Iterator[Seen], ...]:
    return _runs("a", "x", 0.4, "answer@2"), _runs("b", "x", 0.4, "answer@2")


def test_a_prompt_with_which_every_deployment_fell_gets_its_other_version() -> None:
    """S4.5: PROMPT_PATCH, a registered alternative of a prompt whose satisfaction fell."""
    (mutation,) = _plan(CONFIG, BOTH, *_both())
    assert (mutation.kind, mutation.target, mutation.from_, mutation.to) == (MutationKind.PROMPT_PATCH, "answer", 2, 1)
    assert mutation.confidence == pytest.approx(0.95, abs=0.001)
    assert mutation.finding_id == "degradation:a:x"
    assert "2 of 2 places that ask for prompt 'answer' fell, with 2 deployments" in mutation.reason
    assert "version 1 is registered" in mutation.reason
    assert "priority" in mutation.reason
    assert mutation.undo == "serve version 2 of prompt 'answer' again"
    assert mutation.evidence == ("t-a-1", "t-b-1", "t-a-2", "t-b-2")
    assert (mutation.expected_effect.low, mutation.expected_effect.high) == (0.0, 0.5)
    assert mutation.planner == "prompt_patch_planner"


@pytest.mark.parametrize("kind", ["degradation", "dissatisfaction"])
def test_discontent_of_users_counts_as_a_fall(kind: str) -> None:
    assert _plan(CONFIG, [_fall("a", "x", kind), _fall("b", "x", kind)], *_both())


def test_other_findings_say_nothing_of_prompts() -> None:
    assert not _plan(CONFIG, [_fall("a", "x", "cost"), _fall("b", "x", "drift")], *_both())
    assert not _plan(CONFIG, [], *_both())


def test_one_deployment_that_fell_while_another_is_sound_with_the_prompt_has_a_bad_model() -> None:
    good = _runs("b", "x", 0.9, "answer@2")
    assert not _plan(CONFIG, [_fall("a", "x")], _runs("a", "x", 0.4, "answer@2"), good)


def test_one_deployment_that_fell_on_most_places_of_the_prompt_still_has_a_bad_model() -> None:
    bad = [_runs("a", operation, 0.4, "answer@2") for operation in ("x", "y", "z")]
    falls = [_fall("a", operation) for operation in ("x", "y", "z")]
    assert not _plan(CONFIG, falls, *bad, _runs("b", "x", 0.9, "answer@2"))


def test_one_deployment_that_is_sound_without_the_prompt_is_not_to_blame() -> None:
    elsewhere = _runs("a", "y", 0.9, "single@1")
    (mutation,) = _plan(CONFIG, [_fall("a", "x")], _runs("a", "x", 0.4, "answer@2"), elsewhere)
    assert mutation.confidence == pytest.approx(0.85, abs=0.001)
    assert "sound elsewhere" in mutation.reason


def test_where_there_is_no_other_deployment_the_prompt_is_what_can_be_changed() -> None:
    (mutation,) = _plan(ALONE, [_fall("a", "x")], _runs("a", "x", 0.4, "answer@2"))
    assert mutation.confidence == pytest.approx(0.75, abs=0.001)


def test_one_deployment_alone_is_left_to_a_swap_where_there_are_others() -> None:
    assert not _plan(CONFIG, [_fall("a", "x")], _runs("a", "x", 0.4, "answer@2"))


def test_a_fall_of_everything_is_not_the_fault_of_one_prompt() -> None:
    falls = [*BOTH, _fall("a", "y"), _fall("b", "y")]
    others = (_runs("a", "y", 0.4, "single@1"), _runs("b", "y", 0.4, "single@1"))
    assert not _plan(CONFIG, falls, *_both(), *others)


def test_a_prompt_that_other_operations_use_without_harm_is_not_suspected() -> None:
    sound = [_runs(d, o, 0.9, "answer@2") for d in "ab" for o in ("y", "z")]
    assert not _plan(CONFIG, BOTH, *_both(), *sound)


def test_a_prompt_that_was_not_asked_for_is_not_suspected() -> None:
    assert not _plan(CONFIG, BOTH, _runs("a", "x", 0.4), _runs("b", "x", 0.4))


def test_what_an_earlier_version_did_says_nothing_against_the_served_one() -> None:
    assert not _plan(CONFIG, BOTH, _runs("a", "x", 0.4, "answer@1"), _runs("b", "x", 0.4, "answer@1"))


def test_places_that_are_sound_again_are_not_planned_for() -> None:
    parts = [_runs(d, "x", rate, "answer@2", from_s=at_s) for d in "ab" for rate, at_s in ((0.4, 0.0), (0.95, 50.0))]
    assert not _plan(CONFIG, BOTH, *parts)
    assert not _plan(CONFIG, [_fall(d, "x", "dissatisfaction") for d in "ab"], *parts)


@pytest.mark.parametrize("rate", [0.6, 0.9])
def test_votes_that_fell_an_hour_ago_say_nothing_against_a_version_that_is_as_good_as_before(rate: float) -> None:
    """All newest runs are of the version that replaced the bad one: that is not to come back for what it did."""
    findings = [_fall(d, "x", "dissatisfaction") for d in "ab"]
    planned = _plan(CONFIG, findings, *(_runs(d, "x", rate, "answer@2", n=100) for d in "ab"))
    assert bool(planned) is (rate < 0.7)


def test_a_prompt_without_another_version_cannot_be_patched() -> None:
    assert not _plan(CONFIG, BOTH, _runs("a", "x", 0.4, "single@1"), _runs("b", "x", 0.4, "single@1"))


def test_two_prompts_of_one_operation_are_both_planned_for_the_same_finding_so_that_one_waits() -> None:
    plans = _plan(CONFIG, BOTH, *(_runs(d, "x", 0.4, "answer@2", "system@1") for d in "ab"))
    assert {m.target for m in plans} == {"answer", "system"}
    assert len({m.finding_id for m in plans}) == 1


def test_a_finding_about_a_whole_deployment_is_believed_of_the_operations_that_are_bad_now() -> None:
    whole = [_fall("a", ""), _fall("b", "")]
    sound = [_runs(d, "y", 0.9, "single@1") for d in "ab"]
    (mutation,) = _plan(CONFIG, whole, *_both(), *sound)
    assert "2 of 2 places that ask for prompt 'answer' fell and 0 of 2 that do not" in mutation.reason


def test_a_version_that_did_better_lately_comes_first_and_one_that_did_worse_is_not_planned() -> None:
    versions = PromptVersions(bodies=("h1", "h2", "h3", "h4", "h5"), current=5)
    config = replace(CONFIG, prompts={"answer": versions})
    records = [
        _runs(d, "x", rate, f"answer@{version}", n=30, from_s=-200 + 40 * version)
        for d in "ab"
        for version, rate in ((2, 0.9), (3, 0.2))
    ]
    plans = _plan(config, BOTH, *records, *(_runs(d, "x", 0.4, "answer@5") for d in "ab"))
    assert [m.to for m in plans] == [2, 4, 1]
    assert "version 2 earned 50.0% more lately (n 60)" in plans[0].reason
    assert plans[0].priority > plans[1].priority > plans[2].priority
    assert plans[0].expected_effect.low is not None
    assert plans[0].expected_effect.low > 0.3


def test_a_version_whose_text_was_erased_is_none() -> None:
    erased = replace(CONFIG, prompts={"answer": PromptVersions(bodies=("", "h2"), current=2)})
    assert not _plan(erased, BOTH, *_both())


def test_a_few_runs_prove_nothing_about_a_place() -> None:
    assert not _plan(CONFIG, BOTH, *(_runs(d, "x", 0.4, "answer@2", n=9) for d in "ab"))


def test_options_are_taken() -> None:
    planner = PromptPatchPlanner()
    planner.configure(PromptPatchOptions(min_confidence=0.96))
    assert not list(planner.hive_plan(BOTH, view_of(s for p in _both() for s in p), CONFIG, T0_S))

"""A rollout of a prompt is judged by those who asked for that prompt, in both arms alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.control import read_counts
from hivefeedback.errors import UnknownNameError
from hivefeedback.model import (
    Decision,
    Deployment,
    Feedback,
    PutDeployment,
    PutPrompt,
    Rollout,
    Run,
    StepCounts,
    UsePrompt,
    prompts_of,
    told_by,
)
from hivefeedback.stats import failing_units, harm_bound, harm_log_e
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import bodies, open_rollout, sync_loop

PROMPTS = {"p": "old {q}", "q": "other"}


def open_prompt(
    loop: FeedbackLoop, *, share: float = 0.5, rollout_id: str = "m-1", more: tuple[object, ...] = ()
) -> Rollout:
    body = loop.store.journal.put_body("new {q}")
    patch = (PutPrompt("p", 2, body), UsePrompt("p", 2), *more)
    return open_rollout(loop, patch, share=share, rollout_id=rollout_id)


def ask(
    loop: FeedbackLoop, operation: str, name: str = "", *, outcome: str = "ok", session_id: str | None = None
) -> Decision:
    """One call, which asks for a prompt or for none."""
    d = loop.decide(operation, ["a"], session_id)
    if name:
        d.prompt(name, q="?")
    loop.record(Run("a", operation, outcome, 0.1, decision_id=d.decision_id, session_id=session_id or ""))
    return d


def is_canary(d: Decision) -> bool:
    return any(a.variant == "canary" for a in d.assignments)


def counts(loop: FeedbackLoop) -> StepCounts:
    (step,) = read_counts(loop.store, "m-1")
    return step


# --- units -----------------------------------------------------------------------------------------------


def test_only_who_asked_for_the_prompt_is_a_unit_in_both_arms() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop)
        for i in range(200):
            ask(loop, "unrelated", session_id=f"u{i}")
            ask(loop, "unrelated", "q", session_id=f"v{i}")
        assert read_counts(loop.store, "m-1") == ()
        arms = [is_canary(ask(loop, "x", "p", session_id=f"s{i}")) for i in range(100)]
        step = counts(loop)
        assert (step.canary.units, step.control.units) == (arms.count(True), arms.count(False))


def test_harm_on_one_call_in_twenty_is_not_diluted_by_the_other_nineteen() -> None:
    """A third of the canary's answers are cut off where the prompt is used; the rest never asks for it.
    Counted with the rest, the bound of harm would be a tenth of what it is."""
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop)
        arms = []
        for i in range(800):
            if i % 20:
                ask(loop, "unrelated")
                continue
            arms.append(is_canary(loop.decide("x", ["a"], f"s{i}")))
            is_cut = arms[-1] and arms.count(True) % 3 == 0
            ask(loop, "x", "p", outcome="timeout" if is_cut else "ok", session_id=f"s{i}")
        step = counts(loop)
        assert step.control.units + step.canary.units == 40
        assert harm_bound([step], "error") > 0.35
        control, canary = replace(step.control, units=1000), replace(step.canary, units=1000)
        assert harm_bound([replace(step, control=control, canary=canary)], "error") < 0.035


def test_a_broken_prompt_is_stopped_by_those_who_use_it() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop, share=0.25)
        for i in range(200):
            d = ask(loop, "x", "p", outcome="ok", session_id=f"s{i}")
            loop.record(Run("a", "x", "model_error" if is_canary(d) else "ok", 0.1, decision_id=d.decision_id))
        assert loop.decide("x", ["a"], "new").assignments == ()


def test_a_prompt_that_lacks_a_field_fails_its_own_arm() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop, share=1.0)
        d = loop.decide("x", ["a"])
        with pytest.raises(UnknownNameError):
            d.prompt("p")
        loop.record(Run("a", "x", "model_error", decision_id=d.decision_id))
        assert counts(loop).canary.failed("error") == 1


def test_a_name_that_is_no_prompt_is_not_remembered() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop, share=1.0)
        d = loop.decide("x", ["a"])
        with pytest.raises(UnknownNameError):
            d.prompt("nothing")
        assert d.asked == set()


def test_copies_of_a_decision_remember_together() -> None:
    with sync_loop("a", "b", prompts=PROMPTS) as loop:
        open_prompt(loop, share=1.0)
        d = loop.decide("x", ["a", "b"])
        d.falling_back(d.fallbacks[0]).prompt("p", q="?")
        d.of_session("s").prompt("q")
        assert d.asked == {"p", "q"}


def test_what_was_asked_for_changes_nothing_for_a_rollout_of_a_deployment() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_rollout(loop, share=0.5)
        d = loop.decide("x", ["a"])
        assert d.told == d.assignments
        d.prompt("p", q="?")
        assert d.told == d.assignments


def test_a_rollout_that_changes_a_deployment_too_concerns_everybody() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        rollout = open_prompt(loop, share=1.0, more=(PutDeployment(Deployment("a", model="better")),))
        assert prompts_of(rollout) == ()
        ask(loop, "x")
        assert counts(loop).canary.units == 1


# --- who learns ------------------------------------------------------------------------------------------


def test_who_did_not_ask_teaches_the_deployment_and_not_the_canary() -> None:
    policy = EvenPolicy()
    with sync_loop("a", prompts=PROMPTS, policy=policy) as loop:
        open_prompt(loop, share=1.0)
        ask(loop, "unrelated")
        ask(loop, "x", "p")
        assert [(o.operation, o.deployment) for o in policy.observations] == [("unrelated", "a"), ("x", "a@m-1")]
        (cell,) = loop.view().arms("m-1").values()
        assert cell.n_runs == 1


def test_an_erasure_takes_back_the_arms_that_were_counted() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop, share=1.0)
        ask(loop, "x", "p", session_id="asked")
        ask(loop, "x", session_id="did-not-ask")
        loop.erase(session="did-not-ask")
        assert {arm: cell.n_runs for arm, cell in loop.view().arms("m-1").items()} == {"canary": 1}
        loop.erase(session="asked")
        assert sum(cell.n_runs for cell in loop.view().arms("m-1").values()) == 0


# --- the log ---------------------------------------------------------------------------------------------


def test_the_log_says_which_prompts_a_run_was_served_with() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        ask(loop, "x", "p")
        open_prompt(loop, share=1.0)
        ask(loop, "x", "p")
        ask(loop, "x")
        assert [run.prompts for run in bodies(loop, Run)] == [(), ("p",), ()]


def test_feedback_that_comes_late_to_another_process_counts_where_the_prompt_was_asked_for() -> None:
    store, clock = "memory://late-prompts", FakeClock()
    with (
        sync_loop("a", store=store, clock=clock, prompts=PROMPTS) as one,
        sync_loop("a", store=store, clock=clock, prompts=PROMPTS) as two,
    ):
        open_prompt(one, share=1.0)
        two.refresh()
        for name in ("p", ""):
            d = ask(one, "x", name, session_id=f"s-{name}")
            two.feedback(Feedback("helpful", 0.0, decision_id=d.decision_id))
        step = counts(one)
        assert (step.canary.units, step.canary.failed("quality")) == (1, 1)


def test_a_run_may_say_itself_which_prompts_it_was_served_with() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop, share=1.0)
        for prompts in (("p",), ["p", 7], "p", None, 3):
            d = loop.decide("x", ["a"])
            loop.record(Run("a", "x", decision_id=d.decision_id, prompts=prompts))  # type: ignore[arg-type]  # on purpose
        assert counts(loop).canary.units == 2
        assert loop.counters["bad_prompts"] == 3


def test_half_of_the_failures_of_a_harmless_prompt_are_the_canarys() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_prompt(loop, share=0.5)
        for i in range(300):
            ask(loop, "x", "p", outcome="truncated" if i % 3 == 0 else "ok", session_id=f"s{i}")
            ask(loop, "y", session_id=f"t{i}")
        assert harm_log_e(failing_units(read_counts(loop.store, "m-1"), "quality")) < 3.0


def test_assignments_without_prompts_tell_of_everything() -> None:
    with sync_loop("a", prompts=PROMPTS) as loop:
        open_rollout(loop, share=1.0, rollout_id="m-1")
        open_prompt(loop, share=1.0, rollout_id="m-2")
        d = loop.decide("x", ["a"])
        assert [a.rollout_id for a in d.told] == ["m-1"]
        assert (d.variant, d.learner) == ("a@m-1+m-2", "a@m-1")
        d.prompt("p", q="?")
        assert [a.rollout_id for a in d.told] == ["m-1", "m-2"]
        assert told_by(d.assignments, {"p"}) == d.told
        assert d.learner == "a@m-1+m-2"

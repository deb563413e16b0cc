"""A fact check is a function of the user's; slow ones never hold up the recorder."""

from __future__ import annotations

import threading

import pytest

from hivefeedback import FeedbackLoop, Run
from hivefeedback.hooks import Scorer
from hivefeedback.testing import FakeClock, ScorerContract, event_of
from hivefeedback_scorers import FactCheck
from tests.core.loops import live_loop, sync_loop, until


class TestFactCheckKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return FactCheck(lambda run: run.output == run.reference)

    def good_run(self) -> Run:
        return Run("a", output="Paris", reference="Paris")


class TestASlowFactCheckKeepsTheContract(ScorerContract):
    def make_scorer(self) -> Scorer:
        return FactCheck(lambda run: 0.9, is_slow=True)

    def good_run(self) -> Run:
        return Run("a", output="Paris")


def _checked(loop: FeedbackLoop) -> tuple[int, float | None]:
    judged = loop.view(3600.0).totals("deployment")[("a",)].judged.get("fact_check")
    return (judged.n, judged.mean) if judged else (0, None)


def test_the_answer_of_a_fact_check_is_the_score_fact_check_of_its_run() -> None:
    """S1.13 Success is what the fact check says, and the reward is it."""
    with sync_loop(plugins=[FactCheck(lambda run: "4" in (run.output or ""))]) as loop:
        loop.record(Run("a", "x", output="2 + 2 = 4"))
        loop.record(Run("a", "x", output="2 + 2 = 5"))
        assert _checked(loop) == (2, 0.5)
        reward = loop.view(3600.0).totals("deployment")[("a",)].judged["reward"]
        assert (reward.n, reward.mean) == (2, 0.5)


def test_a_check_that_cannot_say_says_nothing() -> None:
    with sync_loop(plugins=[FactCheck(lambda run: None)]) as loop:
        loop.record(Run("a", "x", output="perhaps"))
        assert _checked(loop) == (0, None)


def test_only_the_operations_that_were_named_are_checked() -> None:
    with sync_loop(plugins=[FactCheck(lambda run: True, operations=["medical"])]) as loop:
        loop.record(Run("a", "medical/dose", output="2 mg"))
        loop.record(Run("a", "poem", output="roses"))
        assert _checked(loop) == (1, 1.0)


def test_a_check_that_raises_costs_itself_alone_and_is_named() -> None:
    def fails(run: Run) -> bool:
        raise RuntimeError("the library burnt down")

    with sync_loop(plugins=[FactCheck(fails)]) as loop:
        for _ in range(7):
            loop.record(Run("a", "x", output="y"))
        assert loop.stats()[0].n_runs == 7
        info = next(p for p in loop.registry.plugins() if p.name == "fact_check")
        assert (info.state, info.errors) == ("quarantined", 5)
        assert "the library burnt down" in info.last_error


@pytest.mark.parametrize("answer", ["yes", 1.5, -0.1, float("nan")])
def test_an_answer_that_is_no_judgement_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="expected a bool, a number"):
        FactCheck(lambda run: answer).score(event_of(Run("a", output="x")))  # type: ignore[arg-type, return-value]  # wrong on purpose


def test_a_slow_check_answers_later_and_the_recorder_goes_on_meanwhile() -> None:
    may_answer = threading.Event()

    def slow(run: Run) -> float:
        may_answer.wait(20.0)
        return 0.75

    with live_loop(plugins=[FactCheck(slow, is_slow=True)]) as loop:
        loop.record(Run("a", "x", output="y", run_id="r-1"))
        assert loop.flush(10.0)
        assert loop.stats()[0].n_runs == 1
        assert _checked(loop) == (0, None)
        may_answer.set()
        until(lambda: loop.flush() and _checked(loop) == (1, 0.75))


def test_slow_checks_that_pile_up_are_left_out_and_counted() -> None:
    may_answer = threading.Event()

    def slow(run: Run) -> bool:
        may_answer.wait(20.0)
        return True

    with live_loop(plugins=[FactCheck(slow, is_slow=True, max_waiting=3)]) as loop:
        for _ in range(20):
            loop.record(Run("a", "x", output="y"))
        assert loop.flush(10.0)
        n_left_out = loop.counters["fact_check_skipped_full"]
        assert n_left_out in (16, 17)  # the thread may have taken one already
        may_answer.set()
        until(lambda: loop.flush() and _checked(loop) == (20 - n_left_out, 1.0))


def test_a_slow_check_that_raises_is_counted_and_the_next_one_is_made() -> None:
    def odd(run: Run) -> bool:
        if run.output == "bad":
            raise RuntimeError("no")
        return True

    with live_loop(plugins=[FactCheck(odd, is_slow=True)]) as loop:
        loop.record(Run("a", "x", output="bad"))
        loop.record(Run("a", "x", output="good"))
        until(lambda: loop.flush() and _checked(loop) == (1, 1.0))
        assert loop.counters["fact_check_failed"] == 1


def test_one_thread_makes_all_slow_checks_also_where_they_come_one_by_one() -> None:
    made_by: list[int] = []

    def check(run: Run) -> bool:
        made_by.append(threading.get_ident())
        return True

    with live_loop(plugins=[FactCheck(check, is_slow=True)]) as loop:
        for n in range(1, 6):
            loop.record(Run("a", "x", output="y"))
            until(lambda n=n: loop.flush() and _checked(loop) == (n, 1.0))  # type: ignore[misc]  # mypy knows no default of a lambda
    assert len(set(made_by)) == 1


def test_in_a_loop_with_a_given_clock_a_slow_check_is_made_at_once() -> None:
    before = set(threading.enumerate())
    with FeedbackLoop(
        "memory://", ["a"], clock=FakeClock(), plugins=[FactCheck(lambda run: 0.5, is_slow=True)]
    ) as loop:
        loop.record(Run("a", "x", output="y"))
        assert _checked(loop) == (1, 0.5)
    assert set(threading.enumerate()) <= before


def test_a_check_must_be_a_function() -> None:
    with pytest.raises(TypeError, match="expected a function"):
        FactCheck("no")  # type: ignore[arg-type]  # wrong on purpose

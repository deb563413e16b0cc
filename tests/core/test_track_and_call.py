"""``track``, ``call`` and ``acall`` record what happened and raise on what was raised."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hivefeedback import Decision
from hivefeedback.engine.outcomes import outcome_of
from hivefeedback.model import Run
from hivefeedback.testing import EvenPolicy, FakeClock, FixedPolicy
from tests.core.loops import bodies, live_loop, sync_loop


class RateLimitError(Exception):
    status_code = 429


class AuthenticationError(Exception):
    status_code = 401


class APITimeoutError(Exception):
    pass


class ContentPolicyViolationError(Exception):
    status_code = 400


class GraphBubbleUp(Exception):
    pass


class ServerError(Exception):
    status_code = 503


class Unread(Exception):
    """Its status cannot be read: the answer was never read."""

    @property
    def status_code(self) -> int:
        raise RuntimeError("the answer was not read")


def refuse(error: BaseException) -> Any:
    raise error


OUTCOMES = [
    (ValueError("x"), "model_error"),
    (ServerError(), "model_error"),
    (Unread(), "model_error"),
    (RateLimitError(), "rate_limited"),
    (APITimeoutError(), "timeout"),
    (TimeoutError(), "timeout"),
    (AuthenticationError(), "internal"),
    (ContentPolicyViolationError(), "refused"),
    (GraphBubbleUp(), "control_flow"),
    (asyncio.CancelledError(), "cancelled"),
    (KeyboardInterrupt(), "cancelled"),
    (GeneratorExit(), "abandoned"),
]


@pytest.mark.parametrize(("error", "outcome"), OUTCOMES, ids=lambda v: type(v).__name__)
def test_an_exception_is_recorded_as_what_it_stands_for_and_raised_on(error: BaseException, outcome: str) -> None:
    with sync_loop() as loop:
        with pytest.raises(type(error)), loop.track("a", operation="x"):
            raise error
        (run,) = bodies(loop, Run)
        assert (run.outcome, run.error) == (outcome, type(error).__name__)


def test_track_records_what_was_set_and_how_long_it_took() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, store_content=True) as loop:
        d = loop.decide("x", session_id="s")
        with loop.track(str(d.deployment), decision=d, agent_id="planner", user_id="ann", trace_id="t") as run:
            start = clock()
            clock.advance(1.5)
            run.tokens_in, run.tokens_out, run.cost_usd, run.ttft_s = 10, 20, 0.25, 0.5
            run.output, run.response_id, run.attributes = "hello", "resp", {"k": 1}
        (stored,) = bodies(loop, Run)
    assert (stored.operation, stored.decision_id, stored.session_id) == ("x", d.decision_id, "s")
    assert (stored.duration_s, stored.started_at_s, stored.outcome) == (1.5, start, "ok")
    assert (stored.tokens_in, stored.tokens_out, stored.cost_usd, stored.ttft_s) == (10, 20, 0.25, 0.5)
    assert (stored.output, stored.response_id, dict(stored.attributes)) == ("hello", "resp", {"k": 1})
    assert (stored.run_id, stored.agent_id, stored.trace_id) == (run.run_id, "planner", "t")


def test_an_outcome_that_was_set_is_kept_also_where_an_exception_follows() -> None:
    with sync_loop() as loop:
        with loop.track("a", operation="x") as run:
            run.outcome = "refused"

        def fail() -> None:
            with loop.track("a", operation="x") as run:
                run.outcome = "truncated"
                raise ValueError

        with pytest.raises(ValueError):
            fail()
        assert [r.outcome for r in bodies(loop, Run)] == ["refused", "truncated"]


async def test_track_works_around_awaits_and_records_cancellation() -> None:
    with sync_loop() as loop:

        async def work() -> None:
            async with loop.track("a", operation="x"):
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (run,) = bodies(loop, Run)
        assert run.outcome == "cancelled"
        assert loop.stats()[0].n_runs == 0


def test_call_answers_what_the_function_answers_and_records_one_run() -> None:
    with sync_loop() as loop:
        assert loop.call(lambda d: f"by {d.deployment}", "x", candidates=["b"]) == "by b"
        (run,) = bodies(loop, Run)
        assert (run.deployment, run.outcome, run.attempt, run.retry_of, bool(run.decision_id)) == (
            "b",
            "ok",
            1,
            "",
            True,
        )


def test_call_goes_on_with_the_next_best_and_records_each_attempt() -> None:
    shares = {"a": 0.6, "b": 0.3, "c": 0.1}
    policy = FixedPolicy(shares)
    with sync_loop(*shares, policy=policy, seed=3) as loop:
        tried: list[Decision] = []

        def fn(d: Decision) -> str:
            tried.append(d)
            return "done" if len(tried) == 3 else str(refuse(TimeoutError()))

        assert loop.call(fn, "x", session_id="s") == "done"
        runs = bodies(loop, Run)
    names = [str(d.deployment) for d in tried]
    assert set(names) == set(shares)
    assert names[1:] == [n for n in shares if n != names[0]]
    assert [r.deployment for r in runs] == names
    assert [(r.outcome, r.attempt) for r in runs] == [("timeout", 1), ("timeout", 2), ("ok", 3)]
    assert [r.retry_of for r in runs] == ["", runs[0].run_id, runs[1].run_id]
    assert len({r.decision_id for r in runs}) == 1
    assert {r.decided_deployment for r in runs} == {names[0]}
    assert {r.session_id for r in runs} == {"s"}
    assert [d.reason for d in tried[1:]] == ["fallback"] * 2
    assert [o.deployment for o in policy.observations] == names[:1]


def test_an_exception_that_cannot_say_its_status_is_mended_by_another_deployment() -> None:
    tried: list[str | None] = []

    def answer(d: Decision) -> str | None:
        tried.append(d.deployment)
        return d.deployment if len(tried) == 2 else refuse(Unread())

    with sync_loop("a", "b") as loop:
        assert loop.call(answer, "x", max_attempts=2) == tried[1]
        assert [r.outcome for r in bodies(loop, Run)] == ["model_error", "ok"]


def test_the_last_exception_is_raised_on() -> None:
    with sync_loop("a", "b") as loop:
        errors = iter([TimeoutError("first"), ServerError("last")])
        with pytest.raises(ServerError, match="last"):
            loop.call(lambda d: refuse(next(errors)), "x")
        assert [r.outcome for r in bodies(loop, Run)] == ["timeout", "model_error"]


@pytest.mark.parametrize(("max_attempts", "expected"), [(1, 1), (2, 2), (3, 3), (0, 1), (-5, 1), (99, 4)])
def test_attempts_are_bounded(max_attempts: int, expected: int) -> None:
    with sync_loop("a", "b", "c", "d", "e") as loop:
        with pytest.raises(TimeoutError):
            loop.call(lambda d: refuse(TimeoutError()), "x", max_attempts=max_attempts)
        assert len(bodies(loop, Run)) == expected


@pytest.mark.parametrize(
    "error", [AuthenticationError(), ContentPolicyViolationError(), GraphBubbleUp(), KeyboardInterrupt()]
)
def test_what_another_deployment_could_not_mend_is_raised_at_once(error: BaseException) -> None:
    with sync_loop("a", "b", "c") as loop:
        with pytest.raises(type(error)):
            loop.call(lambda d: refuse(error), "x")
        assert len(bodies(loop, Run)) == 1


async def test_acall_is_the_twin_of_call() -> None:
    with sync_loop("a", "b", policy=EvenPolicy()) as loop:
        tried: list[str | None] = []

        async def fn(d: Decision) -> str:
            await asyncio.sleep(0)
            tried.append(d.deployment)
            return "done" if len(tried) == 2 else str(refuse(RateLimitError()))

        assert await loop.acall(fn, "x") == "done"
        assert sorted(map(str, tried)) == ["a", "b"]
        assert [r.outcome for r in bodies(loop, Run)] == ["rate_limited", "ok"]


async def test_a_cancelled_acall_is_not_tried_again() -> None:
    with sync_loop("a", "b") as loop:

        async def fn(d: Decision) -> None:
            await asyncio.sleep(60)

        task = asyncio.create_task(loop.acall(fn, "x"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [r.outcome for r in bodies(loop, Run)] == ["cancelled"]


def test_call_with_nothing_to_choose_still_calls() -> None:
    with sync_loop() as loop:
        assert loop.call(lambda d: d.deployment, "x", candidates=[]) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_errors_of_the_caller_count_against_nobody(status: int) -> None:
    class HTTPError(Exception):
        status_code = status

    assert outcome_of(HTTPError()) == "internal"


# --- what was meant otherwise never reaches the application as an exception of ours --------------------


def test_the_id_of_a_decision_is_enough_for_track() -> None:
    with sync_loop() as loop:
        d = loop.decide("x")
        with loop.track(str(d.deployment), "x", decision=d.decision_id):
            pass
        (run,) = bodies(loop, Run)
        assert (run.decision_id, run.operation) == (d.decision_id, "x")


def test_a_decision_that_is_none_is_counted_and_the_run_is_recorded() -> None:
    wrong: Any = 5
    with sync_loop() as loop:
        with loop.track("a", "x", decision=wrong):
            pass
        assert [r.decision_id for r in bodies(loop, Run)] == [""]
        assert loop.counters["bad_decision"] == 1


class Unprintable:
    """Whoever asks for its text gets an exception."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("equal to nothing")

    __hash__ = None  # type: ignore[assignment]  # wrong on purpose


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("name", ["deployment", "operation", "decision", "session_id", "user_id", "kind", "trace_id"])
def test_an_object_that_cannot_be_printed_costs_its_own_run_and_no_call(name: str, threads: bool) -> None:
    given: dict[str, Any] = {"deployment": "a", "operation": "x", name: Unprintable()}
    with live_loop() if threads else sync_loop() as loop:
        done = False
        with loop.track(**given):
            done = True
        with loop.track("a", operation="y"):
            pass
        assert loop.flush(20.0)
        assert done
        assert "y" in [r.operation for r in bodies(loop, Run)]


@pytest.mark.parametrize(
    "field", ["outcome", "tokens_in", "cost_usd", "ttft_s", "response_id", "input", "output", "attributes", "run_id"]
)
def test_a_part_of_a_run_that_cannot_be_printed_costs_no_call(field: str) -> None:
    with sync_loop() as loop:
        with loop.track("a", operation="x") as run:
            setattr(run, field, Unprintable())
        with loop.track("a", operation="y"):
            pass
        assert "y" in [r.operation for r in bodies(loop, Run)]


def test_a_field_that_a_run_has_not_is_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with sync_loop() as loop:
        for _ in range(2):
            with loop.track("a", operation="x") as run:
                run.tokens_input = 5  # type: ignore[attr-defined]  # a slip of the pen
        assert [r.tokens_in for r in bodies(loop, Run)] == [None, None]
        assert loop.counters["bad_run_field"] == 2
    assert caplog.text.count("'tokens_input' is no field of a tracked run; did you mean tokens_in?") == 1


@pytest.mark.parametrize("wrong", [None, "x", 2.5, Unprintable()], ids=["none", "text", "float", "object"])
def test_a_number_of_attempts_that_is_none_counts_as_the_usual_one(wrong: Any) -> None:
    with sync_loop("a", "b", "c", "d", "e") as loop:
        with pytest.raises(TimeoutError):
            loop.call(lambda d: refuse(TimeoutError()), "x", max_attempts=wrong)
        assert len(bodies(loop, Run)) == 3
        assert loop.counters["bad_max_attempts"] == 1


async def test_an_async_function_in_call_works_and_says_that_acall_measures_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(d: Decision) -> str:
        return "answer"

    with sync_loop() as loop:
        assert await loop.call(answer, "x") == "answer"
        assert [r.outcome for r in bodies(loop, Run)] == ["internal"]
        assert loop.stats()[0].n_runs == 0
        assert loop.counters["call_of_async_function"] == 1
    assert "await loop.acall(fn, ...) instead" in caplog.text


async def test_a_plain_function_in_acall_is_no_failure_of_the_deployment() -> None:
    plain: Any = lambda d: "answer"  # noqa: E731  # as applications write it
    with sync_loop() as loop:
        assert await loop.acall(plain, "x") == "answer"
        assert [r.outcome for r in bodies(loop, Run)] == ["ok"]


def test_a_call_without_any_deployment_is_named_and_no_run(caplog: pytest.LogCaptureFixture) -> None:
    with sync_loop() as loop:
        assert loop.call(lambda d: d.deployment, "x", candidates=[]) is None
        assert bodies(loop, Run) == []
        assert loop.counters["call_without_deployment"] == 1
        assert not loop.counters["bad_run_without_deployment"]
    assert "nothing could be chosen" in caplog.text

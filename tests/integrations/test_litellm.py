"""What the LiteLLM hook does to a real router: picks, retries, outcomes, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from hivefeedback.model import Configuration, Decision, Deployment, Exclusion, Lineup, Offer, Run

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing litellm fetches a price list
litellm = pytest.importorskip("litellm")

from hivefeedback_litellm import FeedbackLogger, attach  # noqa: E402 - after the environment is set

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

# LiteLLM's own types warn inside pydantic; ours may not
pytestmark = pytest.mark.filterwarnings("ignore:Item.*ReadOnly:UserWarning")

HELLO = [{"role": "user", "content": "hello"}]


class FakeLoop:
    """Decides what the test says, and remembers what it is told."""

    def __init__(self, pick: str = "", *, reason: str = "policy", shut: tuple[str, ...] = ()) -> None:
        self.pick, self.reason, self.shut = pick, reason, shut
        self.runs: list[Run] = []
        self.asked: list[tuple[str, tuple[str, ...], str | None]] = []
        self.configuration = Configuration()
        self.models: dict[str, Deployment] = {}
        self.prompts: dict[str, str] = {}
        self.broken = False

    def decide(self, operation: str, candidates: list[str], session_id: str | None = None) -> Decision:
        if self.broken:
            raise RuntimeError("the loop is broken")
        self.asked.append((operation, tuple(candidates), session_id))
        names = tuple(candidates)
        index = names.index(self.pick) if self.pick in names else 0
        deployments = tuple(self.models.get(n, Deployment(n)) for n in names)
        lineup = Lineup("k", names, names, deployments, self.prompts, 1)
        weights = [3 if i == index else 1 for i in range(len(names))]
        offer = Offer.of(
            lineup,
            weights,
            weights_version=1,
            reason=self.reason,
            excluded=tuple(Exclusion(n, "breaker_open") for n in self.shut),
        )
        return Decision(f"d-{len(self.asked)}", operation, offer, index, 0, self.reason, 0.0, session_id)

    def record(self, run: Run) -> str:
        self.runs.append(run)
        return f"r-{len(self.runs)}"

    def add_deployment(self, deployment: Deployment) -> None:
        self.models[deployment.id] = deployment


def entry(name: str, *, group: str = "chat", answer: Any = "fine", **params: Any) -> dict[str, Any]:
    return {
        "model_name": group,
        "litellm_params": {"model": f"openai/{name}", "api_key": "x", "mock_response": answer, **params},
        "model_info": {"id": name},
    }


Attach = Callable[..., tuple[Any, FeedbackLogger]]


@pytest.fixture
def joined() -> Iterator[Attach]:
    """Attach a loop to a new router; what was attached is taken out again."""
    loggers: list[FeedbackLogger] = []

    def join(loop: FakeLoop, entries: list[dict[str, Any]], **options: Any) -> tuple[Any, FeedbackLogger]:
        own = {k: options.pop(k) for k in ("operation", "adopt", "capture_content") if k in options}
        router = litellm.Router(model_list=entries, **{"num_retries": 0, "retry_after": 0, **options})
        loggers.append(attach(cast("FeedbackLoop", loop), router, **own))
        return router, loggers[-1]

    yield join
    for logger in loggers:
        logger.detach()


@pytest.fixture(autouse=True)
async def _worker() -> AsyncIterator[None]:
    """LiteLLM delivers events from a worker of the running event loop; let it end with the test."""
    yield
    await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.stop()


@contextmanager
def watched() -> Iterator[list[dict[str, Any]]]:
    """What LiteLLM sends to providers in the meantime, as its own hook after each call tells it."""
    seen: list[dict[str, Any]] = []

    class Watcher(litellm.integrations.custom_logger.CustomLogger):  # type: ignore[misc, name-defined]  # litellm is Any
        async def async_post_call_success_deployment_hook(
            self, request_data: Any, response: Any, call_type: Any
        ) -> None:
            seen.append(dict(request_data))

    watcher = Watcher()
    litellm.callbacks.append(watcher)
    yield seen
    litellm.callbacks.remove(watcher)


async def until(loop: FakeLoop, count: int) -> list[Run]:
    """The runs, once there are so many; events come from a background worker."""
    deadline = time.monotonic() + 10
    while len(loop.runs) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return loop.runs


THREE = [entry("a"), entry("b"), entry("c")]


async def test_the_pick_of_the_loop_is_served_and_recorded_with_its_decision(joined: Attach) -> None:
    loop = FakeLoop("b")
    router, _ = joined(loop, THREE)
    for _ in range(5):
        answer = await router.acompletion("chat", messages=HELLO, metadata={"operation": "text/faq", "session_id": "s"})
        assert answer._hidden_params["model_id"] == "b"
    runs = await until(loop, 5)
    assert {r.deployment for r in runs} == {"b"}
    assert {r.outcome for r in runs} == {"ok"}
    assert sorted(r.decision_id for r in runs) == [f"d-{n}" for n in range(1, 6)]
    assert loop.asked[0] == ("text/faq", ("a", "b", "c"), "s")
    assert all(r.operation == "text/faq" and r.session_id == "s" and r.duration_s is not None for r in runs)
    assert runs[0].tokens_in == 10


async def test_feedback_can_join_by_the_response_id_and_by_the_call_id(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, THREE)
    answer = await router.acompletion("chat", messages=HELLO)
    (run,) = await until(loop, 1)
    assert run.response_id == answer.id
    assert run.run_id == answer._hidden_params["litellm_call_id"]
    assert run.attributes["litellm.call_id"] == run.run_id
    assert len(run.trace_id) == 32


async def test_without_an_operation_the_model_group_is_the_operation(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, THREE)
    await router.acompletion("chat", messages=HELLO)
    assert (await until(loop, 1))[0].operation == "chat"


@pytest.mark.parametrize("operation", ["text/given", lambda group, metadata: f"text/{group}-{metadata['kind']}"])
async def test_the_operation_can_be_given_at_attach(joined: Attach, operation: Any) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, THREE, operation=operation)
    await router.acompletion("chat", messages=HELLO, metadata={"kind": "given"})
    expected = "text/given" if isinstance(operation, str) else "text/chat-given"
    assert (await until(loop, 1))[0].operation == expected


@pytest.mark.parametrize("reason", ["observe", "advise", "off"])
async def test_outside_mode_act_litellm_selects_by_itself(joined: Attach, reason: str) -> None:
    loop = FakeLoop("a", reason=reason)
    router, _ = joined(loop, [entry("a", weight=0), entry("b", weight=1)])
    answers = [await router.acompletion("chat", messages=HELLO) for _ in range(5)]
    assert {a._hidden_params["model_id"] for a in answers} == {"b"}
    assert all(r.decision_id and not r.decided_deployment for r in await until(loop, 5))


async def test_a_retry_takes_another_deployment_under_the_same_decision(joined: Attach) -> None:
    loop = FakeLoop("bad")
    router, _ = joined(
        loop, [entry("bad", answer="litellm.InternalServerError"), entry("good")], num_retries=2, disable_cooldowns=True
    )
    for _ in range(5):
        assert (await router.acompletion("chat", messages=HELLO))._hidden_params["model_id"] == "good"
    runs = await until(loop, 10)
    failed = [r for r in runs if r.deployment == "bad"]
    served = [r for r in runs if r.deployment == "good"]
    assert len(loop.asked) == 5
    assert [r.outcome for r in failed] == ["model_error"] * 5
    assert all(r.attempt == 1 and r.duration_s is not None and r.error for r in failed)
    assert all(r.attempt == 2 and r.decided_deployment == "bad" and r.retry_of for r in served)
    assert {r.decision_id for r in failed} == {r.decision_id for r in served}


async def test_when_every_deployment_failed_the_list_is_still_not_empty(joined: Attach) -> None:
    loop = FakeLoop("a")
    bad = "litellm.InternalServerError"
    router, logger = joined(
        loop, [entry("a", answer=bad), entry("b", answer=bad)], num_retries=4, disable_cooldowns=True
    )
    with pytest.raises(litellm.InternalServerError):
        await router.acompletion("chat", messages=HELLO)
    assert {r.deployment for r in await until(loop, 5)} == {"a", "b"}
    assert not logger.counters


async def test_each_failed_attempt_is_recorded_once_though_two_hooks_tell_of_it(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, [entry("a", answer="litellm.RateLimitError")], disable_cooldowns=True)
    for _ in range(3):
        with pytest.raises(litellm.RateLimitError):
            await router.acompletion("chat", messages=HELLO)
    await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.flush()
    assert [r.outcome for r in loop.runs] == ["rate_limited"] * 3


async def test_a_fallback_to_another_group_is_not_defeated(joined: Attach) -> None:
    loop = FakeLoop("bad")
    entries = [entry("bad", answer="litellm.InternalServerError"), entry("other", group="spare")]
    router, _ = joined(loop, entries, fallbacks=[{"chat": ["spare"]}], disable_cooldowns=True)
    answer = await router.acompletion("chat", messages=HELLO, metadata={"operation": "text/x"})
    assert answer._hidden_params["model_id"] == "other"
    first, second = await until(loop, 2)
    assert (first.deployment, second.deployment, second.attempt) == ("bad", "other", 2)
    assert second.decided_deployment == "bad"
    assert second.operation == "text/x"


async def test_open_breakers_are_dropped_but_never_all_of_them(joined: Attach) -> None:
    loop = FakeLoop("c", shut=("a", "b"))
    router, _ = joined(loop, [entry("a"), entry("b"), entry("c", tpm=1)])
    logger = next(c for c in litellm.callbacks if isinstance(c, FeedbackLogger))
    request: dict[str, Any] = {"metadata": {"model_group": "chat"}}
    kept = await logger.async_filter_deployments("chat", list(router.model_list), None, request)
    assert [d["model_info"]["id"] for d in kept] == ["c"]
    loop.shut = ("a", "b", "c")
    kept = await logger.async_filter_deployments(
        "chat", list(router.model_list), None, {"metadata": {"model_group": "chat"}}
    )
    assert len(kept) == 3


async def test_a_tagged_request_reaches_its_tag_though_the_loop_prefers_another(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, [entry("a", tags=["cheap"]), entry("b", tags=["paid"])], enable_tag_filtering=True)
    answer = await router.acompletion("chat", messages=HELLO, metadata={"tags": ["paid"]})
    assert answer._hidden_params["model_id"] == "b"
    (run,) = await until(loop, 1)
    assert (run.deployment, run.decided_deployment) == ("b", "a")


async def test_other_strategies_are_narrowed_hard(joined: Attach) -> None:
    loop = FakeLoop("b")
    router, _ = joined(loop, THREE, routing_strategy="least-busy")
    answers = [await router.acompletion("chat", messages=HELLO) for _ in range(5)]
    assert {a._hidden_params["model_id"] for a in answers} == {"b"}


async def test_a_strategy_that_is_changed_while_running_is_followed(joined: Attach) -> None:
    loop = FakeLoop("c")
    router, _ = joined(loop, THREE)
    router.update_settings(routing_strategy="least-busy")
    answers = [await router.acompletion("chat", messages=HELLO) for _ in range(5)]
    assert {a._hidden_params["model_id"] for a in answers} == {"c"}


async def test_embeddings_are_picked_and_recorded_too(joined: Attach) -> None:
    loop = FakeLoop("b")
    entries = [entry("a", answer=[0.1, 0.2]), entry("b", answer=[0.1, 0.2])]
    router, _ = joined(loop, entries)
    await router.aembedding("chat", input=["hello"])
    (run,) = await until(loop, 1)
    assert (run.deployment, run.outcome) == ("b", "ok")


async def test_other_strategies_still_serve_tags(joined: Attach) -> None:
    loop = FakeLoop("a")
    entries = [entry("a", tags=["cheap"]), entry("b", tags=["paid"])]
    router, _ = joined(loop, entries, routing_strategy="least-busy", enable_tag_filtering=True)
    answer = await router.acompletion("chat", messages=HELLO, metadata={"tags": ["paid"]})
    assert answer._hidden_params["model_id"] == "b"


async def test_a_group_alias_is_served_by_the_pick(joined: Attach) -> None:
    loop = FakeLoop("c")
    router, _ = joined(loop, THREE, model_group_alias={"nick": "chat"})
    answers = [await router.acompletion("nick", messages=HELLO) for _ in range(5)]
    assert {a._hidden_params["model_id"] for a in answers} == {"c"}


async def test_weights_that_the_caller_brings_are_the_callers(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, THREE)
    answer = await router.acompletion("chat", messages=HELLO, _router_weights={"chat": {"c": 1.0}})
    assert answer._hidden_params["model_id"] == "c"
    assert (await until(loop, 1))[0].decided_deployment == ""


async def test_a_broken_loop_costs_the_request_nothing(joined: Attach, caplog: pytest.LogCaptureFixture) -> None:
    loop = FakeLoop("a")
    router, logger = joined(loop, THREE)
    loop.broken = True
    for _ in range(3):
        assert (await router.acompletion("chat", messages=HELLO)).choices[0].message.content == "fine"
    assert logger.counters["async_filter_deployments"] == 3
    assert sum("left a LiteLLM call alone" in r.message for r in caplog.records if r.levelname == "WARNING") == 1
    assert len(await until(loop, 3)) == 3


async def test_a_call_by_deployment_id_is_recorded_though_nothing_was_decided(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, THREE)
    await router.acompletion("b", messages=HELLO)
    (run,) = await until(loop, 1)
    assert (run.deployment, run.decision_id, loop.asked) == ("b", "", [])


async def test_other_routers_are_left_alone(joined: Attach) -> None:
    loop = FakeLoop("a")
    joined(loop, THREE)
    other = litellm.Router(model_list=[entry("x"), entry("y")], num_retries=0)
    await other.acompletion("chat", messages=HELLO)
    await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.flush()
    assert (loop.asked, loop.runs) == ([], [])


async def test_two_attached_routers_both_learn(joined: Attach) -> None:
    one, two = FakeLoop("a"), FakeLoop("x")
    first, _ = joined(one, [entry("a"), entry("b")])
    second, _ = joined(two, [entry("x"), entry("y")])
    await first.acompletion("chat", messages=HELLO)
    await second.acompletion("chat", messages=HELLO)
    assert [r.deployment for r in await until(one, 1)] == ["a"]
    assert [r.deployment for r in await until(two, 1)] == ["x"]


async def test_attaching_twice_gives_the_same_logger_and_records_once(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, logger = joined(loop, THREE)
    assert attach(cast("FeedbackLoop", loop), router) is logger
    await router.acompletion("chat", messages=HELLO)
    await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.flush()
    assert len(await until(loop, 1)) == 1


async def test_a_detached_logger_hears_nothing(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, logger = joined(loop, THREE)
    logger.detach()
    await router.acompletion("chat", messages=HELLO)
    await litellm.litellm_core_utils.logging_worker.GLOBAL_LOGGING_WORKER.flush()
    assert (loop.asked, loop.runs) == ([], [])


async def test_a_stream_is_recorded_once_with_its_time_to_the_first_token(joined: Attach) -> None:
    loop = FakeLoop("b")
    router, _ = joined(loop, THREE)
    stream = await router.acompletion("chat", messages=HELLO, stream=True)
    async for _ in stream:
        await asyncio.sleep(0)
    (run,) = await until(loop, 1)
    assert run.deployment == "b"
    assert run.ttft_s is not None
    assert run.duration_s is not None
    assert run.ttft_s <= run.duration_s


async def test_a_deployment_added_to_the_router_later_is_known(joined: Attach) -> None:
    loop = FakeLoop("late")
    router, _ = joined(loop, [entry("a")])
    router.set_model_list([entry("late")])
    answer = await router.acompletion("chat", messages=HELLO)
    assert answer._hidden_params["model_id"] == "late"
    assert (await until(loop, 1))[0].deployment == "late"


async def test_a_swapped_model_and_changed_parameters_are_served(joined: Attach) -> None:
    loop = FakeLoop("a")
    router, _ = joined(loop, [entry("a", temperature=1.0), entry("b")])
    loop.models["a"] = Deployment("a", model="openai/newer", params={"temperature": 0.25, "max_tokens": 7})
    with watched() as seen:
        answer = await router.acompletion("chat", messages=HELLO, max_tokens=9)
    (run,) = await until(loop, 1)
    assert answer.model.endswith("newer")
    assert run.deployment == "a"
    assert (seen[0]["temperature"], seen[0]["max_tokens"]) == (0.25, 9)


@pytest.mark.parametrize("reason", ["observe", "advise"])
async def test_what_litellm_selects_by_itself_is_served_as_it_was_promoted(joined: Attach, reason: str) -> None:
    loop = FakeLoop("a", reason=reason)
    router, _ = joined(loop, [entry("a", weight=0), entry("b", weight=1)])
    loop.models["b"] = Deployment("b", model="openai/newer", params={"temperature": 0.25})
    with watched() as seen:
        answer = await router.acompletion("chat", messages=HELLO)
    assert answer._hidden_params["model_id"] == "b"
    assert answer.model.endswith("newer")
    assert seen[0]["temperature"] == 0.25


async def test_a_retry_is_served_as_its_own_deployment_is_configured(joined: Attach) -> None:
    loop = FakeLoop("bad")
    bad = entry("bad", answer="litellm.InternalServerError")
    router, _ = joined(loop, [bad, entry("good")], num_retries=1, disable_cooldowns=True)
    loop.models["good"] = Deployment("good", model="openai/newer", params={"temperature": 0.25})
    with watched() as seen:
        answer = await router.acompletion("chat", messages=HELLO)
    assert answer.model.endswith("newer")
    assert seen[0]["temperature"] == 0.25


async def test_a_fallback_to_another_group_is_served_as_litellm_knows_it(joined: Attach) -> None:
    loop = FakeLoop("bad")
    entries = [entry("bad", answer="litellm.InternalServerError"), entry("other", group="spare")]
    router, logger = joined(loop, entries, fallbacks=[{"chat": ["spare"]}], disable_cooldowns=True)
    loop.models["bad"] = Deployment("bad", model="openai/newer")
    answer = await router.acompletion("chat", messages=HELLO)
    assert answer.model.endswith("other")
    assert not logger.counters


async def test_the_prompt_of_the_decisions_arm_replaces_the_system_message(joined: Attach) -> None:
    loop = FakeLoop("a")
    loop.prompts = {"answer": "Answer in {tone} words."}
    router, logger = joined(loop, THREE)
    metadata = {"prompt": "answer", "prompt_fields": {"tone": "few"}}
    messages = [{"role": "system", "content": "the default"}, *HELLO]
    with watched() as seen:
        await router.acompletion("chat", messages=messages, metadata=metadata)
        await router.acompletion("chat", messages=messages, metadata={"prompt": "not known"})
    assert [d["messages"][0]["content"] for d in seen] == ["Answer in few words.", "the default"]
    assert logger.counters["async_pre_call_deployment_hook"] == 1


def test_a_sync_call_through_the_logger_serves_the_pick(joined: Attach) -> None:
    loop = FakeLoop("c")
    _, logger = joined(loop, THREE)
    for _ in range(3):
        answer = logger.completion("chat", HELLO, metadata={"operation": "text/sync"})
        assert answer._hidden_params["model_id"] == "c"
    runs = _wait(loop, 3)
    assert {(r.deployment, r.operation, r.attempt) for r in runs} == {("c", "text/sync", 1)}
    assert all(r.decision_id for r in runs)


def test_a_sync_call_goes_on_with_the_next_deployment_when_the_pick_fails(joined: Attach) -> None:
    loop = FakeLoop("bad")
    _, logger = joined(
        loop, [entry("bad", answer="litellm.InternalServerError"), entry("good")], num_retries=1, disable_cooldowns=True
    )
    assert logger.completion("chat", HELLO)._hidden_params["model_id"] == "good"
    runs = {r.deployment: r for r in _wait(loop, 2)}
    assert runs["bad"].outcome == "model_error"
    assert (runs["good"].attempt, runs["good"].decided_deployment) == (2, "bad")


def test_a_sync_call_past_the_logger_is_recorded(joined: Attach) -> None:
    loop = FakeLoop("c")
    router, _ = joined(loop, [entry("a")])
    router.completion("chat", messages=HELLO)
    assert [r.deployment for r in _wait(loop, 1)] == ["a"]


def test_a_sync_call_survives_a_broken_loop(joined: Attach) -> None:
    loop = FakeLoop("c")
    _, logger = joined(loop, THREE)
    loop.broken = True
    assert logger.completion("chat", HELLO).choices[0].message.content == "fine"


def _wait(loop: FakeLoop, count: int) -> list[Run]:
    deadline = time.monotonic() + 10
    while len(loop.runs) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return loop.runs

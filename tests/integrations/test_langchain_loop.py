"""LangChain chains on a real loop: what they did is learnt, and late feedback finds its run."""

from __future__ import annotations

import asyncio
import runpy
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig
from msgspec.structs import replace

from hivefeedback import Decision, Deployment, Feedback, FeedbackLoop, Price, Run
from hivefeedback.testing import FakeClock
from hivefeedback_langchain import FeedbackCallbackHandler, config_for
from tests.core.loops import bodies

OPERATION = "text-to-text/medical"


class Served(BaseChatModel):
    """A model that knows its name; the bad one is down."""

    model: str

    @property
    def _llm_type(self) -> str:
        return "served"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        if self.model == "bad":
            raise ConnectionError("down")
        usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
        said = {"model_name": self.model, "finish_reason": "stop", "id": f"resp-{self.model}"}
        message = AIMessage("yes", usage_metadata=usage, response_metadata=said)
        return ChatResult(generations=[ChatGeneration(message=message)])


def chain_of(model: str) -> Runnable[dict[str, str], str]:
    return ChatPromptTemplate.from_template("{question}") | Served(model=model) | StrOutputParser()


def call(decision: Decision, handler: FeedbackCallbackHandler, run_id: uuid.UUID | None = None) -> str:
    config: RunnableConfig = {**config_for(decision), "callbacks": [handler], "run_id": run_id or uuid.uuid4()}
    return chain_of(decision.model or "").invoke({"question": "q"}, config)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def loop(clock: FakeClock) -> Iterator[FeedbackLoop]:
    deployments = [Deployment("good", price=Price(1.0, 10.0)), Deployment("bad")]
    with FeedbackLoop(store="memory://", deployments=deployments, seed=1, clock=clock) as made:
        yield made


@pytest.fixture
def handler(loop: FeedbackLoop, clock: FakeClock) -> FeedbackCallbackHandler:
    return FeedbackCallbackHandler(loop, clock=clock)


def test_calls_of_a_chain_are_counted_for_their_deployments(
    loop: FeedbackLoop, handler: FeedbackCallbackHandler
) -> None:
    for _ in range(5):
        call(loop.decide(OPERATION, ["good"]), handler)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            call(loop.decide(OPERATION, ["bad"]), handler)
    rows = {row.deployment: row for row in loop.stats(operation=OPERATION).rows}
    assert (rows["good"].n_runs, rows["good"].failures) == (5, 0)
    assert rows["good"].cost_usd == pytest.approx(5 * 0.002)
    assert {r.attributes["cost_source"] for r in bodies(loop, Run) if r.deployment == "good"} == {"list_price"}
    assert (rows["bad"].n_runs, rows["bad"].failures) == (2, 2)
    assert handler.errors == {}
    assert {name for name in loop.counters if name.startswith("bad_")} == set()


def test_three_failed_calls_open_the_breaker(loop: FeedbackLoop, handler: FeedbackCallbackHandler) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionError):
            call(loop.decide(OPERATION, ["bad"]), handler)
    assert {loop.decide(OPERATION).deployment for _ in range(50)} == {"good"}


@pytest.mark.parametrize("by", ["run_id", "trace_id", "decision_id", "response_id"])
def test_feedback_finds_its_call_by_any_of_its_ids(
    loop: FeedbackLoop, handler: FeedbackCallbackHandler, by: str
) -> None:
    run_id = uuid.uuid4()
    decision = loop.decide(OPERATION, ["good"])
    call(decision, handler, run_id)
    names = {
        "run_id": str(run_id),
        "trace_id": run_id.hex,
        "decision_id": decision.decision_id,
        "response_id": "resp-good",
    }
    loop.feedback(replace(Feedback("helpful", False), **{by: names[by]}))
    (row,) = [r for r in loop.stats(operation=OPERATION).rows if r.deployment == "good"]
    assert row.reward == 0.0
    assert loop.counters.get("feedback_unjoined", 0) == 0


def test_the_example_learns_the_better_model(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(repository / "examples" / "langchain_chain.py"), run_name="__main__")
    calls = {line.split(":")[0]: int(line.split()[1]) for line in capsys.readouterr().out.splitlines()}
    assert sum(calls.values()) == 200
    assert calls["brief"] > 150


async def test_a_threaded_loop_takes_a_hundred_calls_at_once() -> None:
    loop = FeedbackLoop(store="memory://", deployments=["good"], seed=1)
    handler = FeedbackCallbackHandler(loop, operation=OPERATION)
    chain = chain_of("good")
    await asyncio.gather(*(chain.ainvoke({"question": "q"}, {"callbacks": [handler]}) for _ in range(100)))
    await loop.aflush()
    (row,) = [r for r in loop.stats(operation=OPERATION).rows if r.deployment == "good"]
    assert row.n_runs == 100
    await loop.aclose()
    assert await chain.ainvoke({"question": "q"}, {"callbacks": [handler]}) == "yes"
    assert handler.errors == {}


def test_mode_off_records_nothing_and_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    loop = FeedbackLoop(store="memory://", deployments=["good"])
    handler = FeedbackCallbackHandler(loop)
    assert call(loop.decide(OPERATION), handler) == "yes"
    assert handler.errors == {}
    loop.close()

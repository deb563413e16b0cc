"""The callback handler on real LangChain chains with fake models."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import itertools
import logging
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from opentelemetry import trace

from hivefeedback import Decision, Deployment, Price, Run
from hivefeedback.errors import MissingExtraError
from hivefeedback.model import Configuration, Lineup, Offer
from hivefeedback.telemetry import PARENT_SPAN
from hivefeedback_langchain import Call, FeedbackCallbackHandler, config_for

TWO = (Deployment("a", model="m-1", price=Price(1.0, 2.0)), Deployment("b", model="m-2"))


class Recording:
    """Stands for a loop: remembers the runs that it is handed."""

    def __init__(self, *deployments: Deployment) -> None:
        self.configuration = Configuration(deployments={d.id: d for d in deployments})
        self.runs: list[Run] = []

    def record(self, run: Run) -> str:
        self.runs.append(run)
        return run.run_id

    def one(self, kind: str) -> Run:
        (run,) = [r for r in self.runs if r.kind == kind]
        return run


class FakeModel(BaseChatModel):
    """Answers ``words``; says its name and usage; fails with ``error``; may hang or repeat its name in streams."""

    model: str = "m-1"
    words: tuple[str, ...] = ("good", " ", "answer")
    error: Any = None  # an exception
    hangs: bool = False
    finish: str = "stop"
    n: int = 1

    @property
    def _llm_type(self) -> str:
        return "fake"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_model_name": self.model, "ls_provider": "fake"}

    def _message(self) -> AIMessage:
        usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        said = {"model_name": self.model, "finish_reason": self.finish}
        return AIMessage("".join(self.words), usage_metadata=usage, response_metadata=said)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.error is not None:
            raise self.error
        return ChatResult(generations=[ChatGeneration(message=self._message()) for _ in range(self.n)])

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, *args: Any, **kwargs: Any
    ) -> ChatResult:
        if self.hangs:
            await asyncio.Event().wait()
        return self._generate(messages)

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        for number, word in enumerate(self.words):
            if self.error is not None and number == 1:
                raise self.error
            said = {"model_name": self.model, "finish_reason": self.finish if number == len(self.words) - 1 else None}
            yield ChatGenerationChunk(message=AIMessageChunk(content=word, response_metadata=said))

    def _stream(
        self, *args: Any, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(self, *args: Any, run_manager: Any = None, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
            if self.hangs:
                await asyncio.Event().wait()


def chain_of(model: Runnable[Any, Any]) -> Runnable[Any, str]:
    return ChatPromptTemplate.from_template("{question}") | model | StrOutputParser()


def decision(index: int = 0, session_id: str | None = None) -> Decision:
    lineup = Lineup("k", ("a", "b"), ("a", "b"), TWO, {}, 1)
    offer = Offer.of(lineup, (1, 1), weights_version=1, reason="policy")
    return Decision("d-1", "text-to-text/medical", offer, index, 0, "policy", 0.0, session_id=session_id)


@pytest.fixture
def sink() -> Recording:
    return Recording()


@pytest.fixture
def handler(sink: Recording) -> FeedbackCallbackHandler:
    return FeedbackCallbackHandler(sink, operation="text-to-text/test", clock=lambda: 1000.0)


def outcomes(sink: Recording) -> list[tuple[str, str]]:
    return sorted((r.kind, r.outcome) for r in sink.runs)


# --- what is recorded ------------------------------------------------------------------------


def test_a_chain_is_recorded_as_its_root_and_its_model(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    answer = chain_of(FakeModel()).invoke({"question": "q"}, {"callbacks": [handler]})
    assert answer == "good answer"
    assert outcomes(sink) == [("chain", "ok"), ("llm", "ok")]
    llm, root = sink.one("llm"), sink.one("chain")
    assert (llm.deployment, llm.operation, llm.tokens_in, llm.tokens_out) == ("m-1", "text-to-text/test", 100, 10)
    assert llm.duration_s is not None
    assert root.duration_s is not None
    assert 0 < llm.duration_s < root.duration_s
    assert llm.started_at_s == 1000.0
    assert llm.ttft_s is None
    assert (llm.input, llm.output) == (None, None)
    assert handler.n_live == 0


def test_ids_follow_from_langchains_run_ids(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    root_id = uuid.UUID("0199aaaa-0000-7000-8000-0123456789ab")
    chain_of(FakeModel()).invoke({"question": "q"}, {"callbacks": [handler], "run_id": root_id})
    llm, root = sink.one("llm"), sink.one("chain")
    assert root.run_id == str(root_id)
    assert (root.trace_id, root.span_id, root.parent_id) == (root_id.hex, root_id.hex[16:], "")
    assert (llm.trace_id, llm.parent_id) == (root_id.hex, root.span_id)
    assert llm.span_id == uuid.UUID(llm.run_id).hex[16:]


async def test_async_calls_are_recorded_alike(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    await asyncio.gather(
        *(chain_of(FakeModel()).ainvoke({"question": "q"}, {"callbacks": [handler]}) for _ in range(20))
    )
    assert len(sink.runs) == 40
    assert len({r.trace_id for r in sink.runs}) == 20
    assert handler.n_live == 0


def test_one_handler_serves_a_batch_of_threads(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    chain_of(FakeModel()).batch([{"question": "q"}] * 30, {"callbacks": [handler], "max_concurrency": 8})
    assert len({r.run_id for r in sink.runs}) == 60
    both = RunnableParallel(x=FakeModel(), y=FakeModel(model="m-2"))
    both.invoke("q", {"callbacks": [handler]})
    assert {r.deployment for r in sink.runs if r.kind == "llm"} == {"m-1", "m-2"}
    assert handler.n_live == 0


def test_a_stream_has_a_time_to_first_token_and_a_repaired_name(
    sink: Recording, handler: FeedbackCallbackHandler
) -> None:
    assert "".join(chain_of(FakeModel()).stream({"question": "q"}, {"callbacks": [handler]})) == "good answer"
    llm = sink.one("llm")
    assert llm.deployment == "m-1"
    assert llm.ttft_s is not None
    assert llm.duration_s is not None
    assert 0 < llm.ttft_s <= llm.duration_s


async def test_an_async_stream_is_recorded_once(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    async for _ in chain_of(FakeModel()).astream({"question": "q"}, {"callbacks": [handler]}):
        pass
    assert outcomes(sink) == [("chain", "ok"), ("llm", "ok")]


def test_usage_of_several_answers_counts_once(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    FakeModel(n=3).invoke("q", {"callbacks": [handler]})
    assert sink.one("llm").tokens_out == 10


def test_tools_and_retrievers_hang_below_their_root(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    @tool
    def double(x: int) -> int:
        """Twice x."""
        return 2 * x

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document("d")]

    chain: Runnable[Any, Any] = RunnableLambda(lambda x: double.invoke({"x": x})) | RunnableLambda(
        lambda x: Shelf().invoke("q")
    )
    chain.invoke(3, {"callbacks": [handler]})
    root = sink.one("chain")
    assert sink.one("tool").deployment == "double"
    assert sink.one("tool").parent_id == root.span_id  # the lambda between them is not recorded
    assert sink.one("retriever").outcome == "ok"


def test_a_tool_message_that_says_error_is_a_failed_tool(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    run_id = uuid.uuid4()
    handler.on_tool_start({"name": "t"}, "x", run_id=run_id)
    handler.on_tool_end(ToolMessage("broke", tool_call_id="1", status="error"), run_id=run_id)
    assert sink.one("tool").outcome == "model_error"


def test_a_text_model_is_recorded_too(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    FakeListLLM(responses=["x"]).invoke("q", {"callbacks": [handler]})
    assert sink.one("llm").outcome == "ok"


def test_a_model_without_a_name_goes_by_its_class(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    FakeListChatModel(responses=["x"]).invoke("q", {"callbacks": [handler]})
    assert sink.one("llm").deployment == "FakeListChatModel"


def test_content_is_captured_only_when_asked_for(sink: Recording) -> None:
    handler = FeedbackCallbackHandler(sink, capture_content=True)
    chain_of(FakeModel()).invoke({"question": "how much?"}, {"callbacks": [handler]})
    llm, root = sink.one("llm"), sink.one("chain")
    assert llm.input is not None
    assert "how much?" in llm.input
    assert llm.output == root.output == "good answer"
    sink.runs.clear()
    FakeModel().invoke([HumanMessage("x" * 300_000)], {"callbacks": [handler]})
    assert len(sink.one("llm").input or "") == 100_000


# --- outcomes ------------------------------------------------------------------------------


def test_a_failing_model_fails_its_chain_and_the_error_reaches_the_caller(
    sink: Recording, handler: FeedbackCallbackHandler
) -> None:
    with pytest.raises(ConnectionError):
        chain_of(FakeModel(error=ConnectionError("down"))).invoke({"question": "q"}, {"callbacks": [handler]})
    assert outcomes(sink) == [("chain", "model_error"), ("llm", "model_error")]
    assert sink.one("llm").error == "ConnectionError"


def test_a_stream_that_dies_half_way_is_an_error_with_a_first_token(
    sink: Recording, handler: FeedbackCallbackHandler
) -> None:
    with pytest.raises(ConnectionError):
        list(FakeModel(error=ConnectionError("down")).stream("q", {"callbacks": [handler]}))
    llm = sink.one("llm")
    assert (llm.outcome, llm.ttft_s is None) == ("model_error", False)


def test_a_stream_closed_early_is_abandoned_not_failed(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    stream = FakeModel().stream("q", {"callbacks": [handler]})
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, behind the type Iterator
    assert sink.one("llm").outcome == "abandoned"
    forgotten = chain_of(FakeModel()).stream({"question": "q"}, {"callbacks": [handler]})
    next(forgotten)
    del forgotten
    gc.collect()
    assert {r.outcome for r in sink.runs if r.kind == "llm"} <= {"abandoned", "cancelled"}
    assert handler.n_live == 0


async def test_a_cancelled_chain_closes_its_model_at_once(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            chain_of(FakeModel(hangs=True)).ainvoke({"question": "q"}, {"callbacks": [handler]}), 0.02
        )
    assert outcomes(sink) == [("chain", "cancelled"), ("llm", "cancelled")]
    assert handler.n_live == 0


async def test_a_timeout_inside_the_chain_is_the_models_timeout(
    sink: Recording, handler: FeedbackCallbackHandler
) -> None:
    async def patient(question: str) -> Any:
        return await asyncio.wait_for(FakeModel(hangs=True).ainvoke(question), 0.02)

    with pytest.raises(TimeoutError):
        await RunnableLambda(patient).ainvoke("q", {"callbacks": [handler]})
    assert outcomes(sink) == [("chain", "timeout"), ("llm", "timeout")]


async def test_a_lone_call_that_was_cancelled_is_abandoned_after_its_time(sink: Recording) -> None:
    handler = FeedbackCallbackHandler(sink, ttl_s=0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(FakeModel(hangs=True).ainvoke("q", {"callbacks": [handler]}), 0.02)
    assert handler.n_live == 1
    for _ in range(64):
        FakeModel().invoke("q", {"callbacks": [handler]})
    assert handler.n_live == 0
    assert [r.outcome for r in sink.runs].count("abandoned") == 1


def test_calls_of_a_generate_that_another_call_broke_do_not_stay_alive(
    sink: Recording, handler: FeedbackCallbackHandler
) -> None:
    class Moody(FakeModel):
        def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            if messages[0].text == "b":
                raise ConnectionError("down")
            return super()._generate(messages)

    def three(question: str, config: RunnableConfig) -> str:
        with contextlib.suppress(ConnectionError):
            Moody().generate([[HumanMessage(text)] for text in "abc"], callbacks=config["callbacks"])
        return "went on"

    assert RunnableLambda(three).invoke("q", {"callbacks": [handler]}) == "went on"
    assert outcomes(sink) == [("chain", "ok"), ("llm", "cancelled"), ("llm", "cancelled"), ("llm", "model_error")]
    assert handler.n_live == 0


@pytest.mark.parametrize(("finish", "outcome"), [("length", "truncated"), ("content_filter", "refused")])
def test_a_finish_reason_decides_the_outcome(
    sink: Recording, handler: FeedbackCallbackHandler, finish: str, outcome: str
) -> None:
    FakeModel(finish=finish).invoke("q", {"callbacks": [handler]})
    list(FakeModel(finish=finish).stream("q", {"callbacks": [handler]}))
    assert [r.outcome for r in sink.runs] == [outcome, outcome]


def test_a_cached_answer_is_a_cache_hit(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    model = FakeModel(cache=InMemoryCache())
    model.invoke("q", {"callbacks": [handler]})
    model.invoke("q", {"callbacks": [handler]})
    assert [r.outcome for r in sink.runs] == ["ok", "cache_hit"]


# --- decisions and attribution ----------------------------------------------------------------


def test_a_decision_travels_in_the_config_to_every_run() -> None:
    sink = Recording(*TWO)
    handler = FeedbackCallbackHandler(sink, operation="other")
    config = {**config_for(decision(session_id="s-1")), "callbacks": [handler]}
    chain_of(FakeModel()).invoke({"question": "q"}, config)  # type: ignore[arg-type]  # a TypedDict after a merge
    llm, root = sink.one("llm"), sink.one("chain")
    assert (llm.deployment, llm.decided_deployment, llm.decision_id) == ("a", "a", "d-1")
    assert (llm.operation, llm.session_id) == ("text-to-text/medical", "s-1")
    assert (root.operation, root.session_id, root.decision_id) == ("text-to-text/medical", "s-1", "d-1")
    assert llm.cost_usd is None  # the recorder works it out and marks it so


def test_a_fallback_is_the_second_attempt_by_another_deployment() -> None:
    sink = Recording(*TWO)
    handler = FeedbackCallbackHandler(sink)
    model = FakeModel(error=ConnectionError("down")).with_fallbacks([FakeModel(model="m-2")])
    config = {**config_for(decision()), "callbacks": [handler]}
    chain_of(model).invoke({"question": "q"}, config)  # type: ignore[arg-type]  # a TypedDict after a merge
    first, second = (r for r in sink.runs if r.kind == "llm")
    assert (first.deployment, first.outcome, first.attempt) == ("a", "model_error", 1)
    assert (second.deployment, second.outcome, second.attempt) == ("b", "ok", 2)
    assert (second.decided_deployment, second.retry_of) == ("a", first.run_id)
    assert sink.one("chain").outcome == "ok"


def test_retries_are_numbered() -> None:
    sink = Recording()
    handler = FeedbackCallbackHandler(sink)
    model = FakeModel(error=ConnectionError("down")).with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    with pytest.raises(ConnectionError):
        model.invoke("q", {"callbacks": [handler]})
    assert [r.attempt for r in sink.runs if r.kind == "llm"] == [1, 2, 3]


def test_a_dated_name_of_the_provider_is_no_other_model() -> None:
    class Dated(FakeModel):
        def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
            return {}

    sink = Recording(*TWO)
    handler = FeedbackCallbackHandler(sink)
    config = {**config_for(decision()), "callbacks": [handler]}
    Dated(model="m-1-2024-08-06").invoke("q", config)  # type: ignore[arg-type]  # a TypedDict after a merge
    assert sink.one("llm").deployment == "a"


def test_the_frameworks_own_calls_are_not_the_agents() -> None:
    sink = Recording(*TWO)
    handler = FeedbackCallbackHandler(sink)
    metadata = {**config_for(decision())["metadata"], "lc_source": "summarization"}
    FakeModel().invoke("q", {"callbacks": [handler], "metadata": metadata})
    llm = sink.one("llm")
    assert (llm.outcome, llm.decision_id, llm.decided_deployment) == ("internal", "", "")


def test_operation_and_deployment_may_be_said_by_callables() -> None:
    sink = Recording()
    seen: list[Call] = []

    def operation(call: Call) -> str:
        seen.append(call)
        return f"op/{call.kind}"

    handler = FeedbackCallbackHandler(sink, operation=operation, deployment=lambda call: f"{call.served_model}@eu")
    FakeModel().invoke("q", {"callbacks": [handler], "metadata": {"thread_id": "t-1"}})
    llm = sink.one("llm")
    assert (llm.operation, llm.deployment, llm.session_id) == ("op/llm", "m-1@eu", "t-1")
    assert (seen[0].requested_model, seen[0].served_model) == ("m-1", "m-1")


def test_the_ambient_trace_is_inherited_and_its_span_is_the_parent(
    sink: Recording, handler: FeedbackCallbackHandler
) -> None:
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(context)):
        chain_of(FakeModel()).invoke({"question": "q"}, {"callbacks": [handler]})
    root = sink.one("chain")
    assert {r.trace_id for r in sink.runs} == {f"{0xABC:032x}"}
    assert (root.parent_id, root.attributes[PARENT_SPAN]) == ("", f"{0xDEF:016x}")


async def test_three_chains_in_a_row_are_three_traces(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    for _ in range(3):
        await chain_of(FakeModel()).ainvoke({"question": "q"}, {"callbacks": [handler]})
    assert len({r.trace_id for r in sink.runs}) == 3


# --- it never hurts the host -------------------------------------------------------------------


def test_fifty_thousand_runs_that_never_end_stay_within_the_bound(sink: Recording) -> None:
    handler = FeedbackCallbackHandler(sink, cap=1000)
    for number in range(50_000):
        handler.on_chat_model_start({}, [[]], run_id=uuid.UUID(int=number + 1))
    assert handler.n_live == 1000
    assert len(sink.runs) == 49_000
    assert {r.outcome for r in sink.runs} == {"abandoned"}


def test_an_active_tree_outlives_its_first_start(sink: Recording) -> None:
    handler = FeedbackCallbackHandler(sink, cap=100)
    root = uuid.UUID(int=10**6)
    handler.on_chain_start({}, {}, run_id=root, name="agent")
    for number in range(300):
        run_id = uuid.UUID(int=number + 1)
        handler.on_chat_model_start({}, [[]], run_id=run_id, parent_run_id=root)
        handler.on_llm_error(ConnectionError(), run_id=run_id, parent_run_id=root)
    handler.on_chain_end({}, run_id=root)
    assert sink.runs[-1].outcome == "ok"


def test_an_error_of_ours_is_counted_and_told_once(sink: Recording, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recording):
        def record(self, run: Run) -> str:
            raise OSError("disk full")

    handler = FeedbackCallbackHandler(Broken())
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert chain_of(FakeModel()).invoke({"question": "q"}, {"callbacks": [handler]}) == "good answer"
    assert handler.errors == {"OSError": 10}
    assert len(caplog.records) == 1
    assert handler.n_live == 0


def test_a_broken_callable_costs_its_label_only(sink: Recording) -> None:
    def broken(call: Call) -> str:
        raise KeyError("x")

    handler = FeedbackCallbackHandler(sink, operation=broken, deployment=broken)
    FakeModel().invoke("q", {"callbacks": [handler]})
    assert (sink.one("llm").deployment, sink.one("llm").operation) == ("m-1", "")
    assert handler.errors == {"KeyError": 2}


def test_another_handler_that_breaks_the_start_leaves_no_run_behind(sink: Recording) -> None:
    class Rude(BaseCallbackHandler):
        raise_error = True

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("rude")

    handler = FeedbackCallbackHandler(sink)
    with pytest.raises(RuntimeError):
        chain_of(FakeModel()).invoke({"question": "q"}, {"callbacks": [handler, Rude()]})
    assert outcomes(sink) == [("chain", "model_error"), ("llm", "cancelled")]
    assert handler.n_live == 0


def test_ends_of_unknown_runs_are_ignored(sink: Recording, handler: FeedbackCallbackHandler) -> None:
    handler.on_llm_error(ValueError(), run_id=uuid.uuid4())
    handler.on_chain_end({}, run_id=uuid.uuid4())
    handler.on_llm_new_token("x", run_id=uuid.uuid4())
    assert sink.runs == []
    assert handler.errors == {}


def test_a_copied_chain_reports_to_the_same_loop(sink: Recording) -> None:
    handler = FeedbackCallbackHandler(sink, operation=lambda call: str(lock.locked()))
    lock = threading.Lock()
    copied = copy.deepcopy(chain_of(FakeModel(callbacks=[handler])))
    copied.invoke({"question": "q"})
    assert sink.one("llm").operation == "False"


def test_threads_may_start_and_end_runs_at_once(sink: Recording) -> None:
    handler = FeedbackCallbackHandler(sink, cap=50)
    numbers = itertools.count(1)

    def work() -> None:
        for _ in range(300):
            root, child = uuid.UUID(int=next(numbers)), uuid.UUID(int=next(numbers))
            handler.on_chain_start({}, {}, run_id=root, name="x")
            handler.on_chat_model_start({}, [[]], run_id=child, parent_run_id=root)
            handler.on_chain_error(ConnectionError(), run_id=root)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.errors == {}
    assert len(sink.runs) == 6 * 300 * 2
    assert handler.n_live == 0


def test_without_the_extra_the_package_imports_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import hivefeedback_langchain

    monkeypatch.delitem(vars(hivefeedback_langchain), "FeedbackCallbackHandler", raising=False)
    for name in [
        n for n in sys.modules if n.split(".")[0] == "langchain_core" or n == "hivefeedback_langchain.handler"
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "langchain_core", None)
    with pytest.raises(MissingExtraError, match="hivefeedback\\[langchain\\]"):
        _ = hivefeedback_langchain.FeedbackCallbackHandler

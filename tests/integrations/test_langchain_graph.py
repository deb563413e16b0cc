"""The callback handler on LangGraph: agents, interrupts and resumption."""

from __future__ import annotations

import logging
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from hivefeedback import Run
from hivefeedback.model import Configuration
from hivefeedback_langchain import FeedbackCallbackHandler


class Recording:
    """Stands for a loop: remembers the runs that it is handed."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.runs: list[Run] = []

    def record(self, run: Run) -> str:
        self.runs.append(run)
        return run.run_id


class State(TypedDict):
    answer: str


class ToolModel(GenericFakeChatModel):
    """Follows its script, with whatever tools."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def ask(state: State) -> State:
    return {"answer": interrupt("may I?")}


def asking_graph() -> Any:
    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=InMemorySaver())


def test_an_interrupt_is_control_flow_and_its_resumption_ends_well(caplog: pytest.LogCaptureFixture) -> None:
    sink = Recording()
    handler = FeedbackCallbackHandler(sink)
    graph = asking_graph()
    config: RunnableConfig = {"callbacks": [handler], "configurable": {"thread_id": "t-1"}}
    with caplog.at_level(logging.WARNING):
        graph.invoke({"answer": ""}, config)
        graph.invoke(Command(resume="yes"), config)
    assert [(r.kind, r.outcome, r.session_id) for r in sink.runs] == [
        ("agent", "control_flow", "t-1"),
        ("agent", "ok", "t-1"),
    ]
    assert not caplog.records
    assert handler.n_live == 0
    assert handler.errors == {}


async def test_an_interrupt_is_told_alike_in_async_graphs() -> None:
    sink = Recording()
    handler = FeedbackCallbackHandler(sink)
    await asking_graph().ainvoke({"answer": ""}, {"callbacks": [handler], "configurable": {"thread_id": "t-1"}})
    assert [r.outcome for r in sink.runs] == ["control_flow"]


async def test_an_agent_is_one_root_with_its_models_and_tools() -> None:
    @tool
    def double(x: int) -> int:
        """Twice x."""
        return 2 * x

    call = AIMessage("", tool_calls=[{"name": "double", "args": {"x": 2}, "id": "c1"}])
    model = ToolModel(messages=iter([call, AIMessage("four")]))
    agent = create_agent(model, [double], name="sums")
    sink = Recording()
    handler = FeedbackCallbackHandler(sink)
    question: Any = {"messages": [("user", "2+2?")]}
    answer = await agent.ainvoke(question, {"callbacks": [handler]})
    assert answer["messages"][-1].text == "four"
    by_kind: dict[str, list[Run]] = {}
    for run in sink.runs:
        by_kind.setdefault(run.kind, []).append(run)
    (root,) = by_kind["agent"]
    assert [(r.outcome, r.agent_id, r.parent_id) for r in by_kind["llm"]] == [("ok", "sums", root.span_id)] * 2
    assert [(r.deployment, r.outcome) for r in by_kind["tool"]] == [("double", "ok")]
    assert (root.deployment, root.agent_id) == ("sums", "sums")
    assert len({r.trace_id for r in sink.runs}) == 1
    assert handler.n_live == 0

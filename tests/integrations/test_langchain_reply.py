"""Outcomes and answers of LangChain runs in hivefeedback's words."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langgraph.errors import GraphInterrupt, ParentCommand

from hivefeedback_langchain.outcome import is_interrupt, outcome_of_error, outcome_of_finish
from hivefeedback_langchain.reply import Reply, read_reply, unrepeated


class ThrottlingException(Exception):
    """As botocore makes it."""


class WithStatus(Exception):
    def __init__(self, status_code: int, code: str = "") -> None:
        super().__init__("no text of an error is read")
        self.status_code, self.code = status_code, code


def openai_error(kind: type[openai.APIStatusError], status: int, code: str = "") -> Exception:
    request = httpx.Request("POST", "http://localhost/v1/chat/completions")
    return kind("message", response=httpx.Response(status, request=request), body={"code": code})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (GeneratorExit(), "abandoned"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (TimeoutError(), "timeout"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (openai.APITimeoutError(httpx.Request("POST", "http://localhost")), "timeout"),
        (WithStatus(504), "timeout"),
        (WithStatus(429), "rate_limited"),
        (openai_error(openai.RateLimitError, 429), "rate_limited"),
        (ThrottlingException(), "rate_limited"),
        (openai_error(openai.AuthenticationError, 401), "internal"),
        (openai_error(openai.BadRequestError, 400, "context_length_exceeded"), "internal"),
        (WithStatus(400, "content_filter"), "refused"),
        (WithStatus(404), "internal"),
        (WithStatus(500), "model_error"),
        (openai_error(openai.InternalServerError, 503), "model_error"),
        (GraphInterrupt(), "control_flow"),
        (ParentCommand(None), "control_flow"),  # type: ignore[arg-type]  # only its class is read
        (TypeError("a bug of the caller"), "internal"),
        (ValueError("no generations"), "model_error"),
        (RuntimeError(), "model_error"),
    ],
)
def test_an_error_is_told_by_its_class_status_or_code(error: BaseException, outcome: str) -> None:
    assert outcome_of_error(error) == outcome


def test_a_wrapped_error_counts_as_what_it_wraps() -> None:
    wrapper = RuntimeError("a provider's package wraps")
    wrapper.__cause__ = WithStatus(429)
    assert outcome_of_error(wrapper) == "rate_limited"


def test_only_langgraphs_wait_for_a_person_is_an_interrupt() -> None:
    assert is_interrupt(GraphInterrupt())
    assert not is_interrupt(ParentCommand(None))  # type: ignore[arg-type]  # only its class is read


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("stop", "ok"), ("tool_calls", "ok"), ("", "ok"), ("length", "truncated"), ("MAX_TOKENS", "truncated"),
     ("content_filter", "refused"), ("SAFETY", "refused"), ("refusal", "refused"), ("error", "model_error")],
)  # fmt: skip
def test_a_finish_reason_becomes_an_outcome(reason: str, outcome: str) -> None:
    assert outcome_of_finish(reason) == outcome


@pytest.mark.parametrize(
    ("text", "hint", "repaired"),
    [("m-1m-1m-1", "", "m-1"), ("m-1", "", "m-1"), ("", "", ""), ("gpt-4o", "gpt", "gpt-4o"), ("aaaa", "aa", "aa"),
     ("m-1", "m-1", "m-1"), ("abcab", "", "abcab")],
)  # fmt: skip
def test_repetitions_of_a_merged_stream_are_undone(text: str, hint: str, repaired: str) -> None:
    assert unrepeated(text, hint) == repaired


def read(message: AIMessage, *, is_streamed: bool = False, **more: Any) -> Reply:
    result = LLMResult(generations=[[ChatGeneration(message=message)]], **more)
    return read_reply(result, requested_model="m-1", is_streamed=is_streamed, with_text=False)


def test_an_answer_without_usage_finish_or_name_is_ok() -> None:
    assert read(AIMessage("x")) == Reply()


def test_usage_is_read_from_the_message_or_from_the_older_place() -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert read(AIMessage("x", usage_metadata=usage)).tokens_out == 4
    older = read(AIMessage("x"), llm_output={"token_usage": {"prompt_tokens": 5, "completion_tokens": 6}})
    assert (older.tokens_in, older.tokens_out) == (5, 6)


def test_a_cache_hit_has_no_tokens_and_costs_nothing() -> None:
    cached = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "total_cost": 0}
    message = AIMessage("x")
    message.usage_metadata = cached  # type: ignore[assignment]  # LangChain adds a field that its type does not have
    reply = read(message)
    assert (reply.outcome, reply.tokens_in, reply.cost_usd) == ("cache_hit", None, 0.0)


def test_a_refusal_beside_the_finish_reason_is_refused() -> None:
    message = AIMessage("", additional_kwargs={"refusal": "no"}, response_metadata={"finish_reason": "stop"})
    assert read(message).outcome == "refused"


def test_the_responses_api_says_why_an_answer_is_incomplete() -> None:
    assert read(AIMessage("", response_metadata={"incomplete_details": {"reason": "max_output_tokens"}})).outcome == (
        "truncated"
    )


def test_the_providers_response_id_is_kept_and_langchains_own_is_not() -> None:
    assert read(AIMessage("x", id="lc_run--1")).response_id == ""
    assert read(AIMessage("x", id="msg_1")).response_id == "msg_1"
    assert read(AIMessage("x", id="msg_1", response_metadata={"id": "chatcmpl-7"})).response_id == "chatcmpl-7"
    streamed = AIMessage("x", response_metadata={"id": "cc-7cc-7", "model_name": "m-1m-1", "finish_reason": "stopstop"})
    assert read(streamed, is_streamed=True) == Reply(model="m-1", response_id="cc-7")


def test_a_text_model_and_an_empty_result_are_read_too() -> None:
    result = LLMResult(generations=[[Generation(text="x", generation_info={"finish_reason": "length"})]])
    reply = read_reply(result, requested_model="", is_streamed=False, with_text=True)
    assert (reply.outcome, reply.text) == ("truncated", "x")
    empty = LLMResult(generations=[])
    assert read_reply(empty, requested_model="", is_streamed=False, with_text=True) == Reply()

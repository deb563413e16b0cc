"""A prompt that is served through an integration counts for the rollout of that prompt."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from hivefeedback import FeedbackLoop
from hivefeedback.control import read_counts
from hivefeedback.model import PutPrompt, UsePrompt
from hivefeedback_langchain import FeedbackCallbackHandler, config_for
from tests.core.loops import open_rollout, sync_loop

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing litellm fetches a price list
litellm = pytest.importorskip("litellm")

from hivefeedback_litellm import attach  # noqa: E402 - after the environment is set

# LiteLLM's own types warn inside pydantic; ours may not
pytestmark = pytest.mark.filterwarnings("ignore:Item.*ReadOnly:UserWarning")


def open_prompt(loop: FeedbackLoop) -> None:
    body = loop.store.journal.put_body("new")
    open_rollout(loop, (PutPrompt("p", 2, body), UsePrompt("p", 2)), share=1.0)


def units(loop: FeedbackLoop) -> int:
    return sum(step.canary.units for step in read_counts(loop.store, "m-1"))


def test_a_chain_that_was_built_with_the_decisions_prompt_is_a_unit() -> None:
    with sync_loop("fake", prompts={"p": "old"}) as loop:
        open_prompt(loop)
        handler = FeedbackCallbackHandler(loop, clock=loop._clock)
        prompt = ChatPromptTemplate([("system", "{system}"), ("human", "hello")])
        for name in ("p", ""):
            decision = loop.decide("x")
            system = decision.prompt(name) if name else "my own"
            chain = prompt | FakeListLLM(responses=["yes"]) | StrOutputParser()
            chain.invoke({"system": system}, {"callbacks": [handler], **config_for(decision)})
        assert units(loop) == 1


async def test_a_request_that_names_its_prompt_to_litellm_is_a_unit() -> None:
    entry = {
        "model_name": "chat",
        "litellm_params": {"model": "openai/a", "api_key": "x", "mock_response": "yes"},
        "model_info": {"id": "a"},
    }
    with sync_loop("a", prompts={"p": "old"}) as loop:
        router = litellm.Router(model_list=[entry], num_retries=0)
        logger = attach(loop, router)
        open_prompt(loop)
        hello = [{"role": "user", "content": "hello"}]
        for metadata in ({"operation": "x", "prompt": "p"}, {"operation": "x"}):
            await router.acompletion("chat", messages=hello, metadata=metadata)
        deadline = time.monotonic() + 20
        while sum(row.n_runs for row in loop.stats().rows) < 2 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        logger.detach()
        assert sum(row.n_runs for row in loop.stats().rows) == 2
        assert units(loop) == 1

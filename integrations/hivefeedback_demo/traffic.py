"""Real calls: one half through a LiteLLM router, the other through a LangChain chain, over HTTP."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from hivefeedback.errors import MissingExtraError
from hivefeedback.model import Feedback
from hivefeedback_demo.play import Question
from hivefeedback_demo.rates import Rates

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["PROMPT", "Reply", "Traffic", "Way"]

PROMPT = "Answer with the number alone."
Way = Literal["litellm", "langchain"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the model that answered, its text, measured seconds, and what feedback joins by."""

    model: str
    text: str
    seconds: float
    judged: Feedback


class Traffic:
    """The application: asks questions in two ways, with one loop behind both.

    Args:
        loop: The loop that decides and learns.
        rates: Names and prices of the models.
        url: Where they are played.

    Raises:
        MissingExtraError: LiteLLM or LangChain is not installed.
    """

    def __init__(self, loop: FeedbackLoop, rates: Rates, url: str) -> None:
        self._loop = loop
        for name in ("NO_PROXY", "no_proxy"):  # the server is on this machine, whatever proxy the machine uses
            os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
        try:
            self._router, self._logger = _router(loop, rates, f"{url}/v1")
            self._chains, self._handler = _chains(loop, rates, f"{url}/v1")
        except ModuleNotFoundError as error:
            raise MissingExtraError("the demo", "demo") from error

    async def ask(self, question: Question, way: Way) -> Reply:
        """Ask one question.

        Raises:
            Exception: Whatever the client library raises when the call fails.
        """
        started = time.perf_counter()
        model, text, judged = await (self._by_litellm(question) if way == "litellm" else self._by_langchain(question))
        seconds = time.perf_counter() - started
        judged = replace(judged, value=question.is_right(text))
        return Reply(model, text, seconds, judged)

    async def _by_litellm(self, question: Question) -> tuple[str, str, Feedback]:
        """The router asks the loop by itself; the application only names its operation and prompt."""
        answer = await self._router.acompletion(
            "demo",
            messages=[{"role": "system", "content": PROMPT}, {"role": "user", "content": question.text}],
            metadata={"operation": question.operation, "prompt": "answer"},
        )
        judged = Feedback("success", source="demo", response_id=answer.id)
        return answer.model, answer.choices[0].message.content or "", judged

    async def _by_langchain(self, question: Question) -> tuple[str, str, Feedback]:
        """The chain is built for the decision; its callback handler records the run."""
        from hivefeedback_langchain import config_for

        decision = self._loop.decide(question.operation)
        system, model = decision.prompt("answer"), decision.model or ""
        text = await self._chains[model].ainvoke(
            {"system": system, "question": question.text}, {"callbacks": [self._handler], **config_for(decision)}
        )
        return model, text, Feedback("success", source="demo", decision_id=decision.decision_id)

    def close(self) -> None:
        """Take the hook out of LiteLLM, whose callbacks belong to the process."""
        self._logger.detach()


def _router(loop: FeedbackLoop, rates: Rates, url: str) -> tuple[Any, Any]:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # importing it fetches a price list otherwise
    import litellm
    from litellm.router import Router

    from hivefeedback_litellm import attach

    litellm.suppress_debug_info = True
    models = [
        {
            "model_name": "demo",
            "litellm_params": {"model": f"openai/{name}", "api_base": url, "api_key": "demo"},
            "model_info": {
                "id": name,
                "input_cost_per_token": figures.price.input_usd_per_mtok / 1e6,
                "output_cost_per_token": figures.price.output_usd_per_mtok / 1e6,
            },
        }
        for name, figures in rates.models.items()
    ]
    router = Router(model_list=models, num_retries=1, timeout=30)
    return router, attach(loop, router)


def _chains(loop: FeedbackLoop, rates: Rates, url: str) -> tuple[dict[str, Any], Any]:
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    from hivefeedback_langchain import FeedbackCallbackHandler

    key = SecretStr("demo")
    prompt = ChatPromptTemplate([("system", "{system}"), ("human", "{question}")])
    chains = {
        name: prompt | ChatOpenAI(model=name, base_url=url, api_key=key, max_retries=1) | StrOutputParser()
        for name in rates.models
    }
    return chains, FeedbackCallbackHandler(loop)

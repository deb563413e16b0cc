"""Model calls under way in LangChain are counted when somebody asks."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from hivefeedback import Deployment, FeedbackLoop
from hivefeedback.testing import FakeClock
from hivefeedback_langchain import FeedbackCallbackHandler, config_for


class Looking(BaseChatModel):
    """A model that looks around while it is called."""

    model: str = "m-1"
    look: Callable[[], None]

    @property
    def _llm_type(self) -> str:
        return "looking"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        self.look()
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes"))])


def test_a_model_call_is_under_way_until_it_ends() -> None:
    """C3: of the decided deployment, or of the model's own where nothing was decided; failures end too."""
    seen: list[dict[str, int]] = []
    with FeedbackLoop(store="memory://", deployments=[Deployment("a", model="m-1")], clock=FakeClock()) as loop:
        handler = FeedbackCallbackHandler(loop)

        def look() -> None:
            seen.append(loop.flights.counts())
            if len(seen) == 3:
                raise ConnectionError

        model = Looking(look=look)
        model.invoke("x", {"callbacks": [handler]})
        model.invoke("x", {**config_for(loop.decide("chat")), "callbacks": [handler]})
        with pytest.raises(ConnectionError):
            model.invoke("x", {"callbacks": [handler]})
        assert seen == [{"a": 1}, {"a": 1}, {"a": 1}]
        assert loop.flights.counts() == {}


def test_a_handler_that_is_gone_is_not_asked_any_more() -> None:
    """C3: a handler per request does not pile up."""
    with FeedbackLoop(store="memory://", deployments=[Deployment("a")], clock=FakeClock()) as loop:
        for _ in range(5):
            FeedbackCallbackHandler(loop)
        gc.collect()
        assert loop.flights.counts() == {}
        assert loop.flights._sources == []

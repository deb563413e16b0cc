"""A judge that is called by its name through LiteLLM: past the host's callbacks, with its cost."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from hivefeedback.errors import MissingExtraError
from hivefeedback.model import Run
from hivefeedback.testing import FakeClock

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing litellm fetches a price list
litellm = pytest.importorskip("litellm")

from hivefeedback import FeedbackLoop  # noqa: E402 - after the environment is set
from hivefeedback_litellm.judge import ask_model  # noqa: E402
from tests.core.loops import until  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Item.*ReadOnly:UserWarning")


class FakeModel(litellm.CustomLLM):  # type: ignore[misc, name-defined]  # the class is imported at run time only
    """Answers 4 to everything, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def completion(self, *args: Any, messages: list[Any], **kwargs: Any) -> Any:
        self.asked.append(messages[0]["content"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"rating": 4}'}}
        usage = litellm.Usage(prompt_tokens=100, completion_tokens=10, total_tokens=110)
        return litellm.ModelResponse(choices=[choice], usage=usage, model="judge")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    fake = FakeModel()
    litellm.utils.custom_llm_setup()
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "fake", "custom_handler": fake}])
    litellm.utils.custom_llm_setup()
    return fake


def test_a_judge_is_named_in_the_options_and_judges_runs(model: FakeModel) -> None:
    options = {"model_judge": {"model": "fake/judge", "operations": ["qa"]}}
    allow = ["stores", "policies", "model_judge"]
    with FeedbackLoop("memory://", ["a"], clock=FakeClock(), options=options, plugins_allow=allow) as loop:
        loop.record(Run("a", "qa/geo", output="Paris", input="Capital of France?"))
        loop.record(Run("a", "poem", output="roses"))
        judged = loop.view(3600.0).totals("deployment")[("a",)].judged["model_judge"]
        assert (judged.n, judged.mean) == (1, 0.75)
    assert len(model.asked) == 1
    assert "Capital of France?" in model.asked[0]


def test_its_calls_go_past_the_callbacks_so_that_no_judge_judges_itself(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Callback(litellm.integrations.custom_logger.CustomLogger):  # type: ignore[misc, name-defined]  # as above
        def log_success_event(self, kwargs: Any, *args: Any, **more: Any) -> None:
            seen.append(kwargs["messages"][0]["content"])

    for name in ("success_callback", "_async_success_callback", "failure_callback", "_async_failure_callback"):
        monkeypatch.setattr(litellm, name, [])
    monkeypatch.setattr(litellm, "callbacks", [Callback()])
    text, _ = ask_model("fake/judge")("hello")
    litellm.completion(model="fake/judge", messages=[{"role": "user", "content": "the host's own"}])
    until(lambda: seen)
    assert text == '{"rating": 4}'
    assert seen == ["the host's own"]


def test_what_a_call_has_cost_is_told_where_litellm_knows_the_price(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"input_cost_per_token": 1e-5, "output_cost_per_token": 1e-4, "litellm_provider": "fake", "mode": "chat"}
    monkeypatch.setitem(litellm.model_cost, "fake/judge", prices)
    _, usd = ask_model("fake/judge")("hello")
    assert usd == pytest.approx(100 * 1e-5 + 10 * 1e-4)


def test_without_litellm_a_named_judge_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(MissingExtraError, match=r"hivefeedback\[litellm\]"):
        ask_model("gpt")

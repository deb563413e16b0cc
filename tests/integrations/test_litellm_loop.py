"""The LiteLLM hook with the real loop: it learns, by way of LiteLLM's own events."""

from __future__ import annotations

import asyncio
import os
import runpy
import time
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop
from hivefeedback.model import Mutation, MutationKind
from hivefeedback.testing import FakeClock

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing litellm fetches a price list
litellm = pytest.importorskip("litellm")

from hivefeedback_litellm import attach  # noqa: E402 - after the environment is set

# LiteLLM's own types warn inside pydantic; ours may not
pytestmark = pytest.mark.filterwarnings("ignore:Item.*ReadOnly:UserWarning")

HELLO = [{"role": "user", "content": "hello"}]


def entry(name: str, answer: str) -> dict[str, Any]:
    return {
        "model_name": "chat",
        "litellm_params": {
            "model": f"openai/{name}",
            "api_key": "x",
            "mock_response": answer,
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": 2e-6,
        },
        "model_info": {"id": name},
    }


async def ask(router: Any, loop: FeedbackLoop, n: int) -> list[str]:
    """Ask and give feedback; waits until the events of all calls are there."""
    before = runs(loop)
    served = []
    for _ in range(n):
        answer = await router.acompletion("chat", messages=HELLO, metadata={"operation": "text/faq"})
        served.append(answer._hidden_params["model_id"])
        loop.feedback(Feedback("success", value=answer.choices[0].message.content == "right", response_id=answer.id))
    deadline = time.monotonic() + 20
    while runs(loop) < before + n and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return served


def runs(loop: FeedbackLoop) -> int:
    return sum(row.n_runs for row in loop.stats(operation="text/faq").rows)


async def test_the_loop_learns_which_deployment_is_right_though_feedback_comes_before_the_event() -> None:
    with FeedbackLoop(store="memory://", seed=1, clock=FakeClock(), judgements={"": ["success"]}) as loop:
        router = litellm.Router(model_list=[entry("good", "right"), entry("bad", "wrong")], num_retries=0)
        logger = attach(loop, router)
        for _ in range(6):
            await ask(router, loop, 10)
        served = await ask(router, loop, 40)
        logger.detach()
        rows = {row.deployment: row for row in loop.stats(operation="text/faq").rows}
    assert served.count("good") >= 36
    assert rows["good"].reward == 1.0
    assert rows["bad"].reward == 0.0
    assert (rows["good"].cost_usd or 0) > 0


async def test_a_model_list_is_adopted_with_its_prices_and_survives_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'hive.db'}"
    for _ in range(2):
        with FeedbackLoop(store=store, seed=1, clock=FakeClock()) as loop:
            router = litellm.Router(model_list=[entry("a", "x"), entry("b", "x")])
            attach(loop, router).detach()
            known, version = dict(loop.configuration.deployments), loop.configuration.version
    assert sorted(known) == ["a", "b"]
    assert known["a"].model == "openai/a"
    assert known["a"].price is not None
    assert known["a"].price.output_usd_per_mtok == 2.0
    assert version == 2


async def test_failing_calls_open_the_breaker_and_the_deployment_is_left_out() -> None:
    bad = entry("bad", "litellm.InternalServerError")
    with FeedbackLoop(store="memory://", seed=1, clock=FakeClock(), breaker_failures=1) as loop:
        router = litellm.Router(
            model_list=[bad, entry("good", "right")], num_retries=2, retry_after=0, disable_cooldowns=True
        )
        logger = attach(loop, router)
        assert set(await ask(router, loop, 20)) == {"good"}
        failed = [row for row in loop.stats(operation="text/faq").rows if row.deployment == "bad"]
        later = loop.decide("text/faq", candidates=["bad", "good"])
        logger.detach()
    assert failed[0].failures == 1
    assert [e.reason for e in later.excluded] == ["breaker_open"]


async def test_in_advise_litellm_selects_and_the_loop_still_learns() -> None:
    with FeedbackLoop(store="memory://", seed=1, clock=FakeClock(), mode="advise") as loop:
        first, second = entry("first", "wrong"), entry("second", "right")
        second["litellm_params"]["weight"], first["litellm_params"]["weight"] = 1, 0
        router = litellm.Router(model_list=[first, second], num_retries=0)
        logger = attach(loop, router)
        assert set(await ask(router, loop, 10)) == {"second"}
        logger.detach()
        assert [row.deployment for row in loop.stats(operation="text/faq").rows] == ["second"]


async def test_switched_off_the_router_works_as_if_nothing_was_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    with FeedbackLoop(deployments=[Deployment("a")]) as loop:
        router = litellm.Router(model_list=[entry("a", "right"), entry("b", "right")], num_retries=0)
        logger = attach(loop, router)
        answers = [await router.acompletion("chat", messages=HELLO) for _ in range(20)]
        logger.detach()
        assert {a._hidden_params["model_id"] for a in answers} == {"a", "b"}
        assert not logger.counters


async def test_a_prompt_patch_is_served_to_its_canary_alone() -> None:
    sent: list[str] = []

    class Watcher(litellm.integrations.custom_logger.CustomLogger):  # type: ignore[misc, name-defined]  # litellm is Any
        async def async_post_call_success_deployment_hook(
            self, request_data: Any, response: Any, call_type: Any
        ) -> None:
            sent.append(request_data["messages"][0]["content"])

    with FeedbackLoop(
        store="memory://", seed=1, clock=FakeClock(), prompts={"answer": "old"}, canary_steps=[0.5, 1.0]
    ) as loop:
        router = litellm.Router(model_list=[entry("a", "right")], num_retries=0)
        logger = attach(loop, router)
        watcher = Watcher()
        litellm.callbacks.append(watcher)
        loop.propose(Mutation(kind=MutationKind.PROMPT_PATCH, target="answer", to="new"))
        loop.turn()
        messages = [{"role": "system", "content": "default"}, *HELLO]
        for _ in range(30):
            await router.acompletion("chat", messages=messages, metadata={"prompt": "answer"})
        litellm.callbacks.remove(watcher)
        logger.detach()
    assert set(sent) == {"old", "new"}


def test_the_example_runs(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(repository / "examples" / "litellm_router.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert "brief: " in told
    assert "mean reward 1.00" in told

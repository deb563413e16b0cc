"""Attempts in the air in LiteLLM are counted when somebody asks."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.model import Decision
from hivefeedback.testing import FakeClock

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing litellm fetches a price list
litellm = pytest.importorskip("litellm")

from hivefeedback_litellm import attach  # noqa: E402 - after the environment is set
from hivefeedback_litellm.flights import Flight, Flights  # noqa: E402

# LiteLLM's own types warn inside pydantic; ours may not
pytestmark = pytest.mark.filterwarnings("ignore:Item.*ReadOnly:UserWarning")


def entry(name: str, answer: str) -> dict[str, Any]:
    return {
        "model_name": "chat",
        "litellm_params": {"model": f"openai/{name}", "api_key": "x", "mock_response": answer},
        "model_info": {"id": name},
    }


async def test_each_attempt_is_in_the_air_until_it_settles() -> None:
    """C3: the failing attempt has ended when the next one begins; at last none is left."""
    seen: list[dict[str, int]] = []
    with FeedbackLoop(store="memory://", seed=1, clock=FakeClock()) as loop:
        models = [entry("bad", "litellm.InternalServerError"), entry("good", "right")]
        router = litellm.Router(model_list=models, num_retries=2, retry_after=0, disable_cooldowns=True)
        logger = attach(loop, router)
        before_call = logger.async_pre_call_deployment_hook

        async def looking(kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
            changed = await before_call(kwargs, call_type)
            seen.append(loop.flights.counts())
            return changed

        logger.async_pre_call_deployment_hook = looking  # type: ignore[method-assign]  # only looks on
        for _ in range(8):
            await router.acompletion("chat", messages=[{"role": "user", "content": "x"}])
            deadline = time.monotonic() + 20
            while loop.flights.counts() and time.monotonic() < deadline:
                await asyncio.sleep(0.005)
        logger.detach()
        assert loop.flights.counts() == {}
    assert {"good": 1} in seen
    assert {"bad": 1} in seen
    assert all(sum(counts.values()) == 1 for counts in seen)


def test_an_attempt_that_nobody_heard_of_again_is_not_in_the_air_for_ever() -> None:
    """C3: LiteLLM may lose an event."""
    flights = Flights(size=4)
    for started_s in (0.0, 500.0, 890.0):
        decision = Decision("d", "chat", None, 0, None, "test", 0.0)
        flights.put(Flight(decision, "chat", acts=True, attempt_started_s=started_s, in_air="a"))
    assert flights.in_air(900.0) == {"a": 3}
    assert flights.in_air(901.0) == {"a": 2}
    assert flights.in_air(5000.0) == {}

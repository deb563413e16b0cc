"""A LiteLLM router whose deployments are picked by the loop, with feedback by response id; runs offline."""

from __future__ import annotations

import asyncio
import os

from hivefeedback import Feedback, FeedbackLoop

ANSWERS = {"brief": "Paris", "vague": "Some city", "wrong": "London"}
MODEL_LIST = [
    {
        "model_name": "chat",
        "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": answer},
        "model_info": {"id": name},
    }
    for name, answer in ANSWERS.items()
]


async def main() -> None:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # before the imports: LiteLLM's fetches a price list
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
    from litellm.router import Router

    from hivefeedback_litellm import attach

    loop = FeedbackLoop(store="memory://", seed=7)
    router = Router(model_list=MODEL_LIST)
    logger = attach(loop, router)
    for _ in range(150):
        answer = await router.acompletion(
            model="chat",
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            metadata={"operation": "text-to-text/geography"},
        )
        loop.feedback(Feedback("success", "Paris" in str(answer.choices[0].message.content), response_id=answer.id))
    # LiteLLM tells its callbacks a moment later; a program that ends now would lose its last runs.
    await GLOBAL_LOGGING_WORKER.flush()
    logger.detach()
    await loop.aflush()
    for row in loop.stats(operation="text-to-text/geography").rows:
        print(f"{row.deployment}: {row.n_runs} calls, mean reward {row.reward or 0:.2f}")
    await loop.aclose()


if __name__ == "__main__":
    asyncio.run(main())

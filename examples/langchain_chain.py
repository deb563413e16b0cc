"""A LangChain chain whose model is chosen by the loop, with feedback by run id; runs offline."""

from __future__ import annotations

import uuid

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from hivefeedback import Deployment, Feedback, FeedbackLoop
from hivefeedback_langchain import FeedbackCallbackHandler, config_for

OPERATION = "text-to-text/geography"
MODELS = {  # like real ones they take a moment, in which the loop learns
    "brief": FakeListChatModel(responses=["Paris"], sleep=0.002),
    "vague": FakeListChatModel(responses=["Some city"], sleep=0.002),
}


def main() -> None:
    loop = FeedbackLoop(store="memory://", deployments=[Deployment(name) for name in MODELS], seed=7)
    handler = FeedbackCallbackHandler(loop)
    prompt = ChatPromptTemplate.from_template("What is the capital of {country}?")
    for _ in range(200):
        decision = loop.decide(OPERATION)
        chain = prompt | MODELS[decision.deployment or "brief"] | StrOutputParser()
        run_id = uuid.uuid4()
        config = config_for(decision)
        answer = chain.invoke({"country": "France"}, {**config, "callbacks": [handler], "run_id": run_id})
        loop.feedback(Feedback("success", "Paris" in answer, run_id=str(run_id)))
    loop.flush()
    for row in loop.stats(operation=OPERATION).rows:
        print(f"{row.deployment}: {row.n_runs} calls, mean reward {row.reward:.2f}")
    loop.close()


if __name__ == "__main__":
    main()

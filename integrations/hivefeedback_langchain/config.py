"""The metadata keys by which a decision travels through LangChain to the callbacks of each run.

LangChain hands ``metadata`` of a call to the start events of that call and of everything below
it, so the runs find their decision without any state of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.model import Decision

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

__all__ = ["DECISION_ID", "DEPLOYMENT", "MODEL", "OPERATION", "SESSION_ID", "USER_ID", "config_for"]

DECISION_ID: Final = "hivefeedback.decision_id"
OPERATION: Final = "hivefeedback.operation"
DEPLOYMENT: Final = "hivefeedback.deployment"
MODEL: Final = "hivefeedback.model"
"""Model name of the decided deployment: tells a fallback that served from the decided model."""
SESSION_ID: Final = "hivefeedback.session_id"
USER_ID: Final = "hivefeedback.user_id"


def config_for(decision: Decision) -> RunnableConfig:
    """The ``config`` of a LangChain call that was decided by ``decision``.

    Merge it with your own: ``chain.invoke(x, {"callbacks": [handler], **config_for(d)})``. Make one
    per call; two concurrent calls with one decision would look like retries of each other.
    """
    metadata: dict[str, str] = {DECISION_ID: decision.decision_id, OPERATION: decision.operation}
    if decision.deployment:
        metadata[DEPLOYMENT] = decision.deployment
    if decision.model:
        metadata[MODEL] = decision.model
    if decision.session_id:
        metadata[SESSION_ID] = decision.session_id
    return {"metadata": metadata}

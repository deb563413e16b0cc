"""LiteLLM: the loop picks among a router's deployments and learns from each attempt.

Extra: ``pip install 'hivefeedback[litellm]'``. Use::

    loop = FeedbackLoop()
    router = litellm.Router(model_list=[...])
    logger = attach(loop, router)              # adopts the model_list as deployments
    answer = await router.acompletion("chat", messages=[...], metadata={"operation": "text-to-text/faq"})
    loop.feedback(Feedback("success", value=True, response_id=answer.id))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hivefeedback_litellm.joining import attach
    from hivefeedback_litellm.logger import FeedbackLogger

__all__ = ["FeedbackLogger", "attach"]

_HOMES = {"attach": "hivefeedback_litellm.joining", "FeedbackLogger": "hivefeedback_litellm.logger"}


def __getattr__(name: str) -> object:
    """Names are imported at use, since LiteLLM takes seconds to import and is optional."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""LangChain: record every model, tool, retriever and root run of a chain or agent.

Extra: ``pip install 'hivefeedback[langchain]'``. Use:

    from hivefeedback_langchain import FeedbackCallbackHandler, config_for

    handler = FeedbackCallbackHandler(loop, operation="text-to-text/medical")
    decision = loop.decide("text-to-text/medical")
    chain.invoke(question, {"callbacks": [handler], **config_for(decision)})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hivefeedback.errors import MissingExtraError

if TYPE_CHECKING:
    from hivefeedback_langchain.call import Call
    from hivefeedback_langchain.config import config_for
    from hivefeedback_langchain.handler import FeedbackCallbackHandler

__all__ = ["Call", "FeedbackCallbackHandler", "config_for"]

_HOMES = {"Call": "call", "FeedbackCallbackHandler": "handler", "config_for": "config"}


def __getattr__(name: str) -> object:
    """Public names are imported when they are first used (PEP 562): this import works without the extra."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "langchain_core":
            raise MissingExtraError("the LangChain callback handler", "langchain") from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

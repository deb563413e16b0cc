"""Join a LiteLLM router to a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hivefeedback_litellm.adopt import adopt as adopt_models
from hivefeedback_litellm.choose import OperationOf
from hivefeedback_litellm.logger import FeedbackLogger

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["attach"]


def attach(
    loop: FeedbackLoop,
    router: Any,
    *,
    operation: str | OperationOf | None = None,
    adopt: bool = True,
    capture_content: bool = False,
) -> FeedbackLogger:
    """Let the loop pick among the router's deployments, and learn from each attempt.

    The ids of deployments are those of ``model_info.id`` in the model list. Attaching the same
    router to the same loop again returns the logger that is there.

    Args:
        loop: The loop that decides; only in mode ``act`` is its pick served.
        router: A ``litellm.Router``.
        operation: Operation of requests that name none in ``metadata["operation"]``: a path, or a
            function of (model group, metadata). Default: the model group.
        adopt: Declare the deployments of the model list that the loop does not know, with their
            price where it is known. False: only those declared already are offered by a
            ``decide()`` without candidates.
        capture_content: Pass answers to scorers.

    Returns:
        The logger: ``detach()`` ends it, ``completion()`` makes sync calls with the loop's pick.

    Raises:
        MissingExtraError: LiteLLM is not installed.
    """
    import litellm

    for callback in litellm.callbacks:
        if isinstance(callback, FeedbackLogger) and callback.loop is loop and callback.router is router:
            return callback
    if adopt:
        adopt_models(loop, router.model_list)
    logger = FeedbackLogger(loop, router, operation=operation, capture_content=capture_content)
    litellm.logging_callback_manager.add_litellm_callback(logger)
    return logger

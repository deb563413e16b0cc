"""Serve what a decision says: a changed model, changed parameters."""

from __future__ import annotations

from typing import Any

from hivefeedback.model import Decision
from hivefeedback_litellm.request import Json

__all__ = ["served_as_decided"]


def served_as_decided(kwargs: dict[str, Any], decision: Decision, entry: Json) -> dict[str, Any] | None:
    """The arguments of the provider call with the decision's model and parameters.

    Parameters that the caller gave stay the caller's; those of the model list give way. The
    credentials and address stay the deployment's, so a swapped model must be one that the same
    provider serves.

    Args:
        kwargs: Arguments as LiteLLM would send them.
        decision: What was decided for this deployment.
        entry: The deployment in the router's model list.

    Returns:
        New arguments, or None where nothing differs.
    """
    listed = entry.get("litellm_params") or {}
    changed: dict[str, Any] = {
        name: value
        for name, value in decision.params.items()
        if kwargs.get(name) in (None, listed.get(name)) and kwargs.get(name) != value
    }
    own = str(listed.get("model") or "")
    # a deployment that was declared by its id alone, or without the provider's prefix, is no swap
    if decision.model and decision.model not in (own, own.partition("/")[2], decision.deployment):
        changed["model"] = decision.model
    return {**kwargs, **changed} if changed else None

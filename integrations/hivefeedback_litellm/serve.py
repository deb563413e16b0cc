"""Serve what a decision says: a changed model, changed parameters, the prompt of its arm."""

from __future__ import annotations

from typing import Any

from hivefeedback.model import Decision
from hivefeedback_litellm.request import Json

__all__ = ["prompted_as_decided", "served_as_decided"]


def served_as_decided(kwargs: Json, decision: Decision, entry: Json) -> dict[str, Any]:
    """The arguments of the provider call that the decision's model and parameters change.

    Parameters that the caller gave stay the caller's; those of the model list give way. The
    credentials and address stay the deployment's, so a swapped model must be one that the same
    provider serves.

    Args:
        kwargs: Arguments as LiteLLM would send them.
        decision: What was decided for this deployment.
        entry: The deployment in the router's model list.
    """
    listed = entry.get("litellm_params") or {}
    changed: dict[str, Any] = {
        name: value
        for name, value in decision.params.items()
        if kwargs.get(name) in (None, listed.get(name)) and kwargs.get(name) != value
    }
    own = str(listed.get("model") or "")
    provider, _, bare = own.partition("/")
    model = decision.model
    # a deployment that was declared by its id alone, or without the provider's prefix, is no swap
    if model and model not in (own, bare, decision.deployment):
        changed["model"] = model if "/" in model or not bare else f"{provider}/{model}"
    return changed


def prompted_as_decided(messages: Any, decision: Decision, metadata: Json) -> dict[str, Any]:
    """The messages with the system message that the decision's arm says.

    A request names its prompt in ``metadata["prompt"]`` (and its fields in
    ``metadata["prompt_fields"]``); the system message that it brings itself is what is served where
    the loop is off.
    """
    name, fields = metadata.get("prompt"), metadata.get("prompt_fields")
    if not name or not isinstance(messages, list):
        return {}
    text = decision.prompt(str(name), **(fields if isinstance(fields, dict) else {}))
    rest = [m for m in messages if not (isinstance(m, dict) and m.get("role") == "system")]
    return {"messages": [{"role": "system", "content": text}, *rest]}

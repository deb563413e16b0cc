"""The value that a mutation of a kind would replace, as the live configuration has it."""

from __future__ import annotations

from hivefeedback.errors import UnknownNameError
from hivefeedback.model.change import MutationKind, Route
from hivefeedback.model.deployment import Deployment, JsonValue
from hivefeedback.model.journal import Configuration

__all__ = ["live_value", "route_value"]


def live_value(config: Configuration, kind: MutationKind, target: str) -> JsonValue:
    """What ``Mutation.from_`` of this kind and target is now.

    MODEL_SWAP: the model's name. PARAM_SET: the parameters. LORA_APPLY: the adapter or None.
    ROUTE_CHANGE: the route of exactly this prefix, or None. PROMPT_PATCH: the version that is
    served, 0 for none. MEMORY_UPDATE: None, since memory lies outside the configuration.

    Raises:
        UnknownNameError: No such deployment or prompt.
    """
    match kind:
        case MutationKind.MODEL_SWAP:
            return _deployment(config, target).model
        case MutationKind.PARAM_SET:
            return dict(_deployment(config, target).params)  # type: ignore[arg-type]  # a ParamValue is a JsonValue
        case MutationKind.LORA_APPLY:
            return _deployment(config, target).adapter
        case MutationKind.ROUTE_CHANGE:
            return route_value(config.routes.get(target))
        case MutationKind.PROMPT_PATCH:
            prompt = config.prompts.get(target)
            if prompt is None:
                raise UnknownNameError("prompt", target, list(config.prompts))
            return prompt.current
        case MutationKind.MEMORY_UPDATE:
            return None


def route_value(route: Route | None) -> JsonValue:
    """A route as a mutation names it: None, a list of candidates, or candidates with weights.

    >>> route_value(Route(candidates=("a", "b"))), route_value(None)
    (['a', 'b'], None)
    """
    if route is None:
        return None
    candidates: list[JsonValue] = list(route.candidates)
    if route.weights is None:
        return candidates
    return {"candidates": candidates, "weights": dict(route.weights)}


def _deployment(config: Configuration, target: str) -> Deployment:
    deployment = config.deployments.get(target)
    if deployment is None:
        raise UnknownNameError("deployment", target, list(config.deployments))
    return deployment

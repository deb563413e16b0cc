"""Sync calls: LiteLLM runs no filter hook for them, so the pick goes in as weights."""

from __future__ import annotations

from typing import Any

from hivefeedback_litellm.choose import Chooser
from hivefeedback_litellm.request import STAMP, deployment_id, metadata_of, stamp_of

__all__ = ["call_in_turn", "planned_calls"]


def planned_calls(router: Any, chooser: Chooser, model: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Arguments of the attempts of one sync call: the decision's deployment, then its fallbacks.

    A weight of 1 would send LiteLLM's own retries to the same deployment again, so each attempt
    names one deployment, and there are as many as the router would make. The last attempt keeps
    the router's own fallbacks and what is left of its retries.
    """
    ids = [deployment_id(d) for d in router.model_list if d.get("model_name") == model]
    metadata = dict(metadata_of(kwargs))
    if not ids or "_router_weights" in kwargs:
        return [kwargs]
    flight = chooser.decide(model, ids, kwargs, metadata)
    if flight is None or not flight.acts:
        return [{**kwargs, "metadata": metadata}]
    asked = kwargs.get("num_retries")
    retries = int(router.num_retries if asked is None else asked)
    order = [n for n in (flight.decision.deployment, *flight.decision.fallbacks) if n][: retries + 1]
    calls = []
    for attempt, name in enumerate(order):
        own = {"num_retries": 0, "disable_fallbacks": True}
        if attempt == len(order) - 1:
            own = {"num_retries": max(0, retries - attempt)}
        tagged = {**metadata, STAMP: stamp_of(metadata)._replace(attempt=attempt + 1)}
        calls.append({**kwargs, **own, "metadata": tagged, "_router_weights": {model: {name: 1.0}}})
    return calls


def call_in_turn(router: Any, model: str, messages: list[Any], calls: list[dict[str, Any]]) -> Any:
    """Make the planned calls until one returns; the last one's exception is the caller's."""
    for call in calls[:-1]:
        try:
            return router.completion(model=model, messages=messages, **call)
        except Exception:  # noqa: BLE001 - a retry, as the router would make it; recorded by LiteLLM's own event
            continue
    return router.completion(model=model, messages=messages, **calls[-1])

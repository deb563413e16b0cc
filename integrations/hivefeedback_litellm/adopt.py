"""A router's model list as deployments of the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hivefeedback.errors import HiveFeedbackError
from hivefeedback.model import Deployment, Price
from hivefeedback_litellm.request import Json, deployment_id

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop

__all__ = ["adopt", "deployment_from", "price_of"]

log = logging.getLogger(__name__)


def adopt(loop: FeedbackLoop, model_list: Iterable[Json]) -> list[str]:
    """Declare the deployments that the loop does not know; returns their ids.

    What is declared already stays as it is: a promoted change outlives a restart. Where the loop
    refuses (mode ``off``, a store that cannot be written) the router goes on without; its
    deployments are then counted as observed.
    """
    added: list[str] = []
    known = set(loop.configuration.deployments)
    for entry in model_list:
        name = deployment_id(entry)
        if not name or name in known:
            continue
        try:
            loop.add_deployment(deployment_from(entry))
        except HiveFeedbackError as error:
            log.warning("the deployments of the LiteLLM router are not adopted: %s", error)
            break
        known.add(name)
        added.append(name)
    return added


def deployment_from(entry: Json) -> Deployment:
    """One element of a model list as a deployment."""
    params = entry.get("litellm_params") or {}
    return Deployment(
        deployment_id(entry),
        model=str(params.get("model") or ""),
        tags=tuple(str(t) for t in params.get("tags") or ()),
        price=price_of(entry),
    )


def price_of(entry: Json) -> Price | None:
    """List price: of the entry itself, else of LiteLLM's cost map, else unknown."""
    params, info = entry.get("litellm_params") or {}, entry.get("model_info") or {}
    for source in (params, info, _from_cost_map(str(info.get("base_model") or params.get("model") or ""))):
        price_in, price_out = source.get("input_cost_per_token"), source.get("output_cost_per_token")
        if price_in is not None or price_out is not None:
            return Price(input_usd_per_mtok=_per_mtok(price_in), output_usd_per_mtok=_per_mtok(price_out))
    return None


def _per_mtok(price: Any) -> float:
    # rounded, so that 1.5e-07 per token is 0.15 per million and not 0.15000000000000002
    return round(float(price or 0.0) * 1e6, 9)


def _from_cost_map(model: str) -> Json:
    import litellm

    found = litellm.model_cost.get(model) or litellm.model_cost.get(model.partition("/")[2])
    return found if isinstance(found, dict) else {}

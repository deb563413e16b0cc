"""A LiteLLM ``config.yaml``: its model list as deployments, without a single key.

Only parameters that shape an answer come over; everything else is named, never shown, since
values may be secrets.
"""

from __future__ import annotations

from collections import Counter

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Deployment, ParamValue, Price
from hivefeedback_import.carried import Carried
from hivefeedback_import.fields import Json, number_of

__all__ = ["is_litellm_config", "read_litellm_config"]

_SHAPING = ("temperature", "top_p", "max_tokens", "timeout", "seed", "stop", "frequency_penalty", "presence_penalty")
"""Parameters that are carried over."""
_READ = frozenset({"model", "tags", "input_cost_per_token", "output_cost_per_token", *_SHAPING})


def is_litellm_config(data: object) -> bool:
    """True where it has a model list."""
    return isinstance(data, dict) and isinstance(data.get("model_list"), list)


def read_litellm_config(data: object) -> Carried:
    """The deployments, and by name what was left.

    Raises:
        InvalidInputError: An entry of the model list is none; the sentence says which.
    """
    assert isinstance(data, dict)
    entries = data["model_list"]
    groups = Counter(_group(entry, place) for place, entry in enumerate(entries, start=1))
    named: Counter[str] = Counter()
    deployments, left_names, unnamed = [], set(), 0
    for entry in entries:
        group, params, info = entry["model_name"], _part(entry, "litellm_params"), _part(entry, "model_info")
        named[group] += 1
        unnamed += not info.get("id")
        ident = str(info.get("id") or (group if groups[group] == 1 else f"{group}#{named[group]}"))
        deployments.append(_deployment(ident, params, info))
        left_names |= {str(name) for name in params if name not in _READ}
    left = [f"parameters left where they are: {', '.join(sorted(left_names))}"] if left_names else []
    other = sorted(str(name) for name in data if name != "model_list")
    if other:
        left.append(f"sections left where they are: {', '.join(other)}")
    if unnamed:
        left.append(
            f"{unnamed} entries have no model_info.id, and the router makes up another name for them; "
            "set model_info.id so that both speak of the same deployment"
        )
    return Carried(kind="litellm", deployments=tuple(deployments), left=tuple(left))


def _group(entry: object, place: int) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get("model_name"), str) or not entry["model_name"]:
        raise InvalidInputError(f"entry {place} of model_list has no model_name")
    return str(entry["model_name"])


def _part(entry: Json, name: str) -> Json:
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def _deployment(ident: str, params: Json, info: Json) -> Deployment:
    kept: dict[str, ParamValue] = {}
    for name in _SHAPING:
        value = params.get(name)
        is_secret = isinstance(value, str) and value.startswith("os.environ/")
        if isinstance(value, str | int | float | bool) and not is_secret:
            kept[name] = value
        elif isinstance(value, list) and all(isinstance(v, str) for v in value):
            kept[name] = [str(v) for v in value]
    tags = params.get("tags")
    return Deployment(
        ident,
        model=str(params.get("model") or ident),
        params=kept,
        tags=tuple(str(t) for t in tags) if isinstance(tags, list) else (),
        price=_price(params) or _price(info),
    )


def _price(source: Json) -> Price | None:
    price_in, price_out = number_of(source, "input_cost_per_token"), number_of(source, "output_cost_per_token")
    if price_in is None and price_out is None:
        return None
    # rounded, so that 1.5e-07 per token is 0.15 per million and not 0.15000000000000002
    return Price(
        input_usd_per_mtok=round((price_in or 0.0) * 1e6, 9), output_usd_per_mtok=round((price_out or 0.0) * 1e6, 9)
    )

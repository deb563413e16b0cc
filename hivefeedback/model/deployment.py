"""What a router can pick: deployments, their prices, and named prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

__all__ = ["OBSERVED", "Deployment", "JsonValue", "ParamValue", "Price"]

OBSERVED: Final = "observed"
"""Namespace of a store's small records, one for each deployment that served runs and was never declared."""

ParamValue = str | int | float | bool | None | list["str | int | float | bool | None"]
"""A parameter of a model call, as JSON knows it (``temperature``, ``max_tokens``, ``stop`` …)."""

if TYPE_CHECKING:
    JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
    """Any JSON value."""
else:
    JsonValue = Any  # msgspec reads annotations at run time and knows no recursive aliases


class Price(Struct, frozen=True, omit_defaults=True):
    """List price in USD for a million tokens, in and out."""

    input_usd_per_mtok: float = 0.0
    output_usd_per_mtok: float = 0.0


class Deployment(Struct, frozen=True, omit_defaults=True):
    """One thing that a router can pick: a model with parameters and an adapter.

    ``Deployment("gpt-x")`` is enough: the model is then the id. Ids are stable names; a renamed
    deployment is a new one that has to earn its trust again.

    Args:
        id: Stable, unique name; any text.
        model: What the provider calls it; defaults to the id.
        params: Parameters of each call, such as ``{"temperature": 0.2}``.
        adapter: Name of a LoRA adapter, or None.
        capability: Prior opinion of its ability, 0–100; a weak prior for learning.
        tags: Free labels.
        price: List price, or None where unknown.
        vram_gb: Memory that it needs on a GPU, in GB, or None.
        bounds: Smallest and largest value of numeric parameters, such as ``{"max_tokens": (128,
            2048)}``. Only parameters named here are ever changed by a planner, and nobody can set
            them outside.
    """

    id: str
    model: str = ""
    params: Mapping[str, ParamValue] = {}
    adapter: str | None = None
    capability: float = 50.0
    tags: tuple[str, ...] = ()
    price: Price | None = None
    vram_gb: float | None = None
    bounds: Mapping[str, tuple[float, float]] = {}

    def __post_init__(self) -> None:
        if not self.model:
            force_setattr(self, "model", self.id)

"""What a deployment, a price and an adapter look like in ``hivefeedback.yaml``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["AdapterEntry", "DeploymentEntry", "PriceEntry"]


class PriceEntry(BaseModel):
    """List price in USD for a million tokens."""

    model_config = ConfigDict(extra="forbid")
    input_usd_per_mtok: float = Field(0.0, ge=0.0, description="USD per million input tokens")
    output_usd_per_mtok: float = Field(0.0, ge=0.0, description="USD per million output tokens")


class DeploymentEntry(BaseModel):
    """A deployment in ``hivefeedback.yaml``; only ``id`` is needed, and a bare text is an id."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    id: str = Field(min_length=1, description="stable, unique name")
    model: str = Field("", description="what the provider calls it; default: the id")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of each call")
    adapter: str | None = Field(None, description="LoRA adapter")
    capability: float = Field(
        50.0, ge=0.0, le=100.0, allow_inf_nan=False, description="prior opinion of its ability, 0-100"
    )
    tags: list[str] = Field(default_factory=list, description="free labels")
    price: PriceEntry | None = Field(None, description="list price")
    vram_gb: float | None = Field(None, ge=0.0, description="GPU memory that it needs, GB")
    bounds: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="smallest and largest value of parameters that may be changed, such as max_tokens: [128, 2048]. "
        "Default: none, so that nothing is changed that nobody bounded",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_an_id(cls, given: Any) -> Any:
        return {"id": given} if isinstance(given, str) else given


class AdapterEntry(BaseModel):
    """A LoRA adapter in ``hivefeedback.yaml``; only ``name`` is needed, and a bare text is a name."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    name: str = Field(min_length=1, description="what its server calls it")
    tags: list[str] = Field(
        default_factory=list, description="what it is for; the planner looks for them in operations"
    )
    models: list[str] = Field(default_factory=list, description="base models that it was made for; default: any")
    vram_gb: float | None = Field(None, ge=0.0, allow_inf_nan=False, description="GPU memory that it needs, GB")

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

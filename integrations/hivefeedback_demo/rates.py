"""The published figures that the demo plays: success per operation, cost and latency of each model."""

from __future__ import annotations

from importlib.resources import files

from msgspec import Struct
from msgspec.json import decode

from hivefeedback.model import Deployment, Price

__all__ = ["TOKENS_IN", "TOKENS_OUT", "ModelRates", "Rates", "load_rates"]

TOKENS_IN = 400
TOKENS_OUT = 100
"""Tokens of each call. The benchmark publishes costs, not tokens, so the price of a token is set
such that a call costs what is published."""
_OUT_TO_IN = 4.0
"""An output token costs four times an input token, as is usual."""


class ModelRates(Struct, frozen=True):
    """Figures of one model: mean cost in USD and mean latency in seconds of a call, and the share of
    right answers by operation."""

    cost_usd: float
    latency_s: float
    success: dict[str, float]

    @property
    def price(self) -> Price:
        """Prices at which a call costs ``cost_usd``."""
        per_mtok = self.cost_usd * 1e6 / (TOKENS_IN + _OUT_TO_IN * TOKENS_OUT)
        return Price(input_usd_per_mtok=per_mtok, output_usd_per_mtok=_OUT_TO_IN * per_mtok)


class Rates(Struct, frozen=True):
    """What is played, with its source."""

    name: str
    source: str
    licence: str
    operations: list[str]
    models: dict[str, ModelRates]

    def deployments(self) -> list[Deployment]:
        """The models as deployments; nothing of their success is told."""
        return [Deployment(name, price=m.price) for name, m in self.models.items()]


def load_rates() -> Rates:
    """The figures in the package."""
    return decode(files("hivefeedback_demo").joinpath("rates.json").read_bytes(), type=Rates)

"""What a run cost by its deployment's list price, where it tells tokens and no cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from hivefeedback.model import Configuration, Decision, Price, Run
from hivefeedback.recording.refresh import Refresher

__all__ = ["COST_SOURCE", "LIST_PRICE", "ListPrices", "listed_cost_usd"]

COST_SOURCE: Final = "cost_source"
"""Attribute of a run whose cost was not told but worked out; ``LIST_PRICE`` says how."""
LIST_PRICE: Final = "list_price"
_LISTED: Final[Mapping[str, str | int | float | bool]] = {COST_SOURCE: LIST_PRICE}
_PER_MTOK: Final = 1e-6


def listed_cost_usd(price: Price, tokens_in: int | None, tokens_out: int | None) -> float | None:
    """Cost in USD of that many tokens; None where no number of tokens is known.

    It assumes that every token costs the list price: no discount for cached or batched ones, nothing
    for images, tools or the request itself. Tokens of a side that was not told cost nothing, so the
    result is then a lower bound.

    >>> listed_cost_usd(Price(1.0, 4.0), 1_000_000, 500_000)
    3.0
    """
    if tokens_in is None and tokens_out is None:
        return None
    return ((tokens_in or 0) * price.input_usd_per_mtok + (tokens_out or 0) * price.output_usd_per_mtok) * _PER_MTOK


class ListPrices:
    """The list prices of the deployments in service.

    Args:
        refresher: Knows the configuration.
    """

    def __init__(self, refresher: Refresher) -> None:
        self._refresher = refresher
        self._config: Configuration | None = None
        self._prices: Mapping[str, Price] = {}

    @property
    def of_now(self) -> Mapping[str, Price]:
        """Price by deployment, of those that have one."""
        config = self._refresher.snapshot.config
        if config is not self._config:
            self._config = config
            self._prices = {name: d.price for name, d in config.deployments.items() if d.price is not None}
        return self._prices

    def priced(self, run: Run, decision: Decision | None = None) -> Run:
        """The run with its cost, marked as worked out; as it is where the cost was told, the price is not
        known or nothing was served anew. A canary costs what the deployment costs that it serves."""
        if run.cost_usd is not None or (run.tokens_in is None and run.tokens_out is None):
            return run
        price = self.of_now.get(run.deployment)
        if decision is not None and decision.assignments and decision.offer is not None:
            lineup = decision.offer.lineup
            if run.deployment in lineup.candidates:
                price = lineup.deployments[lineup.candidates.index(run.deployment)].price
        if price is None or run.kind != "llm" or run.outcome == "cache_hit":
            return run
        cost_usd = listed_cost_usd(price, run.tokens_in, run.tokens_out)
        return replace(run, cost_usd=cost_usd, attributes={**run.attributes, **_LISTED} if run.attributes else _LISTED)

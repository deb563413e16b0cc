"""Deployments and adapters, whether they were given in code or in the configuration file.

Not among the names of ``hivefeedback.settings``, since the engine's rules of what can be declared are needed
for it: settings alone are read in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from hivefeedback.engine.adapters import adapter_of
from hivefeedback.engine.deployments import deployment_of, given_deployments
from hivefeedback.model import Adapter, Deployment, Price
from hivefeedback.settings.entries import AdapterEntry, DeploymentEntry, PriceEntry

__all__ = ["declared_adapters", "declared_deployments"]


def declared_deployments(given: object, prices: Mapping[str, PriceEntry]) -> list[Deployment]:
    """Deployments from ids, values and entries of the file.

    Args:
        given: A list of them.
        prices: List price of each model; a deployment that names none itself has that of its model.

    Raises:
        ConfigurationError: It is no list, or one of them cannot be used.
    """
    return [_priced(_deployment(entry), prices) for entry in given_deployments(given)]


def declared_adapters(given: Iterable[Adapter | AdapterEntry | str]) -> list[Adapter]:
    """Adapters from names, values and entries of the file.

    Raises:
        ConfigurationError: One of them cannot be used.
    """
    return [adapter_of(_adapter(entry) if isinstance(entry, AdapterEntry) else entry) for entry in given]


def _deployment(entry: object) -> Deployment:
    if not isinstance(entry, DeploymentEntry):
        return deployment_of(entry)
    price = _price(entry.price) if entry.price else None
    return deployment_of(Deployment(**entry.model_dump(exclude={"price", "tags"}), tags=tuple(entry.tags), price=price))


def _priced(deployment: Deployment, prices: Mapping[str, PriceEntry]) -> Deployment:
    price = prices.get(deployment.model)
    if deployment.price is not None or price is None:
        return deployment
    return msgspec.structs.replace(deployment, price=_price(price))


def _price(entry: PriceEntry) -> Price:
    return Price(entry.input_usd_per_mtok, entry.output_usd_per_mtok)


def _adapter(entry: AdapterEntry) -> Adapter:
    return Adapter(entry.name, tuple(entry.tags), tuple(entry.models), entry.vram_gb)

"""Deployments as the host gives them: a value, or an id alone.

What is wrong with one is told here, at start: further on it would look like a store that cannot
write it, or cost each decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, isfinite

import msgspec

from hivefeedback.errors import ConfigurationError
from hivefeedback.model import Deployment, Price

__all__ = ["deployment_of", "given_deployments"]


def given_deployments(given: object) -> Iterable[object]:
    """What was given as deployments, one by one.

    Raises:
        ConfigurationError: It is one text, which would be read letter by letter; or no list.
    """
    if isinstance(given, str | bytes | Deployment) or not isinstance(given, Iterable):
        raise ConfigurationError(f"deployments are {given!r:.100}; expected a list, such as [Deployment('a'), 'b']")
    return given


def deployment_of(given: object) -> Deployment:
    """A deployment from an id or a value.

    Raises:
        ConfigurationError: It is neither, or a part of it cannot be used.
    """
    if not isinstance(given, Deployment | str):
        raise ConfigurationError(f"deployment {given!r} is {type(given).__name__}; expected Deployment or an id")
    made = Deployment(given) if isinstance(given, str) else given
    if not isinstance(made.id, str) or not made.id:
        raise ConfigurationError(f"a deployment has an empty id ({made.id!r}); give it a stable name")
    if not _is_number(made.capability) or not 0.0 <= made.capability <= 100.0:
        raise ConfigurationError(f"capability of deployment {made.id!r} is {made.capability!r}; expected 0 to 100")
    _check_texts(made)
    _check_numbers(made)
    _check_params(made)
    _check_bounds(made)
    return made


def _check_texts(deployment: Deployment) -> None:
    tags: object = deployment.tags
    if not isinstance(deployment.model, str):
        raise ConfigurationError(f"model of deployment {deployment.id!r} is {deployment.model!r}; expected a text")
    if deployment.adapter is not None and not isinstance(deployment.adapter, str):
        raise ConfigurationError(
            f"adapter of deployment {deployment.id!r} is {deployment.adapter!r}; expected its name, or None"
        )
    if not isinstance(tags, tuple | list) or not all(isinstance(tag, str) for tag in tags):
        raise ConfigurationError(f"tags of deployment {deployment.id!r} are {tags!r}; expected texts, such as ('eu',)")


def _check_numbers(deployment: Deployment) -> None:
    price, gb = deployment.price, deployment.vram_gb
    if gb is not None and not _is_amount(gb):
        raise ConfigurationError(
            f"vram_gb of deployment {deployment.id!r} is {gb!r}; expected a number of GB, at least 0"
        )
    if price is None:
        return
    if not isinstance(price, Price) or not all(map(_is_amount, (price.input_usd_per_mtok, price.output_usd_per_mtok))):
        raise ConfigurationError(
            f"price of deployment {deployment.id!r} is {price!r}; expected Price(input_usd_per_mtok, "
            "output_usd_per_mtok), both at least 0"
        )


def _check_params(deployment: Deployment) -> None:
    """Refuse what JSON cannot hold: the journal keeps parameters as JSON."""
    params = deployment.params
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise ConfigurationError(
            f"params of deployment {deployment.id!r} are {params!r:.100}; expected a mapping, such as "
            "{'temperature': 0.2}"
        )
    for name, value in params.items():
        try:
            msgspec.json.encode(value)
            is_possible = not isinstance(value, float) or isfinite(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            is_possible = False
        if not is_possible:
            raise ConfigurationError(
                f"parameter {name!r} of deployment {deployment.id!r} is {value!r:.100}; expected a value that JSON "
                "can hold"
            )


def _check_bounds(deployment: Deployment) -> None:
    """Refuse bounds that are no range, or that the deployment's own parameter lies outside of."""
    if not isinstance(deployment.bounds, Mapping):
        raise ConfigurationError(
            f"bounds of deployment {deployment.id!r} are {deployment.bounds!r}; expected a mapping"
        )
    for name, bounds in deployment.bounds.items():
        is_pair = isinstance(bounds, tuple | list) and len(bounds) == 2 and all(map(_is_number, bounds))
        low, high = bounds if is_pair else (1.0, 0.0)
        if not -inf < low <= high < inf:  # false for NaN as well
            raise ConfigurationError(
                f"bounds of {name!r} of deployment {deployment.id!r} are {bounds!r}; expected two numbers, low <= high"
            )
        value = deployment.params.get(name)
        if value is not None and not (isinstance(value, int | float) and low <= value <= high):
            raise ConfigurationError(
                f"parameter {name!r} of deployment {deployment.id!r} is {value!r}, outside of its own bounds {low:g} "
                f"to {high:g}; change one of them"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < inf

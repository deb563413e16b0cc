"""Checks of options, with messages that name the option and the value."""

from __future__ import annotations

from math import isfinite

from hivefeedback.errors import InvalidInputError

__all__ = ["check_count", "check_positive", "check_share", "check_weights"]


def check_weights(**weights: float) -> None:
    """Weights are at least 0 and sum to 1 within 0.01.

    Raises:
        InvalidInputError: They do not.
    """
    for name, value in weights.items():
        if not isfinite(value) or value < 0.0:
            raise InvalidInputError(f"{name} is {value}; expected a number of at least 0")
    total = sum(weights.values())
    if abs(total - 1.0) > 0.01 + 1e-9:
        shown = " + ".join(f"{name} {value}" for name, value in weights.items())
        raise InvalidInputError(f"{shown} = {total:.4g}; expected a sum of 1 within 0.01")


def check_positive(**values: float) -> None:
    """Each is a number above 0.

    Raises:
        InvalidInputError: One is not.
    """
    for name, value in values.items():
        if not isfinite(value) or value <= 0.0:
            raise InvalidInputError(f"{name} is {value}; expected a number above 0")


def check_share(**values: float) -> None:
    """Each lies in [0, 1].

    Raises:
        InvalidInputError: One does not.
    """
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise InvalidInputError(f"{name} is {value}; expected a number from 0 to 1")


def check_count(**values: int) -> None:
    """Each is at least 1.

    Raises:
        InvalidInputError: One is not.
    """
    for name, value in values.items():
        if value < 1:
            raise InvalidInputError(f"{name} is {value}; expected at least 1")

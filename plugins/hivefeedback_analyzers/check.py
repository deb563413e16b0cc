"""A check of options, with messages that name the option and the value."""

from __future__ import annotations

__all__ = ["check_between"]


def check_between(**values: float) -> None:
    """Each lies between 0 and 1, without the ends.

    Raises:
        ValueError: One does not.
    """
    for name, value in values.items():
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} is {value}; expected it between 0 and 1")

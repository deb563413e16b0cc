"""What was asked is checked before it is answered, since a wrong number gives a wrong answer, not none."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from hivefeedback.errors import InvalidInputError

__all__ = ["check_count", "check_ids", "check_operation", "check_positive"]


def check_positive(name: str, value: object, unit: str) -> float:
    """A finite number above 0.

    Raises:
        InvalidInputError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise InvalidInputError(f"{name} is {value!r}; expected a number of {unit} above 0")
    return float(value)


def check_count(name: str, value: object) -> int:
    """A whole number from 0.

    Raises:
        InvalidInputError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInputError(f"{name} is {value!r}; expected a whole number from 0")
    return value


def check_ids(noun: str, given: object) -> tuple[str, ...]:
    """Ids in their order.

    Raises:
        InvalidInputError: It is one text, which would be read letter by letter; or no list of texts.

    >>> check_ids("agents", ["a", "b"])
    ('a', 'b')
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidInputError(f"{noun} are {given!r:.100}; expected a list of ids, such as ['a', 'b']")
    names = tuple(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"{noun} hold {name!r:.100}, which is no id; expected texts")
    return names


def check_operation(operation: object) -> str | None:
    """An operation, or None for all. A slash at its end, as people write folders, says nothing.

    >>> check_operation("text-to-text/"), check_operation("")
    ('text-to-text', None)

    Raises:
        InvalidInputError: It is no text.
    """
    if operation is None:
        return None
    if isinstance(operation, str):
        return operation.rstrip("/") or None
    raise InvalidInputError(f"operation {operation!r} is {type(operation).__name__}; expected a text")

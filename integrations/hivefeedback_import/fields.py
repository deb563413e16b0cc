"""Fields of foreign records, read with suspicion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import isfinite

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import JsonValue

__all__ = ["Json", "count_of", "moment_of", "names_left", "number_of"]

Json = Mapping[str, JsonValue]


def number_of(record: Json, *names: str) -> float | None:
    """The first of these fields that is a finite number ≥ 0; None where there is none.

    Raises:
        InvalidInputError: A field of that name holds something else.
    """
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
            raise InvalidInputError(f"field {name!r} is {str(value)[:40]!r}; expected a number from 0 up")
        return float(value)
    return None


def count_of(record: Json, *names: str) -> int | None:
    """The same for whole numbers."""
    value = number_of(record, *names)
    if value is not None and value != int(value):
        raise InvalidInputError(f"field {names[0]!r} is {value!r}; expected a whole number")
    return None if value is None else int(value)


def moment_of(value: JsonValue) -> float | None:
    """Seconds since 1970 UTC of a number or an ISO time (UTC where it names no zone); None for nothing.

    >>> moment_of("2025-11-09T00:00:00Z"), moment_of(12.5), moment_of(None)
    (1762646400.0, 12.5, None)

    Raises:
        InvalidInputError: It is neither.
    """
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0:
        return float(value) / 1000.0 if value > 1e11 else float(value)  # some clocks tell milliseconds
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise InvalidInputError(
        f"{str(value)[:40]!r} is no time; expected such as 2025-11-09T12:00:00Z, or seconds since 1970"
    )


def names_left(records: Iterable[Json], known: frozenset[str]) -> list[str]:
    """Names of fields that nobody reads here, in order."""
    return sorted({str(name) for record in records for name in record} - known)

"""Whether a mutation is one that the journal can keep.

Python takes any value for a field. What is written to the journal is read by every process, and an
entry that cannot be read would stop them all, so it is checked before it comes in.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from hivefeedback.errors import InvalidInputError
from hivefeedback.model.change import Mutation, Risk
from hivefeedback.model.decoding import decoded

__all__ = ["checked_mutation"]

_RISKS: Final = get_args(Risk)


def checked_mutation(given: object) -> Mutation:
    """The mutation as every process will read it.

    Raises:
        InvalidInputError: It is none, or one of its fields is not what it must be; the message names it.
    """
    if not isinstance(given, Mutation):
        raise InvalidInputError(f"{given!r:.100} is {type(given).__name__}; expected a Mutation")
    name = f"{given.kind} of {given.target!r:.100}"
    if given.risk not in _RISKS:
        raise InvalidInputError(f"{name} has the risk {given.risk!r:.100}; expected one of {', '.join(_RISKS)}")
    if not _is_share(given.confidence):
        raise InvalidInputError(f"{name} has the confidence {given.confidence!r:.100}; expected a number from 0 to 1")
    try:
        return decoded(msgspec.json.encode(given), Mutation)
    except UnicodeEncodeError:
        return given  # a lone surrogate: the store says so
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError(f"{name} cannot be kept: {error}") from error


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0

"""Exit codes: what a script can tell from a command's end."""

from __future__ import annotations

from typing import Final

from hivefeedback.errors import (
    ConfigurationError,
    HiveFeedbackError,
    InvalidInputError,
    MissingExtraError,
    RefusedError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
)

__all__ = ["DONE", "FAILED", "INTERRUPTED", "REFUSED", "STORE", "WRONG_USE", "code_of"]

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
STORE: Final = 3
"""The store cannot be reached or read."""
REFUSED: Final = 4
"""A gate, a mode or the state of a mutation said no."""
INTERRUPTED: Final = 130
"""Ctrl-C; the number that shells use for it."""

_CODES: Final[tuple[tuple[type[HiveFeedbackError], int], ...]] = (
    (StoreUnreachableError, STORE),
    (StoreCorruptError, STORE),
    (StoreVersionError, STORE),
    (RefusedError, REFUSED),
    (MissingExtraError, FAILED),
    (ConfigurationError, WRONG_USE),
    (InvalidInputError, WRONG_USE),
)


def code_of(error: HiveFeedbackError) -> int:
    """The exit code that an error stands for.

    >>> code_of(RefusedError("no")), code_of(HiveFeedbackError("?"))
    (4, 1)
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)

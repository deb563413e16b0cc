"""The value of a mutation as it is typed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import JsonValue, MutationKind

__all__ = ["mutation_value"]

_NAMES: Final = (MutationKind.MODEL_SWAP, MutationKind.LORA_APPLY)
"""Kinds whose value is a name: ``7`` is a model called 7 there, not a number."""


def mutation_value(kind: MutationKind, to: str | None, file: str | None) -> JsonValue:
    """The value that was given, as JSON where it is JSON, else as text.

    A file is text as it stands for PROMPT_PATCH.

    Raises:
        InvalidInputError: Nothing was given, or both.

    >>> mutation_value(MutationKind.ROUTE_CHANGE, '["a"]', None), mutation_value(MutationKind.MODEL_SWAP, "7", None)
    (['a'], '7')
    """
    if (to is None) == (file is None):
        raise InvalidInputError("change it to what? give TO, or --file FILE")
    if file is not None:
        text = _read(file)
        return text if kind == MutationKind.PROMPT_PATCH else _as_json(kind, text)
    return _as_json(kind, to or "")


def _as_json(kind: MutationKind, text: str) -> JsonValue:
    try:
        value: JsonValue = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text
    if kind in _NAMES and not (value is None or isinstance(value, str)):
        return text
    return value


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"file {file!r} is no text in UTF-8: {error}") from error

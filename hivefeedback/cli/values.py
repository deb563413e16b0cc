"""Kind and value of a mutation as they are typed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from hivefeedback.errors import ConfigurationError, InvalidInputError
from hivefeedback.model import JsonValue, MutationKind

__all__ = ["TO_OF", "kinds_in_service", "mutation_value"]

TO_OF: Final = {
    MutationKind.MODEL_SWAP: "the model's name",
    MutationKind.ROUTE_CHANGE: """candidates such as '["a", "b"]',
                or '{"candidates": ["a"], "weights": {"a": 1}}', or null: the policy""",
    MutationKind.PARAM_SET: "parameters such as '{\"temperature\": 0.2}'",
    MutationKind.PROMPT_PATCH: "the number of a version, or a new text (--file reads it from a file)",
    MutationKind.LORA_APPLY: "the adapter's name, or null",
    MutationKind.MEMORY_UPDATE: """a text that the agent (TARGET) is to remember (--file reads it from a file),
                '{"text": "...", "importance": 0.9}', or '{"forget": "m-7"}'""",
}
"""What is typed for each kind."""

_NAMES: Final = (MutationKind.MODEL_SWAP, MutationKind.LORA_APPLY)
"""Kinds whose value is a name: ``7`` is a model called 7 there, not a number."""
_TEXTS: Final = (MutationKind.PROMPT_PATCH, MutationKind.MEMORY_UPDATE)
"""Kinds whose value may be a long text."""


def kinds_in_service() -> list[MutationKind]:
    """The kinds that an installed plugin can execute; all, where the settings do not let plugins be loaded."""
    from hivefeedback.cli.reader import make_registry
    from hivefeedback.settings import load_settings

    try:
        registry = make_registry(load_settings())
    except ConfigurationError:
        return list(MutationKind)
    registry.close()
    return [kind for kind in MutationKind if kind in registry.executors]


def mutation_value(kind: MutationKind, to: str | None, file: str | None) -> JsonValue:
    """The value that was given, as JSON where it is JSON, else as text.

    A file is text as it stands for PROMPT_PATCH and MEMORY_UPDATE.

    Raises:
        InvalidInputError: Nothing was given, or both.

    >>> mutation_value(MutationKind.ROUTE_CHANGE, '["a"]', None), mutation_value(MutationKind.MODEL_SWAP, "7", None)
    (['a'], '7')
    """
    if (to is None) == (file is None):
        raise InvalidInputError("change it to what? give TO, or --file FILE")
    if file is not None:
        text = _read(file)
        return text if kind in _TEXTS else _as_json(kind, text)
    return _as_json(kind, to or "")


def _as_json(kind: MutationKind, text: str) -> JsonValue:
    try:
        value: JsonValue = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text
    if kind in _NAMES and not (value is None or isinstance(value, str)):
        return text
    if kind == MutationKind.MEMORY_UPDATE and not isinstance(value, dict):
        return text  # "7" is to be remembered as it was typed
    return value


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"file {file!r} is no text in UTF-8: {error}") from error

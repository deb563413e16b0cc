"""A file becomes what it holds: JSON or YAML, told by its content."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from hivefeedback.errors import InvalidInputError
from hivefeedback_import.carried import Carried
from hivefeedback_import.litellm_config import is_litellm_config, read_litellm_config
from hivefeedback_import.llmhive import is_llmhive, read_llmhive
from hivefeedback_import.task44 import is_task44, read_task44

__all__ = ["read_file"]

_MAX_BYTES = 256 * 1024 * 1024
_EXPECTED = (
    "LLMHive's performance_metrics.json, Task 44's model_performance_stats.json, a LiteLLM config.yaml, "
    "or a file of hivefeedback export"
)


def read_file(path: Path) -> Carried:
    """What a file of another system holds.

    Raises:
        InvalidInputError: It cannot be read, is cut off, or is of another kind; the sentence names
            the file and what was expected.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInputError(f"{str(path)!r} is larger than {_MAX_BYTES >> 20} MiB; split it")
        text, written_at_s = path.read_text(encoding="utf-8"), path.stat().st_mtime
    except OSError as error:
        raise InvalidInputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{str(path)!r} is no text in UTF-8; a store is named by --store, not imported"
        ) from error
    data = _parsed(path, text)
    try:
        if is_litellm_config(data):
            return read_litellm_config(data)
        if is_task44(data):
            return read_task44(data, written_at_s)
        if is_llmhive(data):
            return read_llmhive(data, written_at_s)
    except InvalidInputError as error:
        raise InvalidInputError(f"{str(path)!r}: {error}; nothing of it was carried over") from error
    raise InvalidInputError(f"{str(path)!r} is of no known kind; expected {_EXPECTED}")


def _parsed(path: Path, text: str) -> object:
    """The content; NaN and infinity, which are no JSON, are refused where a number is read."""
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InvalidInputError(f"{str(path)!r} is no YAML: {' '.join(str(error).split())}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{str(path)!r} is no whole JSON: {error}; it may be cut off") from error

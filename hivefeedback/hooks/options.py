"""Options of a plugin: constructor beats environment beats file beats default."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from hivefeedback.errors import ConfigurationError

__all__ = ["build_options"]


def build_options(
    name: str,
    options: type,
    *,
    given: Mapping[str, object],
    from_file: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
) -> object:
    """An instance of a plugin's ``Options`` dataclass.

    Raises:
        ConfigurationError: An option is unknown or has a wrong value; the message names it.
    """
    environ = os.environ if environ is None else environ
    hints = get_type_hints(options)
    known = {f.name for f in dataclasses.fields(options)}
    values: dict[str, Any] = {}
    for source in (from_file, _from_environ(name, known, environ), given):
        for field, value in source.items():
            if field not in known:
                raise ConfigurationError(
                    f"option {field!r} of plugin {name!r} is not known; known: {', '.join(sorted(known))}"
                )
            values[field] = _convert(name, field, value, hints[field])
    try:
        return options(**values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"options of plugin {name!r}: {error}") from error


def _from_environ(name: str, known: set[str], environ: Mapping[str, str]) -> dict[str, object]:
    prefix = f"HIVEFEEDBACK_{name.upper().replace('-', '_')}_"
    return {field: environ[prefix + field.upper()] for field in known if prefix + field.upper() in environ}


def _convert(name: str, field: str, value: object, hint: Any) -> object:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as first:
        if isinstance(value, str):
            try:
                return msgspec.json.decode(value.encode(), type=hint)
            except msgspec.MsgspecError:
                pass
        raise ConfigurationError(f"option {field!r} of plugin {name!r} is {value!r}: {first}") from first

"""What a command answers: the same thing for programs and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = ["Answer", "as_document", "plain_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has to say.

    Args:
        data: For ``--json``: names in snake_case, units in names. Names are only added.
        text: For people, without a last line break; empty: nothing is printed.
        remark: For people, on standard error, so that ``text`` alone can go into a file.
        code: The exit code.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    remark: str = ""
    code: int = 0


def plain_data(thing: object) -> Any:
    """Values of ours (structs, dataclasses, enums) as what JSON knows.

    ``from_`` of a mutation becomes ``from``, since the underscore is Python's affair only.
    """
    return _renamed(msgspec.to_builtins(thing, enc_hook=_other))


def _other(thing: object) -> object:
    return dict(thing) if isinstance(thing, Mapping) else str(thing)


def _renamed(data: Any) -> Any:
    if isinstance(data, dict):
        return {"from" if key == "from_" else key: _renamed(value) for key, value in data.items()}
    return [_renamed(item) for item in data] if isinstance(data, list | tuple) else data


def as_document(data: Mapping[str, Any]) -> str:
    """One JSON document, indented; numbers that are no number become null."""
    return msgspec.json.format(msgspec.json.encode(plain_data(dict(data))), indent=2).decode()

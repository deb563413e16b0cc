"""The reference of the events, from the wire schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from hivefeedback.cli.reference_hooks import markdown_of
from hivefeedback.model import BODY_KINDS, CONTROL_KINDS, SCHEMA_VERSION, Event

__all__ = ["events_reference"]

_FIELD: Final = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


def events_reference() -> str:
    """The envelope, the kinds of body, and what a control event may hold: fields, types, defaults."""
    parts = [
        "# Events",
        f"Wire schema {SCHEMA_VERSION}. Everything that is logged, and everything that a subscriber is told, is an "
        "envelope around one body. Choose by kind: `loop.subscribe(fn, kinds=('run', 'alarm'))`.",
        "## The envelope",
        _of(Event),
    ]
    parts += [text for kind, body in BODY_KINDS.items() for text in (f"## `{kind}`", _of(body))]
    parts.append("# What a control event holds")
    parts += [text for kind, what in CONTROL_KINDS.items() for text in (f"## `{kind}`", _of(what))]
    return "\n\n".join(part.strip() for part in parts)


def _of(cls: type) -> str:
    intro, meanings = _parts(inspect.getdoc(cls) or "")
    return f"{intro}\n\n" + "\n".join(_rows(cls, meanings))


def _parts(docstring: str) -> tuple[str, dict[str, str]]:
    """What is said of the whole, and of each field."""
    intro, _, arguments = docstring.partition("\nArgs:\n")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in arguments.splitlines():
        found = _FIELD.match(line)
        if found:
            names = found[1].split(", ")
        for name in names:
            meanings[name] = f"{meanings.get(name, '')} {found[2] if found else line.strip()}".strip()
    return markdown_of(intro.strip()), meanings


def _rows(cls: type, meanings: dict[str, str]) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for field in msgspec.structs.fields(cls):
        kind, meaning = (_cell(text) for text in (_type_of(cls, field.name), meanings.get(field.name, "")))
        yield f"| `{field.encode_name}` | `{kind}` | {_default_of(field)} | {meaning} |"


def _type_of(cls: type, name: str) -> str:
    """As it stands in the source: annotations are kept as texts."""
    return str(inspect.get_annotations(cls)[name])


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if field.default is msgspec.UNSET:
        return "absent"
    return "required" if field.default is msgspec.NODEFAULT else f"`{field.default!r}`"

"""The reference of the events, from the wire schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import msgspec

from hivefeedback.cli.reference_hooks import markdown_of
from hivefeedback.model import BODY_KINDS, CONTROL_KINDS, SCHEMA_VERSION, Event

__all__ = ["events_reference"]


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
    return f"{markdown_of(inspect.getdoc(cls) or '')}\n\n" + "\n".join(_rows(cls))


def _rows(cls: type) -> Iterator[str]:
    yield "| field | type | default |"
    yield "|---|---|---|"
    for field in msgspec.structs.fields(cls):
        yield f"| `{field.encode_name}` | `{_type_of(cls, field.name)}` | {_default_of(field)} |"


def _type_of(cls: type, name: str) -> str:
    """As it stands in the source: annotations are kept as texts."""
    return str(inspect.get_annotations(cls)[name]).replace("|", "\\|")


def _default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    if field.default is msgspec.UNSET:
        return "absent"
    return "required" if field.default is msgspec.NODEFAULT else f"`{field.default!r}`"

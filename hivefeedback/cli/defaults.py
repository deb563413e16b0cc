"""Defaults of settings as they are written in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["default_json", "default_of", "leaves"]


def default_of(field: FieldInfo) -> Any:
    """The default as plain values; of entries in a list what differs from their own defaults."""
    from pydantic import BaseModel

    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [v.model_dump(mode="json", exclude_defaults=True) if isinstance(v, BaseModel) else v for v in value]
    return value


def default_json(field: FieldInfo) -> str:
    """The same as JSON, of which YAML takes every line."""
    return json.dumps(default_of(field))


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Fields with their dotted names; a section inside of a section is replaced by its own fields."""
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field

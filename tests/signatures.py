"""Types and methods as lines of text, the same under every Python; what the frozen files hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import msgspec

_STARS = {inspect.Parameter.VAR_POSITIONAL.value: "*", inspect.Parameter.VAR_KEYWORD.value: "**"}


def signature_of(name: str, method: Callable[..., object]) -> str:
    """A method with its parameters as they are written."""
    parts: list[str] = []
    star = False
    signature = inspect.signature(method)
    for p in signature.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        hint = "" if p.annotation is p.empty else f": {p.annotation}"
        default = "" if p.default is p.empty else f" = {p.default!r}"
        parts.append(_STARS.get(p.kind.value, "") + p.name + hint + default)
    return f"{name}({', '.join(parts)}) -> {signature.return_annotation}"


def schema_of(cls: type) -> list[str]:
    """A struct's or dataclass's name, tag and fields, one line each."""
    hints = cls.__annotations__
    if is_dataclass(cls):
        return [f"{cls.__name__}.{f.name}: {hints[f.name]}{_default_of(f)}" for f in fields(cls)]
    config = cls.__struct_config__  # type: ignore[attr-defined]  # msgspec sets it on every Struct
    head = f"{cls.__name__} ({config.tag_field}={config.tag})" if config.tag else cls.__name__
    lines = [f"{cls.__name__}.{f.encode_name}: {hints[f.name]}{_default_of(f)}" for f in msgspec.structs.fields(cls)]
    return [head + (" (array)" if config.array_like else ""), *lines]


def protocol_of(cls: type) -> list[str]:
    """Attributes and methods of a protocol, one line each."""
    attributes = [f"{cls.__name__}.{name}: {hint}" for name, hint in cls.__annotations__.items()]
    return attributes + methods_of(cls)


def methods_of(cls: type) -> list[str]:
    """The public methods and properties of a class, one line each; what it inherits from our own first."""
    lines = []
    ours = [base for base in reversed(cls.__mro__) if base.__module__.startswith("hivefeedback")]
    for name, member in {name: member for base in ours for name, member in vars(base).items()}.items():
        if name.startswith("_") and name not in ("__call__", "__init__"):
            continue
        if isinstance(member, property):
            returns = inspect.signature(member.fget).return_annotation if member.fget else ""
            lines.append(f"{cls.__name__}.{name} -> {returns}")
        elif isinstance(member, staticmethod | classmethod):
            lines.append(f"{cls.__name__}.{signature_of(name, member.__func__)}")
        elif inspect.isfunction(member) and not member.__qualname__.startswith(("_no_init", "Protocol.")):
            lines.append(f"{cls.__name__}.{signature_of(name, member)}")
    return lines


def _default_of(field: Any) -> str:
    """The default of a field as text; empty where it is required."""
    if field.default_factory not in (MISSING, msgspec.NODEFAULT):
        return f" = {field.default_factory()!r}"
    return "" if field.default in (MISSING, msgspec.NODEFAULT) else f" = {field.default!r}"

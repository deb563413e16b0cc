"""Adapters that the host registers, as entries of the journal. Registering serves one to nobody."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from hivefeedback.control.context import Context
from hivefeedback.control.declare import declare_once, edit
from hivefeedback.errors import ConfigurationError, UnknownNameError
from hivefeedback.model import Adapter, Configuration, DropAdapter, Patch, PutAdapter, content_id

__all__ = ["add_adapter", "declare_adapters", "remove_adapter"]


def declare_adapters(ctx: Context, adapters: Iterable[Adapter]) -> None:
    """Journal what constructor or file register, each adapter once per content.

    Raises:
        ConfigurationError: Two of them share a name.
    """
    wanted = list(adapters)
    names = [adapter.name for adapter in wanted]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(f"adapter {min(twice)!r} is declared twice; give each its own name")
    for adapter in wanted:
        canonical = msgspec.json.encode(adapter, order="deterministic").decode()
        declare_once(ctx, content_id("adapter", adapter.name, canonical), adapter.name, partial(_put, adapter))


def add_adapter(ctx: Context, adapter: Adapter, *, by: str = "program") -> None:
    """Register an adapter, or replace what its name stands for."""
    edit(ctx, by, partial(_put, adapter))


def remove_adapter(ctx: Context, name: str, *, by: str = "program") -> None:
    """Forget an adapter; a deployment that has it keeps it until it is changed.

    Raises:
        UnknownNameError: No such adapter.
    """

    def patch(config: Configuration) -> Patch:
        if name not in config.adapters:
            raise UnknownNameError("adapter", name, list(config.adapters))
        return (DropAdapter(name),)

    edit(ctx, by, patch)


def _put(adapter: Adapter, config: Configuration) -> Patch:
    return (PutAdapter(adapter),)

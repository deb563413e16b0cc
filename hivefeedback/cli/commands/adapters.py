"""``hivefeedback adapters``: LoRA adapters that a mutation may put on a deployment."""

from __future__ import annotations

from typing import Any, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import amount, number
from hivefeedback.model import Adapter, Configuration

__all__ = ["SPEC"]


def list_adapters(call: Call) -> Answer:
    """Registered adapters, and who is served with them; those that nobody registered are told too."""
    with call.reader() as reader:
        config = reader.configuration
    found = [_entry(adapter, config) for adapter in config.adapters.values()]
    others = {d.adapter for d in config.deployments.values() if d.adapter} - set(config.adapters)
    found += [{**_entry(Adapter(name), config), "is_registered": False} for name in sorted(others)]
    columns = (
        Column("adapter"),
        Column("tags", rank=1),
        Column("models", rank=2),
        Column("VRAM", "GB", is_number=True, rank=3),
        Column("on"),
        Column("registered", rank=4),
    )
    rows = [
        [
            a["name"],
            ", ".join(a["tags"]) or "-",
            ", ".join(a["models"]) or "any",
            amount(a["vram_gb"]),
            ", ".join(a["deployments"]) or "-",
            "yes" if a["is_registered"] else "no",
        ]
        for a in found
    ]
    empty = "no adapters; register one with: hivefeedback adapters add NAME --tag LABEL"
    return Answer(data={"adapters": found}, text=table(columns, rows, width=console.width()) if rows else empty)


def _entry(adapter: Adapter, config: Configuration) -> dict[str, Any]:
    return {
        "name": adapter.name,
        "tags": list(adapter.tags),
        "models": list(adapter.models),
        "vram_gb": adapter.vram_gb,
        "deployments": [d.id for d in config.deployments.values() if d.adapter == adapter.name],
        "is_registered": True,
    }


def add(call: Call) -> Answer:
    """Register an adapter, or replace what its name stands for."""
    args = call.args
    adapter = Adapter(args.name, tags=tuple(args.tag), models=tuple(args.model), vram_gb=args.vram_gb)
    with call.loop(may_create=True) as loop:
        is_new = adapter.name not in loop.configuration.adapters
        loop.add_adapter(adapter, by=call.by)
        version = loop.configuration.version
    done = "is registered" if is_new else "was replaced"
    text = f"adapter {adapter.name!r} {done}; put it on a deployment with: hivefeedback mutations propose LORA_APPLY"
    return Answer(data={"name": adapter.name, "is_new": is_new, "config_version": version}, text=text)


SPEC: Final = Spec(
    name="adapters",
    help="list and register LoRA adapters",
    children=(
        Spec(name="list", help="registered adapters, and who is served with them", run=list_adapters),
        Spec(
            name="add",
            help="register an adapter; nobody is served it by that",
            run=add,
            arguments=(
                arg("name", metavar="NAME", help="what its server calls it"),
                arg("--tag", action="append", default=[], metavar="LABEL", help="what it is for; may be repeated"),
                arg("--model", action="append", default=[], metavar="NAME", help="base model it fits; may be repeated"),
                arg("--vram-gb", type=number(0.0), metavar="GB", help="GPU memory that it needs"),
                arg("--by", metavar="NAME", help="who does it; default: your login name"),
            ),
        ),
    ),
)

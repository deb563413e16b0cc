"""``hivefeedback plugins``: what is installed, what is broken, and back into service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import plain

if TYPE_CHECKING:
    from hivefeedback.hooks.guard import PluginInfo

__all__ = ["SPEC"]


def list_plugins(call: Call) -> Answer:
    """All installed plugins; without a store too, since one may be the reason why it cannot be opened."""
    found = [_entry(info) for info in _infos(call)]
    columns = (
        Column("plugin"),
        Column("state"),
        Column("origin"),
        Column("hooks", rank=1),
        Column("last error"),
    )
    rows = [[p["name"], p["state"], p["origin"], ", ".join(p["hooks"]) or "-", p["last_error"] or "-"] for p in found]
    notes = [f"{p['name']}: {p['note']}" for p in found if p["note"]]
    text = "\n".join([table(columns, rows, width=console.width()), *(plain(note) for note in notes)])
    return Answer(data={"plugins": found}, text=text)


def _infos(call: Call) -> list[PluginInfo]:
    from hivefeedback.cli.reader import file_of, make_registry

    path = file_of(call.settings.store)
    if path is None or path.exists():
        with call.reader() as reader:
            return reader.plugins()
    call.use_store()
    registry = make_registry(call.settings)
    registry.close()
    return registry.plugins()


def _entry(info: PluginInfo) -> dict[str, Any]:
    entry: dict[str, Any] = plain_data(info)
    entry["hooks"] = [hook.removeprefix("hive_") for hook in info.hooks]
    return entry


def enable(call: Call) -> Answer:
    """Put a quarantined plugin back into service, in every process on this store."""
    name = call.args.name
    with call.loop() as loop:
        loop.enable_plugin(name)
    return Answer(data={"name": name, "state": "ok"}, text=f"plugin {name!r} is in service in every process")


SPEC: Final = Spec(
    name="plugins",
    help="list plugins, and put quarantined ones back into service",
    children=(
        Spec(name="list", help="all installed plugins with origin and state", run=list_plugins),
        Spec(
            name="enable",
            help="put a quarantined plugin back into service",
            run=enable,
            arguments=(arg("name", metavar="NAME"),),
        ),
    ),
)

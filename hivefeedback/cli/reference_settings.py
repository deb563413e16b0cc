"""The reference of the settings, from the settings themselves and the options of the installed plugins."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from hivefeedback.cli.answer import plain_data
from hivefeedback.cli.defaults import default_json, leaves
from hivefeedback.cli.reference_hooks import markdown_of
from hivefeedback.hooks.registry import ENTRY_POINT_GROUP

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["settings_reference"]

_HEAD: Final = """\
# Settings

An argument of `FeedbackLoop(...)` beats an environment variable `HIVEFEEDBACK_<NAME>`, which beats `hivefeedback.yaml`,
which beats the default. Lists and mappings in the environment are JSON. `HIVEFEEDBACK_MODE=off` beats everything."""
_ANNOTATED: Final = re.compile(r"Annotated\[(\w+), FieldInfo\(.*\)\]")
_BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}


def settings_reference() -> str:
    """Every setting with type, bounds, default and meaning; then the entries of lists; then options of plugins."""
    from hivefeedback.settings import (
        ALIASES,
        AdapterEntry,
        DeploymentEntry,
        Limits,
        PriceEntry,
        Settings,
        StageEntry,
        Targets,
        Thresholds,
    )

    parts = [_HEAD, _table(Settings, has_variable=True)]
    parts += ["## Fields of `deployments`", _table(DeploymentEntry), "## Fields of `price`", _table(PriceEntry)]
    parts += ["## Fields of `adapters`", _table(AdapterEntry), "## Fields of `pipeline`", _table(StageEntry)]
    parts += ["## Fields of `limits`", _table(Limits), "## Fields of `targets`", _table(Targets)]
    parts += ["## Fields of `thresholds`", _table(Thresholds)]
    parts += ["## Variables of older systems", "\n".join(f"- `{alias.name}`: {alias.meaning}" for alias in ALIASES)]
    parts += ["# Options of plugins", "In `hivefeedback.yaml` under `options`, by the plugin's name.", *_plugins()]
    return "\n\n".join(parts)


def _table(model: type[BaseModel], *, has_variable: bool = False) -> str:
    rows = [
        (
            f"`{name}`",
            _type(field),
            "required" if field.is_required() else f"`{default_json(field)}`",
            field.description,
        )
        for name, field in (model.model_fields.items() if has_variable else leaves(model))
    ]
    title = "setting" if has_variable else "field"
    return _markdown((title, "type", "default", "meaning"), rows)


def _type(field: FieldInfo) -> str:
    """The annotation as it is written, with its bounds."""
    kind = field.annotation
    name = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
    bounds = [
        f"{sign} {getattr(rule, key):,}"
        for rule in field.metadata
        for key, sign in _BOUNDS.items()
        if hasattr(rule, key)
    ]
    return f"`{_short(name)}`" + (f" {', '.join(bounds)}".replace(",", "") if bounds else "")


def _short(name: str) -> str:
    """Without modules, and bounds inside of lists."""
    for module in (
        "typing.",
        "collections.abc.",
        "hivefeedback.settings.entries.",
        "hivefeedback.settings.sections.",
        "hivefeedback.settings.",
    ):
        name = name.replace(module, "")
    return _ANNOTATED.sub(r"\1", name)


def _plugins() -> Iterator[str]:
    """Options of each installed plugin that has any and can be loaded."""
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        try:
            options = getattr(point.load(), "Options", None)
        except Exception:  # noqa: BLE001  # the plugin guard: a stranger's import may raise anything; doctor names it
            continue
        if isinstance(options, type) and dataclasses.is_dataclass(options):
            yield f"## `{point.name}`"
            yield markdown_of(inspect.getdoc(options) or "")
            yield _options(point.name, options)


def _options(plugin: str, options: type[Any]) -> str:
    hints: Mapping[str, Any] = get_type_hints(options)
    rows = []
    for field in dataclasses.fields(options):
        kind = hints[field.name]
        name = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
        variable = f"HIVEFEEDBACK_{plugin.upper().replace('-', '_')}_{field.name.upper()}"
        rows.append(
            (f"`{field.name}`", f"`{_short(name)}`", f"`{json.dumps(_option_default(field))}`", f"`{variable}`")
        )
    return _markdown(("option", "type", "default", "variable"), rows)


def _option_default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return plain_data(field.default_factory())
    return plain_data(field.default) if field.default is not dataclasses.MISSING else None


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join((cell or "").replace("|", "\\|") for cell in line) + " |" for line in lines)

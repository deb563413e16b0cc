"""Checks of the installation, the settings and the plugins."""

from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Final, Literal

from hivefeedback.cli.words import clock_time

if TYPE_CHECKING:
    from hivefeedback.settings import Settings

__all__ = ["Check", "check_environment", "check_plugins", "check_settings"]

_OURS: Final = "hivefeedback"
_REQUIREMENT: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<inner>[\w-]+)\])?[^;]*;(?P<only>\s*|.*\s)extra\s*==\s*[\"'](?P<extra>[\w-]+)[\"']"
)
_NOT_FOR_USERS: Final = ("dev", "peers")
_MOST_SHOWN: Final = 6
"""An extra that brings more stands beside the extras that it is made of."""
_EARLIEST_S: Final = 1_735_689_600.0
"""2025-01-01: a clock before that was never set."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        state: ``ok``, ``note`` (as it may be, but worth knowing) or ``wrong``.
        detail: What was found, and where it is wrong what to do.
        code: Exit code that it asks for; 0: the usual one.
    """

    name: str
    state: Literal["ok", "note", "wrong"]
    detail: str
    code: int = 0


def check_environment(now_s: float) -> Iterator[Check]:
    """Versions, extras, the clock."""
    yield Check("version", "ok", f"hivefeedback {version(_OURS)}, Python {platform.python_version()}")
    yield from _extras()
    if now_s < _EARLIEST_S:
        yield Check("clock", "wrong", "the system's clock stands in the past; set it, since all windows depend on it")
    else:
        yield Check("clock", "ok", f"{clock_time(now_s)} UTC")


def _extras() -> Iterator[Check]:
    """Each extra with the versions of what it brings."""
    extras: dict[str, list[str]] = {}
    for line in requires(_OURS) or ():
        match = _REQUIREMENT.match(line)
        if match and match["name"] != _OURS and match["extra"] not in _NOT_FOR_USERS:
            inner = f"[{match['inner']}]" if match["inner"] else ""
            extras.setdefault(match["extra"], []).append(match["name"] + inner)
    for extra, names in sorted(extras.items()):
        found = {name: _version(name) for name in names}
        missing = [name for name, known in found.items() if known is None]
        there = [f"{name} {known}" for name, known in found.items() if known]
        shown = ", ".join(there) if len(there) <= _MOST_SHOWN else f"{len(there)} distributions"
        if missing:
            shown = f"{shown + '; ' if shown else ''}missing: {', '.join(missing)}"
            yield Check(f"extra {extra}", "note", f"{shown}; install it with: pip install '{_OURS}[{extra}]'")
        else:
            yield Check(f"extra {extra}", "ok", shown)


def _version(name: str) -> str | None:
    """The installed version of ``litellm`` or ``litellm[proxy]``, say; None where it, or a part of it, is missing."""
    bare, _, extra = name.rstrip("]").partition("[")
    try:
        return version(bare) if all(_version(part) for part in _parts(bare, extra)) else None
    except PackageNotFoundError:
        return None


def _parts(name: str, extra: str) -> list[str]:
    """What an extra of another distribution brings on every platform."""
    matches = [_REQUIREMENT.match(line) for line in requires(name) or ()]
    return [m["name"] for m in matches if m and m["extra"] == extra and not m["only"].strip()]


def check_settings(settings: Settings, args: argparse.Namespace) -> Iterator[Check]:
    """The configuration file, the mode, and where each setting that was set comes from."""
    from hivefeedback.settings import aliases_in_force, default_store, find_config_file

    path = find_config_file(args.config)
    yield Check("config file", "ok", str(path.absolute()) if path else "none; write one with: hivefeedback init")
    sources = {name: _source(name, args) for name in sorted(settings.model_fields_set)}
    if not args.store and "HIVEFEEDBACK_STORE" not in os.environ and settings.store == default_store():
        sources.pop("store", None)  # filled in where nobody named one
    shown = ", ".join(f"{name} ({source})" for name, source in sources.items())
    yield Check("settings", "ok", shown or "all have their defaults")
    if settings.mode == "off":
        yield Check("mode", "note", "off: nothing is decided, recorded or changed (HIVEFEEDBACK_MODE or the file)")
    else:
        yield Check("mode", "ok", settings.mode)
    for alias in aliases_in_force():
        yield Check(f"variable {alias.name}", "note", f"{os.environ[alias.name]}: {alias.meaning}")
    if not settings.safety_checks:
        yield Check("safety checks", "note", "OFF: what the gates refuse is served all the same; for developers only")
    skipped = [stage.name for stage in settings.pipeline if not stage.enabled]
    if skipped:
        yield Check("pipeline", "note", f"switched off: {', '.join(skipped)}")


def _source(name: str, args: argparse.Namespace) -> str:
    if name == "store" and args.store:
        return "command line"
    from hivefeedback.settings import aliases_in_force

    aliased = {field for alias in aliases_in_force() for field in alias.read(os.environ[alias.name].strip())}
    return "environment" if f"HIVEFEEDBACK_{name.upper()}" in os.environ or name in aliased else "file"


def check_plugins(settings: Settings) -> Iterator[Check]:
    """Which plugins do not load, whether the policy is there, and variables that neither we nor a plugin read."""
    from hivefeedback.cli.reader import make_registry
    from hivefeedback.settings import unknown_variables

    registry = make_registry(settings)
    registry.close()
    plugins = [info for info in registry.plugins() if info.origin != "core"]
    broken = [info for info in plugins if info.state == "broken"]
    yield Check("plugins", "ok" if plugins else "wrong", f"{len(plugins) - len(broken)} loaded")
    for info in broken:
        remedy = f"mend or remove {info.origin}, or name it in plugins_deny"
        yield Check(f"plugin {info.name}", "wrong", f"it does not load: {info.last_error}; {remedy}")
    for info in plugins:
        if info.note:
            yield Check(f"plugin {info.name}", "note", info.note)
    yield from (Check("plugin names", "note", sentence) for sentence in registry.slips)
    if settings.policy in registry.policies:
        yield Check("policy", "ok", settings.policy)
    else:
        known = ", ".join(sorted(registry.policies)) or "none"
        yield Check("policy", "wrong", f"{settings.policy!r} is not known; known: {known}; set 'policy' to one of them")
    yield _memory_index()
    yield from (Check("environment", "note", line) for line in unknown_variables([info.name for info in plugins]))


def _memory_index() -> Check:
    """What agents' memories are searched with."""
    from hivefeedback.engine.memory_index import index_kind

    if index_kind() == "fts5":
        return Check("memory index", "ok", "SQLite FTS5")
    return Check("memory index", "note", "this Python's SQLite has no FTS5; memory is recalled by overlap of words")

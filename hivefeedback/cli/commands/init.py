"""``hivefeedback init``: writes a ``hivefeedback.yaml`` that explains itself."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.errors import InvalidInputError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["SPEC", "commented_settings"]

_HEAD: Final = """\
# Settings of hivefeedback. Every line that begins with '#name:' shows a default: remove the '#' to change it.
# An argument of FeedbackLoop(...) beats an environment variable HIVEFEEDBACK_<NAME>, which beats this file.
# Used where a program runs in this folder, or names it: FeedbackLoop(config=...), HIVEFEEDBACK_CONFIG, --config.
# To switch everything off at once: HIVEFEEDBACK_MODE=off
"""
_WIDTH: Final = 110


def run(call: Call) -> Answer:
    """Write the file; one that is there stays, unless ``--force`` is given."""
    path = Path(call.args.config or os.environ.get("HIVEFEEDBACK_CONFIG") or "hivefeedback.yaml")
    if path.exists() and not call.args.force:
        raise InvalidInputError(f"{path} is there already; --force overwrites it, --config names another file")
    path.write_text(commented_settings(), encoding="utf-8")
    text = f"{path} was written; every setting in it is commented out and shows its default"
    return Answer(data={"path": str(path)}, text=text)


def commented_settings() -> str:
    """The text of the file, made from the settings themselves, so that it never lags behind."""
    from hivefeedback.settings import AdapterEntry, DeploymentEntry, Settings

    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        lines = [*_comment(field.description or ""), f"#{name}: {_value(field)}"]
        if name in ("deployments", "adapters"):
            entry: type[BaseModel] = DeploymentEntry if name == "deployments" else AdapterEntry
            lines[-1:] = [*_example(name, entry), lines[-1]]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _value(field: FieldInfo) -> str:
    """The default as YAML, of which JSON is a part."""
    return json.dumps(field.get_default(call_default_factory=True, validated_data={}))


def _example(setting: str, entry: type[BaseModel]) -> list[str]:
    """An entry of a list with all its fields, each with its meaning."""
    lines = [f"# {setting}:"]
    for name, field in entry.model_fields.items():
        value = '"small"' if field.is_required() else _value(field)
        dash = "- " if len(lines) == 1 else "  "
        lines.append(f"#   {dash}{name}: {value}  # {field.description}")
    return lines


SPEC: Final = Spec(
    name="init",
    help="write a commented hivefeedback.yaml",
    run=run,
    arguments=(arg("--force", action="store_true", help="overwrite a file that is there"),),
    details="--config FILE names the file to write; default: HIVEFEEDBACK_CONFIG, else hivefeedback.yaml here",
)

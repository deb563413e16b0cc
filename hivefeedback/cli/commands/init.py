"""``hivefeedback init``: writes a ``hivefeedback.yaml`` that explains itself."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.defaults import default_json, default_of
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
_ENTRIES: Final = {
    "prices": "gpt-x: {input_usd_per_mtok: 0.5, output_usd_per_mtok: 1.5}",
    "prompts": 'answer: "Answer {question} in one line."',
    "options": "speed: {min_operations: 20}",
    "judgements": "text-to-text/support: [success]",
}
"""What an entry of a mapping looks like."""


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
    from hivefeedback.settings import AdapterEntry, DeploymentEntry, Limits, Settings, Targets, Thresholds

    lists: dict[str, type[BaseModel]] = {
        "deployments": DeploymentEntry,
        "adapters": AdapterEntry,
    }
    sections: dict[str, type[BaseModel]] = {"limits": Limits, "targets": Targets, "thresholds": Thresholds}
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        lines = _comment(field.description or "")
        if name == "pipeline":
            lines += _stages(field)
        elif name in lists:
            lines += _example(name, lists[name])
        elif name in _ENTRIES:
            lines += [f"# {name}:", f"#   {_ENTRIES[name]}"]
        elif name in sections:
            lines += _section(name, sections[name])
        parts.append("\n".join([*lines, f"#{name}: {default_json(field)}"]) + "\n")
    return "\n".join(parts)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _example(setting: str, entry: type[BaseModel]) -> list[str]:
    """An entry of a list with all its fields, each with its meaning."""
    lines = [f"# {setting}:"]
    for name, field in entry.model_fields.items():
        value = ('"analyze"' if setting == "pipeline" else '"small"') if field.is_required() else default_json(field)
        dash = "- " if len(lines) == 1 else "  "
        lines.append(f"#   {dash}{name}: {value}  # {field.description}")
    return lines


def _stages(field: FieldInfo) -> list[str]:
    """All stages, since one that is not named is off; the first that may choose its plugins with all its fields."""
    from hivefeedback.settings import StageEntry

    example = _example("pipeline", StageEntry)
    names = [f"#   - {stage['name']}" for stage in default_of(field)]
    at = names.index("#   - analyze")
    return [example[0], *names[:at], *example[1:], *names[at + 1 :]]


def _section(name: str, model: type[BaseModel], indent: str = "") -> list[str]:
    """A section with all its fields, each with its meaning; sections inside of it further in."""
    from pydantic import BaseModel

    lines = [f"# {indent}{name}:"]
    for inner_name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            lines += _section(inner_name, inner, indent + "  ")
        else:
            lines.append(f"# {indent}  {inner_name}: {default_json(field)}  # {field.description}")
    return lines


SPEC: Final = Spec(
    name="init",
    help="write a commented hivefeedback.yaml",
    run=run,
    arguments=(arg("--force", action="store_true", help="overwrite a file that is there"),),
    details="--config FILE names the file to write; default: HIVEFEEDBACK_CONFIG, else hivefeedback.yaml here",
)

"""``hivefeedback prompts``: named prompts and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.commands.prompts_diff import diff_prompt
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import count, plain
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import prompt_fields

if TYPE_CHECKING:
    from hivefeedback.engine.prompts import Prompts, PromptVersion

__all__ = ["SPEC"]

_ERASED: Final = "(the text was erased)"


def list_prompts(call: Call) -> Answer:
    """All prompts, with the version that is served."""
    with call.reader() as reader:
        found = [_summary(reader.prompts, name) for name in reader.prompts.names()]
    columns = (
        Column("prompt"),
        Column("served", "version", is_number=True),
        Column("versions", is_number=True),
        Column("length", "characters", is_number=True, rank=1),
        Column("fields", rank=2),
    )
    rows = [
        [p["name"], str(p["current"]), str(p["n_versions"]), count(p["n_characters"]), ", ".join(p["fields"])]
        for p in found
    ]
    text = table(columns, rows, width=console.width()) if rows else "no prompts; a program adds them: loop.prompts.add"
    return Answer(data={"prompts": found}, text=text)


def _summary(prompts: Prompts, name: str) -> dict[str, Any]:
    versions = prompts.versions(name)
    current = next((v for v in versions if v.is_current), None)
    text = (current.text if current else None) or ""
    return {
        "name": name,
        "current": current.version if current else 0,
        "n_versions": len(versions),
        "n_characters": len(text),
        "fields": list(prompt_fields(text)),
    }


def show_prompt(call: Call) -> Answer:
    """One version of a prompt: the served one, or the one that is asked for."""
    name, asked = call.args.name, call.args.version_number
    with call.reader() as reader:
        versions = reader.prompts.versions(name)
    chosen = next((v for v in versions if v.version == asked or (asked is None and v.is_current)), None)
    if chosen is None:
        known = ", ".join(str(v.version) for v in versions) or "none"
        what = "no version of it is served" if asked is None else f"it has no version {asked}"
        raise InvalidInputError(f"prompt {name!r}: {what}; known: {known}")
    text = _ERASED if chosen.text is None else plain(chosen.text, is_block=True)
    remark = f"{name} version {chosen.version} of {len(versions)}{', served' if chosen.is_current else ''}"
    return Answer(data=_data(chosen, versions), text=text, remark=remark)


def _data(chosen: PromptVersion, versions: list[PromptVersion]) -> dict[str, object]:
    return {
        "name": chosen.name,
        "version": chosen.version,
        "is_current": chosen.is_current,
        "text": chosen.text,
        "versions": [v.version for v in versions],
        "current": next((v.version for v in versions if v.is_current), 0),
    }


SPEC: Final = Spec(
    name="prompts",
    help="list, show and compare named prompts",
    children=(
        Spec(name="list", help="all prompts and their served versions", run=list_prompts),
        Spec(
            name="show",
            help="the text of a prompt",
            run=show_prompt,
            arguments=(
                arg("name", metavar="NAME"),
                arg("--version", dest="version_number", type=int, metavar="N", help="this version, not the served one"),
            ),
        ),
        Spec(
            name="diff",
            help="what changed between two versions",
            run=diff_prompt,
            arguments=(
                arg("name", metavar="NAME"),
                arg("a", type=int, metavar="A", help="number of the older version"),
                arg("b", type=int, metavar="B", help="number of the newer version"),
            ),
        ),
    ),
)

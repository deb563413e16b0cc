"""``hivefeedback prompts diff``: what changed between two versions of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff
from typing import TYPE_CHECKING

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.words import plain
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import prompt_fields

if TYPE_CHECKING:
    from hivefeedback.engine.prompts import PromptVersion

__all__ = ["diff_prompt"]


def diff_prompt(call: Call) -> Answer:
    """A unified diff, and the fields that one of the two lacks."""
    name, a, b = call.args.name, call.args.a, call.args.b
    with call.reader() as reader:
        versions = reader.prompts.versions(name)
    old, new = (_text(name, versions, number) for number in (a, b))
    lines = list(
        unified_diff(old.splitlines(), new.splitlines(), f"{name} version {a}", f"{name} version {b}", lineterm="")
    )
    gone = sorted(set(prompt_fields(old)) - set(prompt_fields(new)))
    added = sorted(set(prompt_fields(new)) - set(prompt_fields(old)))
    data = {"name": name, "from": a, "to": b, "diff": lines, "fields_gone": gone, "fields_added": added}
    return Answer(data=data, text=_shown(lines, gone, added, is_same=old == new))


def _text(name: str, versions: Sequence[PromptVersion], number: int) -> str:
    found = next((v for v in versions if v.version == number), None)
    if found is None:
        known = ", ".join(str(v.version) for v in versions) or "none"
        raise InvalidInputError(f"prompt {name!r}: it has no version {number}; known: {known}")
    if found.text is None:
        raise InvalidInputError(f"prompt {name!r}: the text of version {number} was erased, so nothing can be compared")
    return found.text


def _shown(lines: Sequence[str], gone: Sequence[str], added: Sequence[str], *, is_same: bool) -> str:
    if is_same:
        return "the same text"
    shown = [plain(line) for line in lines] or ["the texts differ in line ends only"]
    if gone:
        shown.append(f"fields gone: {', '.join(gone)}")
    if added:
        shown.append(f"fields added: {', '.join(added)}")
    return "\n".join(shown)

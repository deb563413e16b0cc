"""Named prompts are data: plain ``{name}`` fields, no template engine, nothing evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hivefeedback.errors import InvalidInputError, UnknownNameError

__all__ = ["MAX_PROMPT_BYTES", "check_prompt", "prompt_fields", "render"]

MAX_PROMPT_BYTES = 256 * 1024
_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BRACES = re.compile(r"[{}]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def prompt_fields(text: str) -> tuple[str, ...]:
    """Names of the fields of a prompt, in order of appearance, each once.

    >>> prompt_fields("Answer {question} in {tone}, {question}")
    ('question', 'tone')
    """
    return tuple(dict.fromkeys(_FIELD.findall(text)))


def check_prompt(name: str, text: str) -> None:
    """Refuse a prompt text that is not plain text with ``{name}`` fields.

    Raises:
        InvalidInputError: Braces that are no field (``{}``, ``{0}``, ``{a.b}``, ``{{``), control
            characters, or more than 256 KiB.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"prompt {name!r} is {type(text).__name__}; expected a text")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PROMPT_BYTES:
        raise InvalidInputError(f"prompt {name!r} is longer than {MAX_PROMPT_BYTES // 1024} KiB; shorten it")
    stray = _BRACES.search(_FIELD.sub("", text))
    if stray:
        raise InvalidInputError(
            f"prompt {name!r} has a brace that is no {{field}}; only names such as {{question}} may stand in braces"
        )
    if _CONTROL.search(text):
        raise InvalidInputError(f"prompt {name!r} holds a control character; remove it")


def render(name: str, prompts: Mapping[str, str], fields: Mapping[str, object]) -> str:
    """Replace each ``{field}`` of the named prompt; values are inserted as they are, once.

    Raises:
        UnknownNameError: No such prompt, or a field without a value.

    >>> render("p", {"p": "Hi {who}"}, {"who": "{who}"})
    'Hi {who}'
    """
    text = prompts.get(name)
    if text is None:
        raise UnknownNameError("prompt", name, list(prompts))

    missing = [field for field in prompt_fields(text) if field not in fields]
    if missing:
        sentence = f"prompt {name!r} needs {', '.join(missing)}; given: {', '.join(sorted(fields)) or 'none'}"
        raise UnknownNameError("prompt", name, list(fields), sentence=sentence)
    return _FIELD.sub(lambda match: str(fields[match.group(1)]), text)

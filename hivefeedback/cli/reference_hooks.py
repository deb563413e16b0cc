"""The reference of the hooks, from the docstrings of their specs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

from hivefeedback.hooks import Plugin, specs

__all__ = ["hooks_reference", "markdown_of"]

_SECTION: Final = re.compile(r"^(Args|Returns|Raises):$")
_ITEM: Final = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


def hooks_reference() -> str:
    """Every hook in calling order: signature, thread, frequency, arguments, answer."""
    hooks = {n: f for n, f in vars(specs).items() if n.startswith("hive_") and inspect.isfunction(f)}
    parts = ["# Hooks", markdown_of(inspect.getdoc(specs) or ""), _example()]
    for name, hook in hooks.items():
        signature = str(inspect.signature(hook)).replace("'", "")  # annotations are kept as texts
        parts += [f"## `{name}`", f"```python\ndef {name}{signature}\n```"]
        parts.append(markdown_of(inspect.getdoc(hook) or ""))
    return "\n\n".join(part.strip() for part in parts)


def _example() -> str:
    return (
        f"A plugin is a class that may inherit `hivefeedback.{Plugin.__name__}`, whose methods carry `@hookimpl`; it "
        "comes in by an entry point of the group `hivefeedback`, or as `FeedbackLoop(plugins=[...])`."
    )


def markdown_of(docstring: str) -> str:
    """A docstring with its sections as lists."""
    return "\n".join(_lines(docstring)).replace("``", "`")


def _lines(docstring: str) -> Iterator[str]:
    is_list = False
    for line in docstring.splitlines():
        section, item = _SECTION.match(line), _ITEM.match(line)
        if section:
            is_list = section[1] != "Returns"
            yield f"**{section[1]}**\n"
        elif item and is_list:
            yield f"- `{item[1]}`: {item[2]}"
        elif line.startswith("    "):
            yield ("  " if is_list else "") + line.strip()
        else:
            yield line

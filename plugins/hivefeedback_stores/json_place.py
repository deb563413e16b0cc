"""Where in a JSON text something lies, for messages about mistakes made by hand."""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder

__all__ = ["line_and_column", "offset_of", "syntax_error"]

_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|(\[\.\.\.\])")
_SPACE = re.compile(r"[ \t\n\r]*")
_decoder = JSONDecoder()


def line_and_column(text: str, offset: int) -> str:
    """An offset as people count.

    >>> line_and_column("ab\\ncd", 4)
    'line 2, column 2'
    """
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def syntax_error(text: str) -> tuple[str, int] | None:
    """What is wrong with a text that is no JSON, and where; None where it is JSON."""
    try:
        _, end = _decoder.raw_decode(text, _skip(text, 0))
    except JSONDecodeError as error:
        return error.msg, error.pos
    end = _skip(text, end)
    return ("Extra data", end) if end < len(text) else None


def offset_of(text: str, path: str) -> int:
    """Where the value of a path (``$.cells[3].start_s``) begins in a valid JSON text; where a step is
    missing or not named (``[...]``), the value that should hold it.

    >>> offset_of('{"a": [1, {"b": 2}]}', "$.a[1].b")
    16
    """
    at = _skip(text, 0)
    for name, index, unnamed in _STEP.findall(path):
        found = None if unnamed else _member(text, at, name) if name else _item(text, at, int(index))
        if found is None:
            return at
        at = found
    return at


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _after(text: str, at: int) -> int:
    """Behind the value that begins here, and the space after it."""
    return _skip(text, _decoder.raw_decode(text, at)[1])


def _member(text: str, at: int, name: str) -> int | None:
    if text[at] != "{":
        return None
    while text[at] in "{,":
        at = _skip(text, at + 1)
        if text[at] == "}":
            return None
        key = _decoder.raw_decode(text, at)[0]
        at = _skip(text, _after(text, at) + 1)
        if key == name:
            return at
        at = _after(text, at)
    return None


def _item(text: str, at: int, index: int) -> int | None:
    if text[at] != "[":
        return None
    while text[at] in "[,":
        at = _skip(text, at + 1)
        if text[at] == "]":
            return None
        if index == 0:
            return at
        index -= 1
        at = _after(text, at)
    return None

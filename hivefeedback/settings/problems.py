"""What pydantic found wrong with a setting, in our words: its name, its value, what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from hivefeedback.model import shown_url

__all__ = ["problems_of"]

_NUMBER: Final = "a number"
_WHOLE: Final = "a whole number"
_TRUTH: Final = "true or false"
_MAPPING: Final = "a mapping, such as {name: value}"
_LIST: Final = "a list, such as [a, b]"
_TEXT: Final = "a text"
_KINDS: Final[Mapping[str, str]] = {
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": _WHOLE,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "string_type": _TEXT,
    "string_too_short": "a text that is not empty",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}
_BOUNDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda ctx: f"a number above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"a number from {ctx['ge']:g} up",
    "less_than": lambda ctx: f"a number below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"a number of at most {ctx['le']:g}",
    "too_short": lambda ctx: f"at least {ctx['min_length']} of them",
    "too_long": lambda ctx: f"at most {ctx['max_length']} of them",
    "literal_error": lambda ctx: f"{ctx['expected']}",
}
_NAMED: Final = ("DeploymentEntry", "AdapterEntry", "StageEntry")
"""Entries of which the name alone is enough."""
_FOREIGN: Final = re.compile(r"^(?:Input|Value) should (?:be|have) ")


def problems_of(error: ValidationError) -> list[str]:
    """A sentence for each thing that is wrong."""
    return [_sentence({**problem}) for problem in error.errors()]


def _sentence(problem: Mapping[str, Any]) -> str:
    name = ".".join(str(p) for p in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"setting {name!r} is not known; 'hivefeedback docs settings' lists them all"
    if problem["type"] == "missing":
        return f"setting {name!r} is missing; it has no default"
    if not name:  # about several together; the input is then all there is, with passwords in URLs
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"setting {name!r} is {shown_url(repr(problem.get('input'))):.200}; {_expected(problem)}"


def _expected(problem: Mapping[str, Any]) -> str:
    kind, ctx = problem["type"], problem.get("ctx", {})
    if ctx.get("class_name") in _NAMED:
        return f"expected a name, or {_MAPPING}"
    if kind in _KINDS:
        return f"expected {_KINDS[kind]}"
    if kind in _BOUNDS:
        return f"expected {_BOUNDS[kind](ctx)}"
    if kind == "value_error":  # a sentence of our own
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"expected {_FOREIGN.sub('', problem['msg'])}"

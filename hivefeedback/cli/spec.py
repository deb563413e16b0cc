"""Commands as descriptions, from which the parser is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hivefeedback.cli.answer import Answer

if TYPE_CHECKING:
    from hivefeedback.cli.call import Call

__all__ = ["Arg", "Spec", "arg"]


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument: its flags (or its name, where it is positional) and what argparse is told of it."""

    flags: tuple[str, ...]
    options: Mapping[str, Any]


def arg(*flags: str, **options: Any) -> Arg:
    """An argument, written as for ``argparse.ArgumentParser.add_argument``."""
    return Arg(flags, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One command.

    Args:
        name: What is typed.
        help: One line, shown in the list of commands.
        run: Does it; None for a group.
        arguments: What it takes beside the global options.
        children: Commands of a group.
        details: Shown below the options: examples, values; a function is called when the help is asked for.
        takes_rest: Everything behind the name is handed on unparsed, as ``call.rest``.
        writes_as_it_goes: It writes its answer itself, line by line.
    """

    name: str
    help: str
    run: Callable[[Call], Answer] | None = None
    arguments: tuple[Arg, ...] = ()
    children: tuple[Spec, ...] = field(default=())
    details: str | Callable[[], str] = ""
    takes_rest: bool = False
    writes_as_it_goes: bool = False

"""Builds the parser from the descriptions of the commands."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from hivefeedback.cli.spec import Arg, Spec, arg
from hivefeedback.errors import InvalidInputError

__all__ = ["build", "command_index", "parsed"]

_GLOBAL = (
    arg(
        "--store",
        metavar="URL",
        help="such as sqlite:///hive.db; default: HIVEFEEDBACK_STORE, else hive.db in the user's data folder",
    ),
    arg(
        "--config",
        metavar="FILE",
        help="a hivefeedback.yaml; default: HIVEFEEDBACK_CONFIG, else the one in the working directory",
    ),
    arg("--json", action="store_true", help="answer with one JSON document, for programs"),
    arg("-v", "--verbose", action="count", help="say more on standard error, and where an error came from"),
)
_GLOBAL_AGAIN = tuple(arg(*one.flags, **{**one.options, "default": argparse.SUPPRESS}) for one in _GLOBAL)
"""The same behind a command, where they must not reset what stood before it."""
_DEFAULTS = {"store": None, "config": None, "json": False, "verbose": 0}
_WITH_VALUE = ("--store", "--config")
_SECOND_COLUMN = 16
_EXITS = "exit codes: 0 done, 1 failed, 2 wrong use, 3 store unreachable, 4 refused by a gate or a mode"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others: one line, and what to do."""

    details: str | Callable[[], str] = ""

    def format_help(self) -> str:
        """The help, with what a command says of itself only now."""
        if self.details:
            self.epilog = _filled(self.details if isinstance(self.details, str) else self.details())
        self.description = _filled(self.description or "")
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise InvalidInputError(f"{message}; see: {self.prog} --help")


def build(specs: Iterable[Spec]) -> argparse.ArgumentParser:
    """The parser of all commands; global options may stand before or behind the command."""
    parser = _Parser(
        prog="hivefeedback",
        description="Looks into a feedback loop and steers it.",
        epilog=_EXITS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    _add_arguments(parser, _GLOBAL)
    parser.set_defaults(spec=None, **_DEFAULTS)
    _add_commands(parser, specs)
    return parser


def _filled(text: str) -> str:
    """Each line broken where argparse breaks the rest; one of a list goes on below its second column."""
    wide = shutil.get_terminal_size().columns - 2
    hanging = " " * _SECOND_COLUMN
    lines = text.splitlines()
    return "\n".join(textwrap.fill(x, wide, subsequent_indent=hanging if x[:1] == " " else "") for x in lines)


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The arguments; what is too much is told with the command that does not take it.

    Raises:
        InvalidInputError: They are wrong; the sentence says whose help has more.
    """
    args, rest = parser.parse_known_args(words)
    if rest:
        whose = args.group.prog if args.spec is None and "group" in args else getattr(args, "command", parser.prog)
        raise InvalidInputError(f"unrecognized arguments: {' '.join(rest)}; see: {whose} --help")
    return args


def _add_commands(parser: _Parser, specs: Iterable[Spec]) -> None:
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for spec in specs:
        child = commands.add_parser(
            spec.name,
            help=spec.help,
            description=spec.help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        child.details = spec.details
        _add_arguments(child, spec.arguments)
        _add_arguments(child.add_argument_group("global options"), _GLOBAL_AGAIN)
        if spec.children:
            child.set_defaults(group=child, children=[inner.name for inner in spec.children])
            _add_commands(child, spec.children)
        else:
            child.set_defaults(spec=spec, command=child.prog)


def _add_arguments(parser: Any, arguments: Sequence[Arg]) -> None:
    """``parser``: a parser or a group of one, which share no public base class."""
    for one in arguments:
        parser.add_argument(*one.flags, **one.options)


def command_index(argv: Sequence[str]) -> int | None:
    """Where the command's name stands among the arguments; None where there is none.

    >>> command_index(["--store", "x", "-v", "stats", "--json"])
    3
    """
    is_value = False
    for index, word in enumerate(argv):
        if is_value:
            is_value = False
        elif word in _WITH_VALUE:
            is_value = True
        elif not word.startswith("-"):
            return index
    return None

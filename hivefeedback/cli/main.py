"""Runs the ``hivefeedback`` command: parse, do, answer, and one line for whatever went wrong."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from importlib.metadata import version

from hivefeedback.cli.answer import Answer, as_document
from hivefeedback.cli.call import Call
from hivefeedback.cli.commands.all import SPECS
from hivefeedback.cli.console import error_line, logged, out, progress, say, tolerant
from hivefeedback.cli.exits import DONE, FAILED, INTERRUPTED, WRONG_USE, code_of
from hivefeedback.cli.parser import build, command_index, parsed
from hivefeedback.cli.spec import Spec
from hivefeedback.errors import HiveFeedbackError, InvalidInputError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None, *, clock: Callable[[], float] = time.time) -> int:
    """Run one command; answers its exit code and never raises.

    Args:
        argv: The arguments; default: those of the process.
        clock: Seconds since 1970 UTC.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    tolerant(sys.stdout)
    tolerant(sys.stderr)
    try:
        return _run(words, clock)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _hush()
        return DONE
    except SystemExit as end:  # argparse has said what was wrong, or has printed the help
        return end.code if isinstance(end.code, int) else FAILED


def _run(words: list[str], clock: Callable[[], float]) -> int:
    is_json, is_verbose = "--json" in words, any(w in ("-v", "-vv", "--verbose") for w in words)
    try:
        _check_text(words)
        call, spec = _parsed(words, clock)
        if spec is None:
            return _without_command(call.args)
        with logged(call.args.verbose):
            return _answered(call, spec)
    except HiveFeedbackError as error:
        return _failed(str(error), code_of(error), is_json, is_verbose)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _failed(f"{what}; check the path and its rights", FAILED, is_json, is_verbose)
    except Exception as error:  # noqa: BLE001  # the border of a command, as an HTTP handler is one of a request
        what = f"{type(error).__name__}: {error}"
        return _failed(f"{what}; a fault of hivefeedback or of a plugin, -v shows where", FAILED, is_json, is_verbose)


def _parsed(words: list[str], clock: Callable[[], float]) -> tuple[Call, Spec | None]:
    """The call and its command; plugins are only loaded where the command is none of ours."""
    specs = {spec.name: spec for spec in SPECS}
    at = command_index(words)
    name = words[at] if at is not None else ""
    if at is not None and name in specs and specs[name].takes_rest:
        args = parsed(build(SPECS), words[:at])
        return Call(args, words[at + 1 :], clock=clock), specs[name]
    if name not in specs and "--version" not in words:
        specs = {**_of_plugins(words[:at]), **specs}
        if near := get_close_matches(name, specs, n=1, cutoff=0.7) if name not in specs else ():
            raise InvalidInputError(
                f"command {name!r} is not known; did you mean {near[0]!r}? see: hivefeedback --help"
            )
    args = parsed(build(specs.values()), words)
    if args.spec is None and "group" in args:
        if args.json:
            raise InvalidInputError(_which(args.group.prog, args.children))
        args.group.print_help(sys.stderr)
        raise SystemExit(WRONG_USE)
    return Call(args, clock=clock), args.spec


def _of_plugins(words: list[str]) -> dict[str, Spec]:
    from hivefeedback.cli.plugin_commands import plugin_specs

    args, _ = build(()).parse_known_args([w for w in words if w not in ("-h", "--help")])
    return {spec.name: spec for spec in plugin_specs(Call(args))}


def _without_command(args: argparse.Namespace) -> int:
    if args.version:
        text = version("hivefeedback")
        out(as_document({"version": text}) if args.json else f"hivefeedback {text}")
        return DONE
    if args.json:
        raise InvalidInputError(_which("hivefeedback", [spec.name for spec in SPECS]))
    build(SPECS).print_help(sys.stderr)
    return WRONG_USE


def _which(prog: str, names: Iterable[str]) -> str:
    """For programs, which cannot read a help."""
    return f"{prog} needs one of its commands: {', '.join(names)}; see: {prog} --help"


def _answered(call: Call, spec: Spec) -> int:
    assert spec.run is not None  # a group without a command was refused before
    if spec.takes_rest or spec.writes_as_it_goes:
        return spec.run(call).code
    with progress(call.args.command):
        answer = spec.run(call)
    _print(call, answer)
    return answer.code


def _print(call: Call, answer: Answer) -> None:
    if call.is_json:
        store: dict[str, object] = {"store": call.store_url} if call.store_url else {}
        if call.has_made_store:
            store["is_new_store"] = True
        if answer.data or store:
            out(as_document({**store, **answer.data}))
        return
    if answer.remark:
        say(answer.remark)
    if answer.text:
        out(answer.text)


def _failed(message: str, code: int, is_json: bool, is_verbose: bool) -> int:
    if is_verbose:
        traceback.print_exc()
    say(error_line(message))
    if is_json:
        out(as_document({"error": message, "exit_code": code}))
    return code


def _check_text(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"argument {word!r} is no text in UTF-8; write it in the terminal's encoding"
            ) from error


def _hush() -> None:
    """Nobody reads on: let the interpreter's last flush go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # standard output is no file, so nothing is flushed at exit
        return

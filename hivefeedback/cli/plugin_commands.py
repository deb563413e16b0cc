"""Commands that plugins bring."""

from __future__ import annotations

import traceback
from typing import Any, Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Arg, Spec, arg
from hivefeedback.errors import HiveFeedbackError, PluginError
from hivefeedback.hooks import Argument, Command

__all__ = ["plugin_specs"]

_TYPES: Final[dict[str, type]] = {"str": str, "int": int, "float": float}


def plugin_specs(call: Call) -> list[Spec]:
    """The commands of the installed plugins, as descriptions of ours."""
    from hivefeedback.cli.reader import make_registry

    registry = make_registry(call.settings)
    try:
        return [_spec(command) for command in registry.commands]
    finally:
        registry.close()


def _spec(command: Command) -> Spec:
    def run(call: Call) -> Answer:
        url = call.use_store()
        values = {_name(a): getattr(call.args, _name(a)) for a in command.arguments}
        return Answer(code=_called(command, url, values, is_verbose=bool(call.args.verbose)))

    help_text = _literal(command.help)
    return Spec(name=command.name, help=help_text, run=run, arguments=tuple(map(_argument, command.arguments)))


def _called(command: Command, url: str, values: dict[str, Any], *, is_verbose: bool) -> int:
    try:
        return int(command.run(url, **values))
    except HiveFeedbackError:
        raise
    except Exception as error:  # the plugin guard: a command of a stranger may raise anything
        if is_verbose:
            traceback.print_exc()
        raise PluginError(
            f"command {command.name!r} failed: {type(error).__name__}: {error}; it belongs to a plugin"
        ) from error


def _name(argument: Argument) -> str:
    return argument.name.lstrip("-").replace("-", "_")


def _literal(text: str) -> str:
    """Help text in which argparse replaces nothing."""
    return text.replace("%", "%%")


def _argument(argument: Argument) -> Arg:
    options: dict[str, Any] = {"help": _literal(argument.help), "default": argument.default}
    if argument.type == "bool":
        return arg(f"--{argument.name.lstrip('-')}", action="store_true", help=options["help"])
    options["type"] = _TYPES.get(argument.type, str)
    if not argument.name.startswith("-") and argument.default is not None:
        options["nargs"] = "?"
    return arg(argument.name, **options)

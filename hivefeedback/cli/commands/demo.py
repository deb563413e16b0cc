"""``hivefeedback demo``: the whole loop on real input, within about a minute."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec
from hivefeedback.errors import MissingExtraError

__all__ = ["SPEC"]

_ROOM: Final = "hivefeedback_demo"


def run(call: Call) -> Answer:
    """Hand over to the demo, which reads its own arguments."""
    store = ["--store", call.args.store] if call.args.store else []
    words = [*store, *(["--json"] if call.is_json else []), *call.rest]
    try:
        return Answer(code=int(import_module(_ROOM).main(words)))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hivefeedback"):
            raise
        raise MissingExtraError(f"the demo (module {error.name!r} is not installed)", "demo") from error


SPEC: Final = Spec(
    name="demo", help="close the loop on real input, about 60 seconds; demo --help lists its options",
    run=run, takes_rest=True,
)  # fmt: skip

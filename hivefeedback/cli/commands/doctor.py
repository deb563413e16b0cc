"""``hivefeedback doctor``: is everything as it should be, and where does each setting come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.checks import Check, check_environment, check_plugins, check_settings
from hivefeedback.cli.checks_store import check_store
from hivefeedback.cli.checks_system import check_system
from hivefeedback.cli.exits import DONE, FAILED, code_of
from hivefeedback.cli.spec import Spec
from hivefeedback.cli.words import plain
from hivefeedback.errors import ConfigurationError, HiveFeedbackError

__all__ = ["SPEC"]


def run(call: Call) -> Answer:
    """Check one thing after the other; what is wrong stops none of the others."""
    checks = list(_checks(call))
    wrong = [c for c in checks if c.state == "wrong"]
    code = next((c.code for c in wrong if c.code), FAILED) if wrong else DONE
    summary = f"{len(wrong)} of {len(checks)} checks found something wrong" if wrong else "nothing is wrong"
    wide = max(len(c.name) for c in checks)
    lines = [f"{c.state:<5}  {c.name:<{wide}}  {' '.join(c.detail.split())}" for c in checks]
    text = plain("\n".join([*lines, summary]), is_block=True)
    data = {"is_ok": not wrong, "checks": [{k: v for k, v in asdict(c).items() if k != "code"} for c in checks]}
    return Answer(data=data, text=text, code=code)


def _checks(call: Call) -> Iterator[Check]:
    yield from check_environment(call.clock())
    try:
        settings = call.settings
    except ConfigurationError as error:
        yield Check("settings", "wrong", str(error), code=FAILED)
        return
    yield from check_settings(settings, call.args)
    url = call.use_store()
    try:
        yield from check_plugins(settings)
    except HiveFeedbackError as error:
        yield Check("plugins", "wrong", str(error), code=FAILED)
        return
    yield check_system(settings, call.clock())
    try:
        yield from check_store(settings, url, call.clock)
    except HiveFeedbackError as error:
        yield Check("store", "wrong", str(error), code=code_of(error))


SPEC: Final = Spec(
    name="doctor",
    help="check the installation, the settings, the store and the plugins",
    run=run,
    details="Exit code 1 where something is wrong, 3 where the store cannot be reached. Nothing is changed.",
)

"""``hivefeedback insights``: what to worry about, what is worth knowing, what money buys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.exits import DONE, FAILED
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.window import OPERATION, WINDOW, covered
from hivefeedback.cli.words import plain

if TYPE_CHECKING:
    from hivefeedback.queries import Insights

__all__ = ["SPEC"]


_NO_WARNING: Final = "no warnings of success, response time and rating; the turn looks for what else got worse"


def run(call: Call) -> Answer:
    """Read the window and look."""
    from hivefeedback.queries import InsightLimits, insights
    from hivefeedback.settings import insight_limits

    args = call.args
    with call.reader() as reader:
        limits = InsightLimits(**insight_limits(call.settings.thresholds))
        found = insights(reader.basis(args.window), operation=args.operation, limits=limits)
    return Answer(
        data={"window_s": args.window, **plain_data(found)}, text=_text(found), code=_code(found, args.fail_on)
    )


def _text(found: Insights) -> str:
    lines = [f"{i.severity}: {i.message}" for i in found.warnings] or [_NO_WARNING]
    lines += [i.message for i in found.remarks]
    if found.cost_benefit:
        lines += ["what money buys, the cheapest success first:", *(f"  {c.message}" for c in found.cost_benefit)]
    return "\n".join([*map(plain, lines), covered(found.coverage)])


def _code(found: Insights, fail_on: str | None) -> int:
    severities = {"warning": ("warning", "critical"), "critical": ("critical",)}.get(fail_on or "", ())
    return FAILED if any(i.severity in severities for i in found.warnings) else DONE


SPEC: Final = Spec(
    name="insights",
    help="show warnings, remarks, and cost against benefit",
    run=run,
    arguments=(
        OPERATION,
        WINDOW,
        arg("--fail-on", choices=("warning", "critical"), help="exit with 1 where there is such a one, for scripts"),
    ),
)

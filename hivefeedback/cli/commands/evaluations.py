"""``hivefeedback evaluations``: how deployments were judged, strengths, weaknesses, and what could be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.window import OPERATION, WINDOW, covered
from hivefeedback.cli.words import count, plain

if TYPE_CHECKING:
    from hivefeedback.queries import Evaluation, Evaluations

__all__ = ["SPEC"]

_COLUMNS: Final = (
    Column("deployment"),
    Column("operation"),
    Column("runs", is_number=True, rank=2),
    Column("judgement"),
    Column("n", is_number=True),
    Column("mean", "0-1", is_number=True),
    Column("95 %", "interval", is_number=True, rank=1),
    Column("", rank=3),
)


def run(call: Call) -> Answer:
    """Read the window and evaluate."""
    from hivefeedback.queries import InsightLimits, evaluations
    from hivefeedback.settings import insight_limits

    args = call.args
    with call.reader() as reader:
        limits = InsightLimits(**insight_limits(call.settings.thresholds))
        basis = reader.basis(args.window)
        found = evaluations(basis, deployment=args.deployment, operation=args.operation, limits=limits)
    return Answer(data={"window_s": args.window, **plain_data(found)}, text=_text(found))


def _text(found: Evaluations) -> str:
    rows = [row for evaluation in found for row in _rows(evaluation)]
    if not rows:
        return "\n".join(["nobody judged a run in this window", covered(found.coverage)])
    suggestions = [plain(words) for evaluation in found for words in evaluation.suggestions]
    lines = [table(_COLUMNS, rows, width=console.width()), *suggestions, covered(found.coverage)]
    return "\n".join(lines)


def _rows(e: Evaluation) -> list[list[str]]:
    return [
        [
            e.deployment,
            e.operation,
            count(e.n_runs),
            j.name,
            count(j.n),
            f"{j.mean:.2f}",
            f"{j.interval.low:.2f}-{j.interval.high:.2f}",
            j.verdict,
        ]
        for j in e.judgements
    ]


SPEC: Final = Spec(
    name="evaluations",
    help="show how deployments were judged, and what could be done about it",
    run=run,
    arguments=(
        arg("deployment", nargs="?", metavar="ID", help="only this one; it is still compared with the others"),
        OPERATION,
        WINDOW,
    ),
    details="Strengths and weaknesses are beyond chance, adjusted for everything that is compared.",
)

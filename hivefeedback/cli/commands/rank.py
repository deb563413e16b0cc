"""``hivefeedback rank``: deployments in the order of a ranker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.window import CANDIDATE, OPERATION, WINDOW, covered
from hivefeedback.cli.words import count

if TYPE_CHECKING:
    from hivefeedback.queries import Ranks

__all__ = ["SPEC"]

_COLUMNS: Final = (
    Column("place", is_number=True),
    Column("deployment"),
    Column("score", "0-100", is_number=True),
    Column("runs", is_number=True, rank=1),
    Column("reason", rank=2),
)


def run(call: Call) -> Answer:
    """Read the window and rank."""
    from hivefeedback.queries import rank

    args = call.args
    with call.reader() as reader:
        found = rank(reader.basis(args.window), by=args.by, operation=args.operation, candidates=args.candidates)
    return Answer(data={"window_s": args.window, **plain_data(found)}, text=_text(found))


def _text(found: Ranks) -> str:
    if not found.rows:
        return "no deployments; add one with: hivefeedback deployments add ID"
    rows = [
        [
            str(row.place),
            row.deployment,
            f"{row.score:.2f}",
            count(row.n_runs),
            row.reason + ("; blacklisted" if row.is_blacklisted else ""),
        ]
        for row in found
    ]
    return "\n".join([table(_COLUMNS, rows, width=console.width()), covered(found.coverage)])


SPEC: Final = Spec(
    name="rank",
    help="order deployments by a ranker, with the reasons",
    run=run,
    arguments=(
        arg("--by", default="adaptive", metavar="RANKER", help="adaptive, balanced, speed, quality, … (adaptive)"),
        CANDIDATE,
        OPERATION,
        WINDOW,
    ),
    details="--json shows what each score is made of.",
)

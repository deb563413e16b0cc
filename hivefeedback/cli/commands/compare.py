"""``hivefeedback compare``: deployments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.window import OPERATION, WINDOW, covered
from hivefeedback.cli.words import amount, count, percent

if TYPE_CHECKING:
    from hivefeedback.queries import Comparison, ComparisonRow, Ranking

__all__ = ["SPEC"]

_COLUMNS: Final = (
    Column("deployment"),
    Column("runs", is_number=True),
    Column("success", "%", is_number=True),
    Column("95 %", "interval", is_number=True, rank=3),
    Column("mean", "s", is_number=True),
    Column("p95", "s", is_number=True, rank=4),
    Column("quality", "%", is_number=True, rank=1),
    Column("accuracy", "%", is_number=True, rank=5),
    Column("cost", "USD/run", is_number=True, rank=2),
    Column("tokens", "per s", is_number=True, rank=6),
    Column("overall", "0-100", is_number=True),
)


def run(call: Call) -> Answer:
    """Read the window and compare."""
    from hivefeedback.queries import compare

    with call.reader() as reader:
        found = compare(
            reader.basis(call.args.window), deployments=call.args.deployments or None, operation=call.args.operation
        )
    return Answer(data={"window_s": call.args.window, **plain_data(found)}, text=_text(found))


def _text(found: Comparison) -> str:
    if not found.rows:
        return "no deployments; add one with: hivefeedback deployments add ID"
    rows = table(_COLUMNS, [_row(row) for row in found], width=console.width())
    return "\n".join([rows, *map(_ranking, found.rankings.values()), covered(found.coverage)])


def _row(row: ComparisonRow) -> list[str]:
    values = row.values
    success = row.intervals.get("success_rate")
    return [
        row.deployment,
        count(row.n_runs),
        percent(values.get("success_rate")),
        "-" if success is None else f"{100 * success.low:.1f}-{100 * success.high:.1f}",
        amount(values.get("mean_duration_s")),
        amount(values.get("p95_s")),
        percent(values.get("quality")),
        percent(values.get("accuracy")),
        amount(values.get("mean_cost_usd")),
        amount(values.get("tokens_per_s")),
        "-" if row.score is None else f"{row.score:.1f}",
    ]


def _ranking(ranking: Ranking) -> str:
    name = ranking.name.replace("_", " ")
    line = f"{name}: {ranking.deployment}"
    if len(ranking.order) < 2:
        return f"{line} (the only one that it is known of)"
    line += f" before {ranking.order[1]}"
    if ranking.p_value is None:
        return line
    word = "more than chance" if ranking.is_significant else "may be chance"
    return f"{line}, {word} (p {_p_value(ranking.p_value)})"


def _p_value(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


SPEC: Final = Spec(
    name="compare",
    help="compare deployments: fastest, most reliable, best overall",
    run=run,
    arguments=(
        arg("deployments", nargs="*", metavar="ID", help="which ones; default: all in service or seen in the window"),
        OPERATION,
        WINDOW,
    ),
    details="p is the chance of such a difference if there were none, adjusted for all that are tested.",
)

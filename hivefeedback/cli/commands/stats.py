"""``hivefeedback stats``: how deployments, operations or agents do."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.window import OPERATION, WINDOW, covered
from hivefeedback.cli.words import amount, clock_time, count, percent

if TYPE_CHECKING:
    from hivefeedback.queries import StatRow, Stats

__all__ = ["SPEC"]

_NUMBERS: Final = (
    Column("runs", is_number=True),
    Column("failed", is_number=True, rank=3),
    Column("success", "%", is_number=True),
    Column("quality", "%", is_number=True),
    Column("reward", "%", is_number=True, rank=5),
    Column("mean", "s", is_number=True, rank=4),
    Column("p50", "s", is_number=True, rank=6),
    Column("p95", "s", is_number=True, rank=1),
    Column("ttft", "s", is_number=True, rank=8),
    Column("cost", "USD", is_number=True, rank=1),
    Column("tokens", "mean", is_number=True, rank=2),
    Column("awaiting", "runs", is_number=True, rank=7),
)


class _Extra(NamedTuple):
    """A column that is shown where something is known of it."""

    name: str
    column: Column
    shown: Callable[[float | None], str]


def _until(at_s: float | None) -> str:
    return "-" if at_s is None else clock_time(at_s)


_WHERE_KNOWN: Final = (
    _Extra("accuracy", Column("accuracy", "%", is_number=True, rank=3), percent),
    _Extra("rating", Column("rating", "1-5", is_number=True, rank=3), amount),
    _Extra("blacklisted_until_s", Column("blacklisted", "until", rank=2), _until),
)
_CSV: Final = (
    "n_runs", "failures", "success_rate", "quality", "reward", "mean_duration_s", "p50_s", "p95_s", "ttft_s",
    "cost_usd", "mean_tokens", "n_judged", "n_awaiting", "mean_last_100_s", "tokens_per_s", "memory_mb", "rating",
    "total_queries", "successful_queries", "accuracy", "blacklisted_until_s",
)  # fmt: skip


def run(call: Call) -> Answer:
    """Read the window and show it."""
    from hivefeedback.queries import stats_of

    args = call.args
    by = tuple(part.strip() for part in args.by.split(",") if part.strip())
    call.args.json = args.json or args.format == "json"
    with call.reader() as reader:
        basis = reader.basis(args.window)
    stats = stats_of(basis.view, operation=args.operation, by=by, shut=basis.shut)
    if args.format == "csv":
        return Answer(data=_data(stats, call, by), text=_as_csv(stats, by), remark=covered(stats.coverage))
    return Answer(data=_data(stats, call, by), text=_as_table(stats, by))


def _data(stats: Stats, call: Call, by: Sequence[str]) -> dict[str, object]:
    rows = [{k: v for k, v in plain_data(row).items() if k != "coverage"} for row in stats]
    return {
        "window_s": call.args.window,
        "operation": call.args.operation,
        "by": list(by),
        "coverage": plain_data(stats.coverage),
        "rows": rows,
    }


def _as_table(stats: Stats, by: Sequence[str]) -> str:
    known = [c for c in _WHERE_KNOWN if any(getattr(row, c.name) is not None for row in stats)]
    columns = [*(Column(part) for part in by), *_NUMBERS, *(c.column for c in known)]
    rows = [
        [*(getattr(row, part) or "-" for part in by), *_numbers(row), *(c.shown(getattr(row, c.name)) for c in known)]
        for row in stats
    ]
    shown = [table(columns, rows, width=console.width())] if rows else []
    return "\n".join([*shown, covered(stats.coverage)])


def _numbers(row: StatRow) -> list[str]:
    return [
        count(row.n_runs),
        count(row.failures),
        percent(row.success_rate),
        percent(row.quality),
        percent(row.reward),
        amount(row.mean_duration_s),
        amount(row.p50_s),
        amount(row.p95_s),
        amount(row.ttft_s),
        amount(row.cost_usd),
        amount(row.mean_tokens),
        count(row.n_awaiting),
    ]


def _as_csv(stats: Stats, by: Sequence[str]) -> str:
    """Comma-separated values with a header; nothing where nothing is known."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([*by, *_CSV])
    for row in stats:
        writer.writerow([getattr(row, name) for name in (*by, *_CSV)])
    return sink.getvalue().rstrip("\n")


SPEC: Final = Spec(
    name="stats",
    help="show runs, success, quality, time and cost",
    run=run,
    arguments=(
        WINDOW,
        OPERATION,
        arg("--by", default="deployment", metavar="PARTS", help="of deployment, operation, agent; with commas between"),
        arg("--format", choices=("table", "json", "csv"), default="table", help="how to show it (table)"),
    ),
    details="success: calls that did not fail; quality: mean of feedback and scores; reward: mean of what was learnt; "
    "accuracy: queries that were right. Columns that find no room are left out; --json and --format csv show all.",
)

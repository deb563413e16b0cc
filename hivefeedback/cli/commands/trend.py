"""``hivefeedback trend``: one metric over time, as a plot, a table for programs, or CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.bars import bar, scale_of
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.window import OPERATION, WINDOW, covered
from hivefeedback.cli.words import amount, clock_time, count, duration_s, percent

if TYPE_CHECKING:
    from hivefeedback.queries import Trend, TrendPoint

__all__ = ["SPEC"]

_WIDTH: Final = 80
_NARROWEST: Final = 10


def run(call: Call) -> Answer:
    """Read the window and plot."""
    from hivefeedback.queries import trend

    args = call.args
    args.json = args.json or args.format == "json"
    with call.reader() as reader:
        found = trend(
            reader.basis(args.window),
            metric=args.metric,
            bucket_s=args.bucket,
            deployment=args.deployment,
            operation=args.operation,
        )
    data = {"window_s": args.window, **plain_data(found)}
    if args.format == "csv":
        remark = "; ".join(part for part in (found.remark, covered(found.coverage)) if part)
        return Answer(data=data, text=_as_csv(found), remark=remark)
    return Answer(data=data, text=_as_plot(found))


def _as_plot(found: Trend) -> str:
    """One line for each bucket: when it begins, the value, a bar, and how many are behind it."""
    values = [_shown(point, found.unit) for point in found]
    wide = max(map(len, values), default=0)
    most = scale_of([point.value for point in found], found.unit)
    room = max(_NARROWEST, (console.width() or _WIDTH) - wide - len("2026-01-31 12:00:00") - 16)
    lines = [
        f"{clock_time(point.from_s)}  {value:>{wide}}  {bar(point.value, most, room):<{room}}  {count(point.n):>7}"
        for point, value in zip(found, values, strict=True)
    ]
    unit = "%" if found.unit == "0-1" else found.unit
    of = found.deployment or "all deployments"
    head = f"{found.metric} in {unit} of {of}, buckets of {found.bucket_s} s; at the right the number behind each"
    full = f"a full bar is {percent(most) if found.unit == '0-1' else amount(most)} {unit}"
    return "\n".join(
        [
            head,
            *(line.rstrip() for line in lines),
            full,
            *([found.remark] if found.remark else []),
            covered(found.coverage),
        ]
    )


def _shown(point: TrendPoint, unit: str) -> str:
    return percent(point.value) if unit == "0-1" else amount(point.value)


def _as_csv(found: Trend) -> str:
    """Comma-separated values with a header; nothing where nothing is known."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["from_s", "to_s", found.metric, "low", "high", "n"])
    for point in found:
        interval = point.interval
        low, high = (interval.low, interval.high) if interval is not None else (None, None)
        writer.writerow([point.from_s, point.to_s, point.value, low, high, point.n])
    return sink.getvalue().rstrip("\n")


SPEC: Final = Spec(
    name="trend",
    help="plot a metric over time",
    run=run,
    arguments=(
        arg(
            "metric",
            metavar="METRIC",
            help="success_rate, mean_duration_s, p95_s, quality, rating, mean_cost_usd, …, or the name of a feedback",
        ),
        arg("--deployment", metavar="ID", help="of this one; default: of all together"),
        arg("--bucket", type=duration_s, default=3600.0, metavar="TIME", help="width of a bucket: 5m, 1h, 1d (1h)"),
        OPERATION,
        WINDOW,
        arg("--format", choices=("plot", "json", "csv"), default="plot", help="how to show it (plot)"),
    ),
    details="Minutes are kept for 2 hours, hours for 7 days, days for 400; wider buckets are shown where less is kept.",
)

"""What commands about a window have in common: their arguments, and the line that says what it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli.spec import arg
from hivefeedback.cli.words import clock_time, count, duration_s

if TYPE_CHECKING:
    from hivefeedback.stats import Coverage

__all__ = ["CANDIDATE", "OPERATION", "WINDOW", "covered"]

WINDOW: Final = arg(
    "--window", type=duration_s, default=86400.0, metavar="TIME", help="how far back: 30m, 24h, 7d (24h)"
)
OPERATION: Final = arg("--operation", metavar="PREFIX", help="only this operation and those below it")
CANDIDATE: Final = arg(
    "--candidate",
    dest="candidates",
    action="append",
    metavar="ID",
    help="only among these; may be repeated; default: those that can be drawn for the operation",
)


def covered(coverage: Coverage) -> str:
    """What the numbers rest on, in one line."""
    if not coverage.n_runs:
        return "no finished run in this window"
    return (
        f"{clock_time(coverage.from_s)} to {clock_time(coverage.to_s)} UTC, {count(coverage.n_runs)} runs, "
        f"{count(coverage.n_awaiting)} of them await a judgement, resolution {coverage.resolution_s} s"
    )

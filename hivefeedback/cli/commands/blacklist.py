"""``hivefeedback blacklist``: who is not served after failures in a row."""

from __future__ import annotations

from typing import Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import age, clock_time, count, plain

__all__ = ["SPEC"]

_COLUMNS: Final = (
    Column("deployment"),
    Column("state"),
    Column("failures", "in a row", is_number=True),
    Column("until", "UTC"),
    Column("left", is_number=True, rank=1),
)


def list_blacklist(call: Call) -> Answer:
    """Everything that is shut."""
    from hivefeedback.queries import blacklist

    with call.reader() as reader:
        found, cleared = blacklist(reader.basis(60.0)), reader.cleared()
    rows = [
        [b.deployment, b.state.replace("_", " "), count(b.failures), clock_time(b.until_s), age(b.left_s)]
        for b in found
    ]
    text = table(_COLUMNS, rows, width=console.width()) if rows else "nobody is blacklisted"
    lines = [f"cleared: {c.deployment} at {clock_time(c.at_s)} UTC by {c.by}, {c.why or 'no reason'}" for c in cleared]
    return Answer(
        data={"blacklist": plain_data(found), "cleared": plain_data(cleared)},
        text="\n".join([text, *map(plain, lines)]),
    )


def clear(call: Call) -> Answer:
    """Serve a deployment again before its time is over."""
    name = call.args.deployment_id
    with call.loop(clock=call.clock) as loop:  # a given clock: nothing is left to a thread
        loop.clear_blacklist(name, why=call.args.why, by=call.by)
    return Answer(data={"deployment": name}, text=f"{name!r} is served again")


SPEC: Final = Spec(
    name="blacklist",
    help="list and clear what is not served after failures in a row",
    children=(
        Spec(name="list", help="who is shut, and until when", run=list_blacklist),
        Spec(
            name="clear",
            help="serve a deployment again before its time is over",
            run=clear,
            arguments=(
                arg("deployment_id", metavar="ID"),
                arg("--why", required=True, metavar="TEXT", help="the reason, which is kept"),
                arg("--by", metavar="NAME", help="who does it; default: your login name"),
            ),
            details="Running applications follow within seconds. The count begins anew: three failures shut it again.",
        ),
    ),
)

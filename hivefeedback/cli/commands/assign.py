"""``hivefeedback assign``: a deployment for each of several agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.window import CANDIDATE, OPERATION, WINDOW, covered
from hivefeedback.cli.words import amount, percent
from hivefeedback.errors import InvalidInputError

if TYPE_CHECKING:
    from hivefeedback.queries import Assignments

__all__ = ["SPEC"]

_COLUMNS: Final = (
    Column("agent"),
    Column("deployment"),
    Column("capability", "0-100", is_number=True, rank=2),
    Column("score", "0-100", is_number=True),
    Column("change", is_number=True, rank=1),
    Column("success", "%", is_number=True, rank=3),
    Column("mean", "ms", is_number=True, rank=4),
    Column("reason", rank=5),
)


def run(call: Call) -> Answer:
    """Read the window and assign."""
    from hivefeedback.queries import assign

    args = call.args
    with call.reader() as reader:
        found = assign(
            reader.basis(args.window),
            agents=_agents(args.agents),
            candidates=args.candidates,
            operation=args.operation,
            by=args.by,
            is_load_aware=args.spread,
        )
    return Answer(data={"window_s": args.window, **plain_data(found)}, text=_text(found))


def _agents(given: Sequence[str]) -> dict[str, str]:
    """``AGENT`` or ``AGENT=OPERATION``."""
    agents: dict[str, str] = {}
    for word in given:
        name, _, operation = word.partition("=")
        if name in agents:
            raise InvalidInputError(f"agent {name!r} is named twice; name each agent once")
        agents[name] = operation
    return agents


def _text(found: Assignments) -> str:
    rows = [
        [
            a.agent_id,
            a.model_id,
            amount(a.capability_score),
            f"{a.performance_score:.2f}",
            f"{a.performance_adjustment:+.2f}",
            percent(a.success_rate),
            amount(a.avg_latency_ms),
            a.reason,
        ]
        for a in found
    ]
    return "\n".join([table(_COLUMNS, rows, width=console.width()), covered(found.coverage)])


SPEC: Final = Spec(
    name="assign",
    help="give each agent a deployment, with the reasons",
    run=run,
    arguments=(
        arg("agents", nargs="+", metavar="AGENT[=OPERATION]", help="the agents, with an operation of their own or not"),
        arg("--by", default="adaptive", metavar="RANKER", help="adaptive, balanced, … (adaptive)"),
        arg("--spread", action="store_true", help="spread the agents in proportion to the scores"),
        CANDIDATE,
        OPERATION,
        WINDOW,
    ),
)

"""``hivefeedback memory``: what agents remember, and what of it fits a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import age
from hivefeedback.errors import InvalidInputError

if TYPE_CHECKING:
    from hivefeedback.engine.memory import Remembered

__all__ = ["SPEC"]

_AGENT: Final = "agent_id"


def list_memory(call: Call) -> Answer:
    """The items of an agent, the most important first; without one, the agents that remember something."""
    agent = call.args.agent_id
    with call.reader() as reader:
        if agent is None:
            agents = reader.agents_with_memory()
            rows = [[name, str(n)] for name, n in sorted(agents.items())]
            text = (
                table((Column("agent"), Column("items", is_number=True)), rows, width=console.width())
                if rows
                else "no agent remembers anything"
            )
            return Answer(data={"agents": agents}, text=text)
        memory = reader.memory(agent)
        items, pruned = memory.items(), memory.pruned()
    now_s = call.clock()
    rows = [_row(item, now_s) for item in items]
    columns = (*_COLUMNS, Column("text"))
    empty = f"agent {agent!r} remembers nothing"
    put_aside = f"{len(pruned)} items were put aside for more important ones, or taken out" if pruned else ""
    text = "\n".join(t for t in (table(columns, rows, width=console.width()) if rows else empty, put_aside) if t)
    return Answer(data={"agent": agent, "items": plain_data(items), "n_put_aside": len(pruned)}, text=text)


_COLUMNS: Final = (
    Column("item"),
    Column("importance", "0-1", is_number=True),
    Column("used", "times", is_number=True, rank=1),
    Column("since", is_number=True, rank=2),
)


def _row(item: Remembered, now_s: float) -> list[str]:
    return [item.item_id, f"{item.importance:.2f}", str(item.n_used), age(now_s - item.created_at_s), item.text]


def recall(call: Call) -> Answer:
    """The items of an agent that fit a question best; asking here does not count as use."""
    args = call.args
    if args.k < 1:
        raise InvalidInputError(f"--k is {args.k}; expected a number of items, at least 1")
    with call.reader() as reader:
        memory = reader.memory(args.agent_id)
        found, index = memory.recall(args.query or "", args.k), memory.index
    columns = (
        Column("item"),
        Column("score", "0-1", is_number=True),
        Column("relevance", "0-1", rank=1),
        Column("text"),
    )
    rows = [[r.item.item_id, f"{r.score:.2f}", f"{r.relevance:.2f}", r.text] for r in found]
    data: dict[str, Any] = {"agent": args.agent_id, "index": index, "found": plain_data(found)}
    text = (
        table(columns, rows, width=console.width()) if rows else f"agent {args.agent_id!r} remembers nothing that fits"
    )
    return Answer(data=data, text=text)


SPEC: Final = Spec(
    name="memory",
    help="list and search what agents remember",
    children=(
        Spec(
            name="list",
            help="what an agent remembers, or the agents that remember something",
            run=list_memory,
            arguments=(
                arg(_AGENT, nargs="?", metavar="AGENT", help="id of the agent; default: which agents there are"),
            ),
        ),
        Spec(
            name="recall",
            help="what fits a question best, by relevance and importance",
            run=recall,
            arguments=(
                arg(_AGENT, metavar="AGENT", help="id of the agent"),
                arg("query", nargs="?", metavar="QUERY", help="in words; without it, the most important items"),
                arg("--k", type=int, default=5, metavar="N", help="how many at most (5)"),
            ),
        ),
    ),
)

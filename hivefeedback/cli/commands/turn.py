"""``hivefeedback turn``: analyze, plan, validate, execute, monitor, once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import amount, plain
from hivefeedback.model import Finding, Mutation, Outlook, Verdict

if TYPE_CHECKING:
    from hivefeedback.loop import Turn

__all__ = ["SPEC"]


def run(call: Call) -> Answer:
    """Run one turn, unless another process leads; a configuration file may come before the first run."""
    with call.loop(may_create=call.declared_in is not None, mode=call.args.mode) as loop:
        turn = loop.turn()
    return Answer(data=plain_data(turn), text=_text(turn))


def _text(turn: Turn) -> str:
    if not turn.leader:
        return f"another process leads, so turn {turn.turn_id} did nothing; it runs the turns, or run this one later"
    receipts = [f"{r.mutation_id}: {r.message or 'begun'}" for r in turn.receipts]
    lines = [
        f"turn {turn.turn_id}, mode {turn.mode}",
        *_section("findings", map(_finding, turn.findings)),
        *_section("plan", map(_mutation, turn.plan.mutations)),
        *_section("not planned", turn.dropped, is_silent=True),
        *_section("verdicts", map(_verdict, turn.verdicts)),
        *_section("receipts", receipts),
        *_section("outcomes", map(_outcome, turn.outcomes)),
    ]
    return "\n".join(lines)


def _section(title: str, entries: Iterable[str], *, is_silent: bool = False) -> list[str]:
    said = [f"  {plain(entry)}" for entry in entries]
    if not said:
        return [] if is_silent else [f"{title}: none"]
    return [f"{title}: {len(said)}", *said]


def _finding(f: Finding) -> str:
    p_value = f", p {amount(f.p_value)}" if f.p_value is not None else ""
    return f"{f.kind} ({f.analyzer}, severity {f.severity:.2f}{p_value}): {f.message}"


def _mutation(m: Mutation) -> str:
    return f"{m.mutation_id} {m.kind} of {m.target!r}, risk {m.risk}, confidence {m.confidence:.2f}"


def _verdict(v: Verdict) -> str:
    return f"{v.mutation_id} {v.gate}: {v.answer}, {v.reason}"


def _outcome(o: Outlook) -> str:
    return f"{o.rollout_id} {o.decided.replace('_', ' ')} ({o.monitor or 'no monitor'}): {o.reason}"


SPEC: Final = Spec(
    name="turn",
    help="run one turn: analyze, plan, validate, execute, monitor",
    run=run,
    arguments=(
        arg(
            "--mode",
            choices=("observe", "advise", "act"),
            help="observe: analyze only; advise: all but execute; act: all; default: the setting",
        ),
    ),
)

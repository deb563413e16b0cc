"""``hivefeedback mutations``: changes of the configuration, and what a person may say about them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.commands.mutations_show import list_mutations, show
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.values import TO_OF, kinds_in_service, mutation_value
from hivefeedback.cli.words import number
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Mutation, MutationKind

if TYPE_CHECKING:
    from hivefeedback.loop import FeedbackLoop

__all__ = ["SPEC"]


def propose(call: Call) -> Answer:
    """Put a change before the gates; a later turn executes it."""
    args = call.args
    mutation = Mutation(
        kind=args.kind,
        target=args.target,
        to=mutation_value(args.kind, args.to, args.file),
        risk=args.risk,
        confidence=args.confidence,
        reason=args.reason,
    )
    with call.loop(may_create=True) as loop:
        mutation_id = loop.propose(mutation, by=call.by)
        answer = _moved(mutation_id, loop)
    if answer.data["state"] == "awaiting_approval":
        return replace(answer, text=f"{answer.text}; approve it: hivefeedback mutations approve {mutation_id}")
    if answer.data["state"] == "validated":
        return replace(answer, text=f"{answer.text}; the next turn serves it, of the application or: hivefeedback turn")
    return answer


def approve(call: Call) -> Answer:
    """Let a mutation pass that waits for a person."""
    with call.loop() as loop:
        loop.approve(call.args.mutation_id, by=call.by, why=call.args.why)
        return _moved(call.args.mutation_id, loop)


def reject(call: Call) -> Answer:
    """Stop a mutation that nobody is served yet."""
    with call.loop() as loop:
        loop.reject(call.args.mutation_id, by=call.by, why=call.args.why)
        return _moved(call.args.mutation_id, loop)


def rollback(call: Call) -> Answer:
    """End a canary, or take a promoted change back; with ``--all`` every one of them."""
    args = call.args
    if bool(args.mutation_id) == args.all:
        raise InvalidInputError("roll back what? give one mutation's ID, or --all")
    with call.loop() as loop:
        if args.all:
            done = loop.rollback_all(args.why, by=call.by)
            text = f"taken back: {', '.join(done)}" if done else "nothing was in force that could be taken back"
            return Answer(data={"rolled_back": list(done), "config_version": loop.configuration.version}, text=text)
        loop.rollback(args.mutation_id, args.why, by=call.by)
        return _moved(args.mutation_id, loop)


def _moved(mutation_id: str, loop: FeedbackLoop) -> Answer:
    """Where a mutation stands now, and the version of the configuration that says so."""
    state, version = loop.ledger.lives[mutation_id].state, loop.configuration.version
    data = {"mutation_id": mutation_id, "state": state, "config_version": version}
    return Answer(data=data, text=f"{mutation_id} is {state.replace('_', ' ')}")


def _kind(text: str) -> MutationKind:
    try:
        return MutationKind(text.upper().replace("-", "_"))
    except ValueError:
        known = ", ".join(kinds_in_service())
        raise argparse.ArgumentTypeError(f"{text!r} is no kind of mutation; expected one of {known}") from None


def _kinds_help() -> str:
    """The kinds that can be proposed here, each with what TO is for it."""
    return "\n".join(["KIND, and what TO is:", *(f"  {kind:13} {TO_OF[kind]}" for kind in kinds_in_service())])


_ID: Final = arg("mutation_id", metavar="ID", help="as 'mutations list' shows it")
_BY: Final = arg("--by", metavar="NAME", help="who says so; default: your login name")
_WHY: Final = arg("--why", default="", metavar="TEXT", help="the reason, kept beside the journal")
_PROPOSE: Final = Spec(
    name="propose",
    help="propose a change",
    run=propose,
    arguments=(
        arg("kind", type=_kind, metavar="KIND", help="one of those below"),
        arg("target", metavar="TARGET", help="a deployment, operation prefix, prompt or agent"),
        arg("to", nargs="?", metavar="TO", help="the new value, as JSON or plain text"),
        arg("--file", metavar="FILE", help="read TO from a file; - is standard input"),
        arg("--reason", default="", metavar="TEXT", help="why"),
        arg("--risk", choices=("low", "medium", "high"), default="low", help="high asks for approval (low)"),
        arg("--confidence", type=number(0.0, 1.0), default=1.0, metavar="0-1", help="how sure you are (1)"),
        _BY,
    ),
    details=_kinds_help,
)
SPEC: Final = Spec(
    name="mutations",
    help="list, show, propose, approve, reject and take back changes",
    children=(
        Spec(
            name="list",
            help="all mutations, the newest last",
            run=list_mutations,
            arguments=(
                arg("--open", action="store_true", help="only those whose life is not over"),
                arg("--state", metavar="STATE", help="only those in this state, such as awaiting_approval"),
            ),
        ),
        Spec(name="show", help="a mutation in full, a prompt's change line by line", run=show, arguments=(_ID,)),
        _PROPOSE,
        Spec(name="approve", help="approve one that waits for a person", run=approve, arguments=(_ID, _WHY, _BY)),
        Spec(name="reject", help="reject one that nobody is served yet", run=reject, arguments=(_ID, _WHY, _BY)),
        Spec(
            name="rollback",
            help="end a canary, or take a promoted change back",
            run=rollback,
            arguments=(
                arg("mutation_id", nargs="?", metavar="ID", help="as 'mutations list' shows it"),
                arg("--all", action="store_true", help="end every rollout and take back every promoted change"),
                _WHY,
                _BY,
            ),
        ),
    ),
)

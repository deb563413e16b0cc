"""``hivefeedback feedback``: a signal about a run, from a person or a script."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import number
from hivefeedback.errors import InvalidInputError, StoreUnreachableError
from hivefeedback.model import KNOWN_NAMES, Feedback

if TYPE_CHECKING:
    from hivefeedback.hooks import Store

__all__ = ["SPEC"]

_RUNS: Final = ("run_id", "trace_id", "decision_id", "response_id", "session_id")
"""What names a run, the most exact first."""
_TARGETS: Final = (*_RUNS, "agent_id", "deployment")
_SPEAK_ALONE: Final = ("complaint", "correction", "fact_check", "loop_back")
"""Names whose mention says enough: their value is 1 where none is given."""


def run(call: Call) -> Answer:
    """Record the feedback; it is learnt and committed when the command ends."""
    feedback = _feedback(call.args)
    with call.loop(clock=call.clock) as loop:  # a given clock: nothing is left to a thread
        feedback = _joined(feedback, loop.store)
        loop.feedback(feedback)
        if not loop.flush():
            raise StoreUnreachableError(f"the feedback could not be written to {call.store_url}; try again")
        bad = sorted(name for name in loop.counters if name.startswith("bad_"))
        is_joined = not loop.counters["feedback_unjoined"]
    if bad:
        raise InvalidInputError(f"the feedback was not taken: {', '.join(bad)}")
    text = "recorded" if is_joined else _unjoined(call.args)
    said = {name: getattr(feedback, name) for name in feedback.__struct_fields__}  # what has its default as well
    return Answer(data={"is_joined": is_joined, "feedback": said}, text=text)


def _joined(feedback: Feedback, store: Store) -> Feedback:
    """Feedback on a session names the session's latest run: only the process that served it remembers that one."""
    is_named = feedback.run_id or feedback.trace_id or feedback.decision_id or feedback.response_id
    if is_named or not feedback.session_id:
        return feedback
    event = store.log.find_run(session_id=feedback.session_id)
    return feedback if event is None else replace(feedback, run_id=event.event_id)


def _unjoined(args: argparse.Namespace) -> str:
    if not any(getattr(args, name) for name in _RUNS):
        return "recorded; it names no run, so it counts in analysis and credits no decision"
    return "recorded, but no run is known that it could belong to; check the id, or the run is yet to be committed"


def _feedback(args: argparse.Namespace) -> Feedback:
    """What was said. Raises InvalidInputError."""
    if not any(getattr(args, name) for name in _TARGETS):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in _TARGETS)
        raise InvalidInputError(f"feedback on what? give one of {options}")
    if args.rating is not None and args.value is not None:
        raise InvalidInputError("give --value or --rating, not both")
    name = args.name or _implied_name(args)
    is_remark = bool(args.comment) and not args.name  # a name is of something that is judged
    if args.rating is None and args.value is None and not is_remark and name not in _SPEAK_ALONE:
        raise InvalidInputError(f"feedback {name!r} has no value; give --rating 1..5, or --value true, false or 0..1")
    return Feedback(
        name=name,
        value=args.value,
        rating=args.rating,
        comment=args.comment,
        correction=args.correction,
        source=args.source,
        idempotency_key=args.idempotency_key,
        operation=args.operation,
        **{target: getattr(args, target) for target in _TARGETS},
    )


def _implied_name(args: argparse.Namespace) -> str:
    if args.rating is not None:
        return "rating"
    if args.value is not None:
        raise InvalidInputError(f"--value needs --name, such as {', '.join(KNOWN_NAMES[:4])}")
    if args.correction:
        return "correction"
    if args.comment:
        return "comment"
    raise InvalidInputError("what is the feedback? give --rating, --name with --value, --correction, or --comment")


def _value(text: str) -> bool | float:
    known = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() in known:
        return known[text.lower()]
    return number(0.0, 1.0)(text)


SPEC: Final = Spec(
    name="feedback",
    help="record feedback on a run",
    run=run,
    arguments=(
        *(arg(f"--{n.replace('_', '-')}", default="", metavar="ID", help=f"the {n} it is about") for n in _TARGETS),
        arg("--operation", default="", metavar="PATH", help="helps where no run is named"),
        arg("--name", help=f"what is said: {', '.join(KNOWN_NAMES)}, or a name of yours"),
        arg("--value", type=_value, help="true, false, or a number from 0 to 1"),
        arg("--rating", type=number(1.0, 5.0), help="a number from 1 to 5"),
        arg("--comment", default="", help="free text"),
        arg("--correction", default="", help="what the answer should have been"),
        arg("--source", default="cli", help="who says it (cli)"),
        arg("--idempotency-key", default="", metavar="KEY", help="the same key replaces, never adds"),
    ),
)

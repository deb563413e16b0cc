"""``hivefeedback erase``: forget what is stored of someone or something."""

from __future__ import annotations

from typing import Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import clock_time, count, moment_s
from hivefeedback.errors import InvalidInputError

__all__ = ["SPEC"]


def run(call: Call) -> Answer:
    """Remove events, texts and examples, and take them out of the aggregates as far as they are still logged."""
    args = call.args
    if args.mutation is not None:
        return _texts(call, args.mutation)
    parts = {name: getattr(args, name) for name in ("deployment", "agent", "session", "user")}
    given = {name: value for name, value in parts.items() if value is not None}
    empty = [name for name, value in given.items() if not value]
    if empty:
        raise InvalidInputError(f"--{empty[0]} is empty; name whose data is to be erased")
    before_s = _before(args.before, call.clock())
    if not given and before_s is None:
        raise InvalidInputError(
            "erase what? give --deployment, --agent, --session, --user or --before, or --mutation alone"
        )
    with call.loop() as loop:
        n_erased = loop.erase(before=before_s, **given)
    what = " and ".join([*given, *([f"before {clock_time(before_s)} UTC"] if before_s is not None else [])])
    text = f"{count(n_erased)} events were erased (by {what})"
    return Answer(data={"n_erased": n_erased, **given, "before_s": before_s}, text=text)


def _texts(call: Call, mutation_id: str) -> Answer:
    """The reasons that people gave with a mutation."""
    others = [
        name for name in ("deployment", "agent", "session", "user", "before") if getattr(call.args, name) is not None
    ]
    if others:
        raise InvalidInputError(f"--mutation goes alone, not with --{others[0]}")
    with call.loop() as loop:
        n_texts = loop.erase(mutation=mutation_id)
    return Answer(
        data={"n_texts": n_texts, "mutation": mutation_id},
        text=f"{count(n_texts)} reasons given with {mutation_id} were erased",
    )


def _before(text: str | None, now_s: float) -> float | None:
    if text is None:
        return None
    try:
        before_s = moment_s(text, now_s)
    except ValueError as error:
        raise InvalidInputError(f"--before: {error}") from error
    if before_s > now_s:
        raise InvalidInputError(f"--before {text!r} lies in the future; everything would go")
    return before_s


SPEC: Final = Spec(
    name="erase",
    help="remove what is stored of a deployment, agent, session, user or time, or the reasons of a mutation",
    run=run,
    arguments=(
        arg("--deployment", metavar="ID"),
        arg("--agent", metavar="ID"),
        arg("--session", metavar="ID"),
        arg("--user", metavar="ID", help="as the application gave it; it is hashed as it was when stored"),
        arg("--mutation", metavar="ID", help="the reasons that people gave with it; goes alone"),
        arg("--before", metavar="TIME", help="older than this: 2026-01-31, 2026-01-31T12:00Z, or 30d (ago)"),
    ),
    details="Several parts erase only what all of them hold of. What is erased cannot be brought back.",
)

"""``hivefeedback dead-letters``: what could not be taken in, why, and once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.exits import DONE, FAILED
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import clock_time, count, plain
from hivefeedback.errors import InvalidInputError

if TYPE_CHECKING:
    from hivefeedback.engine.dead_letters import Retried

__all__ = ["SPEC"]

_COLUMNS: Final = (
    Column("letter"),
    Column("time", "UTC", rank=1),
    Column("cause"),
    Column("kind", rank=2),
    Column("events", is_number=True, rank=3),
    Column("reason"),
)


def list_letters(call: Call) -> Answer:
    """All of them, the oldest first."""
    from hivefeedback.engine.dead_letters import dead_letters

    with call.reader() as reader:
        found = dead_letters(reader.store.state)
    rows = [[x.letter_id, clock_time(x.at_s), x.cause, x.kind, count(x.n_events), x.reason] for x in found]
    text = table(_COLUMNS, rows, width=console.width()) if rows else "there are no dead letters"
    return Answer(data={"dead_letters": plain_data(found)}, text=text)


def show_letter(call: Call) -> Answer:
    """One of them, with what is left of it."""
    from hivefeedback.engine.dead_letters import dead_letter

    with call.reader() as reader:
        letter = dead_letter(reader.store.state, call.args.letter_id)
    facts = {
        "letter": letter.letter_id,
        "time": f"{clock_time(letter.at_s)} UTC",
        "cause": letter.cause,
        "kind": letter.kind,
        "reason": letter.reason,
        "events": count(letter.n_events),
        "event": letter.event_id,
        "subscriber": letter.subscriber,
        **{f"  {name}": str(value) for name, value in (letter.body or {}).items()},
    }
    lines = [f"{name:<12} {plain(value)}" for name, value in facts.items() if value]
    return Answer(data={"dead_letter": plain_data(letter)}, text="\n".join(lines))


def retry_letters(call: Call) -> Answer:
    """Tell one, or all of them, again; those that are still bad stay and say why."""
    if bool(call.args.letter_id) == call.args.all:
        raise InvalidInputError("retry which one? name a letter, or give --all")
    with call.loop(clock=call.clock) as loop:  # a given clock: nothing is left to a thread
        names = [x.letter_id for x in loop.dead_letters()] if call.args.all else [call.args.letter_id]
        tried = [loop.retry_dead_letter(name) for name in names]
    n_done = sum(one.is_done for one in tried)
    lines = [*map(_line, tried), f"{count(n_done)} of {count(len(tried))} went well"]
    return Answer(
        data={"retried": plain_data(tried), "n_done": n_done},
        text="\n".join(lines),
        code=DONE if n_done == len(tried) else FAILED,
    )


def _line(one: Retried) -> str:
    return plain(f"{one.letter_id}  {'taken in' if one.is_done else one.reason}")


SPEC: Final = Spec(
    name="dead-letters",
    help="list, show and retry what could not be taken in",
    children=(
        Spec(name="list", help="what there is, and why", run=list_letters),
        Spec(
            name="show",
            help="one of them, with what is left of it",
            run=show_letter,
            arguments=(arg("letter_id", metavar="LETTER", help="which one"),),
        ),
        Spec(
            name="retry",
            help="tell it again through the normal door",
            run=retry_letters,
            arguments=(
                arg("letter_id", metavar="LETTER", nargs="?", help="which one"),
                arg("--all", action="store_true", help="all of them"),
            ),
            details="It counts once however often it is tried. What is still bad stays and says why; exit code 1 then.",
        ),
    ),
)

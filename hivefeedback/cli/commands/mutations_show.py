"""``hivefeedback mutations list`` and ``show``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from hivefeedback.cli import console
from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import age, clock_time, percent, plain
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Configuration, EntryState, Life, Mutation, MutationKind, PromptVersions, memory_text

if TYPE_CHECKING:
    from hivefeedback.cli.reader import Reader

__all__ = ["list_mutations", "prompt_diff", "show"]

_COLUMNS: Final = (
    Column("id"),
    Column("state"),
    Column("kind"),
    Column("target"),
    Column("from", rank=3),
    Column("to", rank=1),
    Column("share", "%", is_number=True, rank=2),
    Column("risk", rank=4),
    Column("by", rank=5),
    Column("since", is_number=True, rank=2),
)


def list_mutations(call: Call) -> Answer:
    """Mutations in the order in which they were proposed."""
    args = call.args
    if args.state is not None and args.state not in get_args(EntryState):
        raise InvalidInputError(f"state {args.state!r} is not known; known: {', '.join(get_args(EntryState))}")
    with call.reader() as reader:
        lives, config = reader.ledger.lives.values(), reader.configuration
        chosen = [x for x in lives if (x.is_open or not args.open) and args.state in (None, x.state)]
        summaries = [_summary(life, reader) for life in chosen]
    now_s = call.clock()
    rows = [_row(life, config, now_s) for life in chosen]
    text = table(_COLUMNS, rows, width=console.width()) if rows else "no mutations"
    return Answer(data={"mutations": summaries}, text=text)


def _summary(life: Life, reader: Reader) -> dict[str, Any]:
    """A mutation and where it stands; its reason lies beside the journal, and is empty where it was erased."""
    rollout = reader.configuration.rollouts.get(life.mutation.mutation_id)
    first, last = life.entries[0], life.entries[-1]
    executor = reader.registry.executors.get(life.mutation.kind)
    return {
        **plain_data(life.mutation),
        "reason": life.mutation.reason or (reader.store.journal.body(first.why) if first.why else "") or "",
        "state": life.state,
        "is_open": life.is_open,
        "is_external": executor.is_external if executor is not None else None,
        "share": rollout.share if rollout else None,
        "by": last.by,
        "at_s": last.at_s,
        "applied_at_s": life.applied_at_s,
    }


def _row(life: Life, config: Configuration, now_s: float) -> list[str]:
    m = life.mutation
    rollout = config.rollouts.get(m.mutation_id)
    return [
        m.mutation_id,
        life.state.replace("_", " "),
        m.kind.value,
        m.target or "(all)",
        _short(m.from_),
        _short(m.to),
        percent(rollout.share if rollout else None),
        m.risk,
        life.entries[-1].by or "-",
        age(now_s - life.entries[-1].at_s),
    ]


def _short(value: object) -> str:
    """A value in one line; a stored text by the beginning of its hash, as ``why`` says it."""
    if isinstance(value, dict) and "body" in value:
        return f"stored text {str(value['body'])[:12]}"
    return value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()


def show(call: Call) -> Answer:
    """One mutation in full."""
    with call.reader() as reader:
        why = reader.why(call.args.mutation_id)
        summary = _summary(reader.ledger.lives[call.args.mutation_id], reader)
        diff = prompt_diff(reader, why.mutation) or memory_words(reader, why.mutation)
    steps = [{**plain_data(step), "at": f"{clock_time(step.at_s)} UTC"} for step in why.steps]
    data = {**summary, "steps": steps, "arms": plain_data(why.arms), "undo_command": why.undo, "diff": diff}
    return Answer(data=data, text=plain("\n".join([why.text(), *(["", diff] if diff else [])]), is_block=True))


def prompt_diff(reader: Reader, mutation: Mutation) -> str:
    """What a PROMPT_PATCH changes, line by line; empty for other kinds."""
    if mutation.kind != MutationKind.PROMPT_PATCH:
        return ""
    prompt = reader.configuration.prompts.get(mutation.target, PromptVersions())
    before, after = (_text(reader, prompt, value) for value in (mutation.from_, mutation.to))
    if before is None or after is None:
        return "(a text of this change was erased)"
    names = (f"{mutation.target} (before)", f"{mutation.target} ({mutation.mutation_id})")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return "\n".join(lines)


def memory_words(reader: Reader, mutation: Mutation) -> str:
    """What a MEMORY_UPDATE would have an agent remember; empty for other kinds."""
    body = mutation.to.get("body") if isinstance(mutation.to, dict) else None
    if mutation.kind != MutationKind.MEMORY_UPDATE or not isinstance(body, str):
        return ""
    stored = reader.store.journal.body(body)
    return "(the text of this change was erased)" if stored is None else f"+ {memory_text(stored)}"


def _text(reader: Reader, prompt: PromptVersions, value: object) -> str | None:
    """The text that a value stands for: a version's number, or ``{"body": hash}``."""
    if isinstance(value, dict) and isinstance(value.get("body"), str):
        return reader.store.journal.body(value["body"])
    if isinstance(value, int) and 0 < value <= len(prompt.bodies):
        body = prompt.bodies[value - 1]
        return reader.store.journal.body(body) if body else None
    return ""

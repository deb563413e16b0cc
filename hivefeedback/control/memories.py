"""Memory items as control sees them: their texts on the way in, and everything of an agent on the way out.

Executors get no text: it lies beside the journal under a hash, where it can be erased.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hivefeedback.control.context import Context
from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Record, Store
from hivefeedback.model import (
    CORRECTION,
    MEMORY,
    PRUNED,
    Feedback,
    JsonValue,
    Mutation,
    MutationKind,
    agent_prefix,
    memory_body,
    memory_text,
    normalised,
    read_correction,
    read_item,
    read_pruned,
)

__all__ = [
    "check_text",
    "erase_agent",
    "erase_unused",
    "forget_erased",
    "source_ids",
    "with_memory",
]


def with_memory(ctx: Context, mutation: Mutation) -> Mutation:
    """The MEMORY_UPDATE with its text stored beside the journal and named by its hash.

    ``to`` may be a text, ``{"text": …}``, or ``{"feedback": event id}`` for the correction in that
    event; each with an ``importance``. What comes from feedback is high risk, whoever planned it:
    free text reaches a memory only through a person.

    Raises:
        InvalidInputError: It is no text that can be remembered, or the feedback has none (any more).
    """
    to: JsonValue = {"text": mutation.to} if isinstance(mutation.to, str) else mutation.to
    if not isinstance(to, dict):
        return mutation
    rest = {name: value for name, value in to.items() if name not in ("text", "feedback")}
    if "feedback" in to:
        text = _correction(ctx.store, str(to["feedback"]))
        _check_news(ctx, mutation.target, text)
        mutation = replace(mutation, risk="high")
    elif "text" in to:
        given = to["text"]
        text = given if isinstance(given, str) else ""
    else:
        return mutation
    return replace(mutation, to={"body": ctx.keeper.put_body(memory_body(mutation.target, text)), **rest})


def _correction(store: Store, event_id: str) -> str:
    """The words of a correction, from the log."""
    event = store.log.find(event_id)
    if event is None or not isinstance(event.body, Feedback) or not event.body.correction:
        raise InvalidInputError(f"feedback {event_id!r} holds no correction; it was erased, or is too old")
    return event.body.correction


def _check_news(ctx: Context, agent: str, text: str) -> None:
    """Refuse a correction that the agent remembers already, in these words or much the same.

    Raises:
        InvalidInputError: It does.
    """
    for record in ctx.store.state.list(MEMORY, prefix=agent_prefix(agent)):
        item = read_item(record.value)
        if normalised(memory_text(ctx.keeper.body(item.body))) == normalised(text):
            raise InvalidInputError(f"agent {agent!r} remembers this already, as item {item.item_id}")


def check_text(ctx: Context, mutation: Mutation) -> None:
    """Refuse a MEMORY_UPDATE whose text was erased meanwhile.

    Raises:
        InvalidInputError: It was.
    """
    body = _body_of(mutation)
    if body and not ctx.keeper.body(body):
        raise InvalidInputError(f"what agent {mutation.target!r} should remember was erased; propose it anew")


def _body_of(mutation: Mutation) -> str:
    if mutation.kind is not MutationKind.MEMORY_UPDATE or not isinstance(mutation.to, dict):
        return ""
    return str(mutation.to.get("body", ""))


# --- erasing ---------------------------------------------------------------------------------------


def erase_agent(ctx: Context, agent: str) -> int:
    """Forget everything that an agent remembers, was corrected with, or was to remember, with all the
    texts; how many items went. Entries of the journal stay, and name texts that are gone."""
    state = ctx.store.state
    n_items = 0
    for namespace in (MEMORY, PRUNED):
        for record in state.list(namespace, prefix=agent_prefix(agent)):
            n_items += state.delete(namespace, record.key)
            ctx.store.journal.erase_body(_item_body(record))
    for record in state.list(CORRECTION):
        noted = read_correction(record.value)
        if noted is not None and noted.agent == agent:
            state.delete(CORRECTION, record.key)
    for life in ctx.keeper.ledger.lives.values():
        if life.mutation.target == agent and _body_of(life.mutation):
            ctx.store.journal.erase_body(_body_of(life.mutation))
    return n_items


def erase_unused(ctx: Context, mutation: Mutation) -> int:
    """Forget the text of a MEMORY_UPDATE that no item holds; how many texts went."""
    body = _body_of(mutation)
    if not body:
        return 0
    prefix = agent_prefix(mutation.target)
    held = {_item_body(r) for n in (MEMORY, PRUNED) for r in ctx.store.state.list(n, prefix=prefix)}
    return int(body not in held and ctx.store.journal.erase_body(body))


def source_ids(ctx: Context) -> frozenset[str]:
    """Feedback events behind memory items, and behind what waits for a person, that the log still
    holds; to be asked before an erasure, so that afterwards one can tell what it took."""
    state = ctx.store.state
    named = {s for n in (MEMORY, PRUNED) for r in state.list(n) for s in _sources(r)}
    named |= {s for life in ctx.keeper.ledger.open() if _body_of(life.mutation) for s in life.mutation.evidence}
    return frozenset(name for name in named if ctx.store.log.find(name) is not None)


def forget_erased(ctx: Context, before: Iterable[str]) -> int:
    """Drop what rested on feedback that was just erased: each noted correction, and each item of
    which no source is left. What an item has from other people stays.

    Args:
        ctx: What control works with.
        before: ``source_ids`` from before the erasure.

    Returns:
        How many items went.
    """
    state, log, n_items = ctx.store.state, ctx.store.log, 0
    for record in state.list(CORRECTION):
        noted = read_correction(record.value)
        if noted is not None and log.find(noted.event_id) is None:
            state.delete(CORRECTION, record.key)
    erased = {name for name in before if log.find(name) is None}

    def rested(sources: Iterable[str]) -> bool:
        named = set(sources)
        return bool(named & erased) and all(log.find(name) is None for name in named - erased)

    for namespace in (MEMORY, PRUNED):
        for record in state.list(namespace):
            if rested(_sources(record)):
                n_items += state.delete(namespace, record.key)
                ctx.store.journal.erase_body(_item_body(record))
    for life in ctx.keeper.ledger.open():  # what waits for a person shows its text, too
        if _body_of(life.mutation) and rested(life.mutation.evidence):
            ctx.store.journal.erase_body(_body_of(life.mutation))
    return n_items


def _item_body(record: Record) -> str:
    return (read_item(record.value) if record.namespace == MEMORY else read_pruned(record.value).item).body


def _sources(record: Record) -> tuple[str, ...]:
    return (read_item(record.value) if record.namespace == MEMORY else read_pruned(record.value).item).sources

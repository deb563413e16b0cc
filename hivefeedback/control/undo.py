"""Takes changes back. Open to any process: a compare-and-set of the journal, no lease."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from hivefeedback.control.approval import known_life
from hivefeedback.control.context import Context
from hivefeedback.control.moves import PROMOTED, SERVED, move, step
from hivefeedback.control.targets import holds
from hivefeedback.errors import ConflictError, RefusedError
from hivefeedback.model import Configuration, EntryState, JournalEntry, Life, targets_of

__all__ = ["close_orphans", "roll_back", "roll_back_all", "was_served"]

log = logging.getLogger(__name__)
_OUTSIDE: tuple[EntryState, ...] = ("applying", "promoted")


def roll_back(
    ctx: Context, mutation_id: str, *, by: str, why: str = "", numbers: Mapping[str, float] | None = None
) -> None:
    """End a canary, or take a promoted change back to what was served before it.

    Doing it twice changes nothing.

    Raises:
        UnknownNameError: No such mutation.
        RefusedError: Nobody is served it, or its target was changed since; the message names the
            later change, which has to be taken back first.
        PluginError: An external executor could not undo it.
    """
    life = known_life(ctx, mutation_id)
    if life.state == "rolled_back":
        return
    entry = replace(step(ctx, mutation_id, "rolled_back", by=by, why=why), numbers=dict(numbers or {}))
    if mutation_id in ctx.keeper.configuration.rollouts:
        move(ctx, mutation_id, SERVED, lambda config, now: entry if mutation_id in config.rollouts else None)
    elif life.state in _OUTSIDE and ctx.executors.is_external(life.mutation.kind):
        ctx.executors.undo(life.mutation, ctx.keeper.configuration)
        move(ctx, mutation_id, _OUTSIDE, lambda config, now: entry)
    elif life.state == "promoted":
        _take_back(ctx, life, entry)
    else:
        hint = "reject it instead" if life.is_open else "nothing is left to take back"
        raise RefusedError(f"mutation {mutation_id} is {life.state.replace('_', ' ')}, so nobody is served it; {hint}")
    if known_life(ctx, mutation_id).state != "rolled_back":
        raise ConflictError(f"mutation {mutation_id} moved on while it was taken back; try again")


def roll_back_all(ctx: Context, *, by: str, why: str = "") -> tuple[str, ...]:
    """End every rollout and take back every promoted change, the newest first.

    What cannot be taken back, since somebody changed its target by hand, stays and is logged.

    Returns:
        Ids of the mutations that were taken back.
    """
    ctx.keeper.refresh()
    lives = [x for x in ctx.keeper.ledger.lives.values() if x.state in (*SERVED, *_OUTSIDE) and was_served(x)]
    lives.sort(key=lambda x: (x.state == "promoted", -x.entries[-1].seq))
    done = []
    for life in lives:
        try:
            roll_back(ctx, life.mutation.mutation_id, by=by, why=why)
        except RefusedError as error:
            log.warning("%s", error)
        else:
            done.append(life.mutation.mutation_id)
    return tuple(done)


def close_orphans(ctx: Context, *, by: str) -> None:
    """Close the life of every rollout that an edit or a declaration of its target has ended."""
    for life in ctx.keeper.ledger.open():
        if life.state in SERVED and was_served(life):
            _close(ctx, life.mutation.mutation_id, by)


def was_served(life: Life) -> bool:
    """True where a rollout of it began, or something outside was touched."""
    return any(e.state in ("canary", "applying", "promoted") for e in life.entries)


def _close(ctx: Context, mutation_id: str, by: str) -> None:
    def make(config: Configuration, life: Life) -> JournalEntry | None:
        if mutation_id in config.rollouts:
            return None
        return step(ctx, mutation_id, "rolled_back", by=by, why="its target was declared or edited anew")

    move(ctx, mutation_id, SERVED, make)


def _take_back(ctx: Context, life: Life, entry: JournalEntry) -> None:
    """Append the inverse of a promotion, unless somebody built on it since."""
    mutation_id = life.mutation.mutation_id
    promotion = next(e for e in reversed(life.entries) if e.state == "promoted")
    targets = targets_of(promotion.patch)
    for rollout in ctx.keeper.configuration.rollouts.values():
        if targets & targets_of(rollout.patch):  # it was measured against what now goes away
            roll_back(ctx, rollout.rollout_id, by=entry.by, why=f"{mutation_id}, which it built on, was taken back")

    def make(config: Configuration, now: Life) -> JournalEntry | None:
        if not holds(config, promotion.patch):
            raise RefusedError(
                f"mutation {mutation_id} cannot be taken back: {_later_change(ctx, promotion)} changed "
                f"{', '.join(f'{noun} {name!r}' for noun, name in sorted(targets))} since; take that back first"
            )
        return replace(entry, patch=now.undo)

    move(ctx, mutation_id, PROMOTED, make)


def _later_change(ctx: Context, promotion: JournalEntry) -> str:
    """Names the newest entry that changed the same thing after a promotion."""
    targets = targets_of(promotion.patch)
    name = "somebody"
    for entry in ctx.store.journal.read(after=promotion.seq):
        if entry.state in ("declared", "edited", "promoted", "rolled_back") and targets & targets_of(entry.patch):
            name = f"mutation {entry.mutation_id}" if entry.mutation_id else f"entry {entry.seq} ({entry.state})"
    return name

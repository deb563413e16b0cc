"""One step in the life of a mutation: only from the states that it may leave, never twice."""

from __future__ import annotations

from collections.abc import Callable, Collection

from hivefeedback.control.context import Context
from hivefeedback.control.spans import mutation_moved
from hivefeedback.model import Configuration, EntryState, JournalEntry, Ledger, Life

__all__ = ["APPLYING", "PROMOTED", "SERVED", "WAITING", "move", "step"]

APPLYING: tuple[EntryState, ...] = ("applying",)
PROMOTED: tuple[EntryState, ...] = ("promoted",)

WAITING: frozenset[EntryState] = frozenset({"proposed", "validated", "awaiting_approval", "approved"})
"""States in which nobody is served the change yet (a paused rollout that was approved excepted)."""
SERVED: frozenset[EntryState] = frozenset({"canary", "paused", "approved"})
"""States in which a rollout may be open."""

Step = Callable[[Configuration, Life], JournalEntry | None]


def move(
    ctx: Context, mutation_id: str, since: Collection[EntryState], make: Step, *, token: int = 0
) -> JournalEntry | None:
    """Append the next entry of a mutation, if it still is in one of the states ``since``.

    Two processes that want the same step race by compare-and-set; the slower one finds the
    mutation moved on and appends nothing.

    Returns:
        The entry, or None where the step was not ours to make.
    """
    moved: list[Life] = []

    def build(config: Configuration, ledger: Ledger) -> JournalEntry | None:
        life = ledger.lives.get(mutation_id)
        moved[:] = [life] if life else []
        return make(config, life) if life is not None and life.state in since else None

    entry = ctx.keeper.append(build, token=token)
    if entry is not None:
        mutation_moved(moved[0].mutation, entry)
    return entry


def step(ctx: Context, mutation_id: str, state: EntryState, *, by: str, why: str = "") -> JournalEntry:
    """A plain entry of a mutation; ``why`` is a text and is stored beside the journal."""
    return JournalEntry(at_s=ctx.clock(), state=state, mutation_id=mutation_id, by=by, why=ctx.keeper.put_body(why))

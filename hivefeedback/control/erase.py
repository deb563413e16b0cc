"""What an erasure takes from log and archive, and what it leaves in the journal: a mark, and texts that are gone."""

from __future__ import annotations

from hivefeedback.control.approval import known_life
from hivefeedback.control.context import Context
from hivefeedback.control.memories import erase_unused
from hivefeedback.hooks import Selector
from hivefeedback.model import Configuration, JournalEntry, Ledger

__all__ = ["erase_events", "erase_texts", "note_erased"]


def erase_events(ctx: Context, selector: Selector) -> int:
    """Remove events from the log and from the archive; how many went.

    Nobody archives meanwhile, so that nothing slips from the one to the other unseen. An archive that
    cannot be written stops it before anything went.

    Raises:
        InvalidInputError: The selector names nothing.
        StoreError: Log or archive could not be written; again, it erases what is left.
    """
    if ctx.archive is None:
        return ctx.store.log.erase(selector)
    with ctx.archive.alone():
        return ctx.store.log.erase(selector) + ctx.archive.erase(selector)


def note_erased(ctx: Context, *, by: str) -> None:
    """Tell every process that something was erased: what it remembers of runs is to be forgotten."""
    _append(ctx, "", by)


def erase_texts(ctx: Context, mutation_id: str, *, by: str) -> int:
    """Forget the reasons that were given with a mutation; its entries stay and say so.

    A prompt's text stays as long as it is a version that can be served: patch it instead. So does
    what an agent remembers: take the change back first.

    Returns:
        How many texts went.

    Raises:
        UnknownNameError: No such mutation.
    """
    life = known_life(ctx, mutation_id)
    hashes = {entry.why for entry in life.entries if entry.why}
    n_erased = sum(ctx.store.journal.erase_body(h) for h in sorted(hashes)) + erase_unused(ctx, life.mutation)
    _append(ctx, mutation_id, by)
    return n_erased


def _append(ctx: Context, mutation_id: str, by: str) -> None:
    def build(config: Configuration, ledger: Ledger) -> JournalEntry:
        return JournalEntry(at_s=ctx.clock(), state="erased", mutation_id=mutation_id, by=by)

    ctx.keeper.append(build)

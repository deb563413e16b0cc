"""A person's yes or no. Open to any process: a compare-and-set of the journal, no lease."""

from __future__ import annotations

from dataclasses import replace

from hivefeedback.control.context import Context
from hivefeedback.control.moves import WAITING, move, step
from hivefeedback.control.prepare import prepared
from hivefeedback.control.targets import as_json
from hivefeedback.errors import HiveFeedbackError, InvalidInputError, RefusedError, StoreError, UnknownNameError
from hivefeedback.model import Configuration, EntryState, JournalEntry, Life, Mutation

__all__ = ["approve", "changed_since", "expire", "known_life", "reject"]

_APPROVABLE: tuple[EntryState, ...] = ("awaiting_approval", "validated", "paused")


def approve(ctx: Context, mutation_id: str, *, by: str, why: str = "") -> None:
    """Let a mutation pass that waits for a person; a later turn of an acting loop executes it.

    Approving a paused rollout promotes it. Approving twice changes nothing.

    Raises:
        UnknownNameError: No such mutation.
        RefusedError: It is over, expired, not judged yet, or its target was changed since.
    """
    _check_name(by)
    life = known_life(ctx, mutation_id)
    if _was_approved(life):
        return
    reason = _why_not(ctx, life)
    if reason:
        raise RefusedError(f"mutation {mutation_id} cannot be approved: {reason}")
    entry = step(ctx, mutation_id, "approved", by=by, why=why)
    if move(ctx, mutation_id, _APPROVABLE, lambda config, now: entry) is None:
        life = known_life(ctx, mutation_id)
        if not _was_approved(life):
            raise RefusedError(f"mutation {mutation_id} cannot be approved: it just became {_words(life)}")


def reject(ctx: Context, mutation_id: str, *, by: str, why: str = "") -> None:
    """Stop a mutation that nobody is served yet. Rejecting twice changes nothing.

    Raises:
        UnknownNameError: No such mutation.
        RefusedError: It is served already (roll it back), or over.
    """
    _check_name(by)
    known_life(ctx, mutation_id)
    entry = step(ctx, mutation_id, "rejected", by=by, why=why)

    def make(config: Configuration, life: Life) -> JournalEntry | None:
        return None if mutation_id in config.rollouts else entry

    if move(ctx, mutation_id, WAITING, make) is None:
        life = known_life(ctx, mutation_id)
        if life.state != "rejected":
            hint = "roll it back instead" if life.is_open or life.state == "promoted" else "nothing is left to reject"
            raise RefusedError(f"mutation {mutation_id} cannot be rejected: it is {_words(life)}; {hint}")


def expire(ctx: Context) -> None:
    """Reject every mutation that has waited too long for a person or for its execution."""
    for life in ctx.keeper.ledger.open():
        if life.state in WAITING and _is_expired(ctx, life):
            _expire(ctx, life.mutation.mutation_id)


def _expire(ctx: Context, mutation_id: str) -> None:
    days = ctx.options.approval_expires_s / 86400

    def make(config: Configuration, life: Life) -> JournalEntry | None:
        if mutation_id in config.rollouts or not _is_expired(ctx, life):
            return None
        return step(ctx, mutation_id, "rejected", by="turn", why=f"it waited longer than {days:g} days")

    move(ctx, mutation_id, WAITING, make)


def known_life(ctx: Context, mutation_id: str) -> Life:
    """The newest state of a mutation.

    Raises:
        UnknownNameError: No such mutation.
    """
    ctx.keeper.refresh()
    lives = ctx.keeper.ledger.lives
    if mutation_id not in lives:
        raise UnknownNameError("mutation", mutation_id, list(lives))
    return lives[mutation_id]


def changed_since(ctx: Context, mutation: Mutation, config: Configuration) -> str:
    """What keeps a prepared mutation from fitting the configuration as it is now; empty: nothing."""
    try:
        now = prepared(ctx, replace(mutation, from_=None), config)
    except StoreError:
        raise
    except HiveFeedbackError as error:
        return str(error)
    if as_json(now.from_) != as_json(mutation.from_):
        return "its target was changed since it was proposed; propose it anew"
    return ""


def _why_not(ctx: Context, life: Life) -> str:
    """Why this life cannot be approved now; empty: it can."""
    if life.state == "proposed":
        return "the gates have not judged it yet; the next turn asks them"
    if life.state not in _APPROVABLE:
        return f"it is {_words(life)}"
    if life.state == "paused":
        return ""
    if _is_expired(ctx, life):
        return f"it waited longer than {ctx.options.approval_expires_s / 86400:g} days; propose it anew"
    return changed_since(ctx, life.mutation, ctx.keeper.configuration)


def _was_approved(life: Life) -> bool:
    """True where the newest question to a person has been answered with yes."""
    for entry in reversed(life.entries):
        if entry.state == "approved":
            return life.is_open or life.state == "promoted"
        if entry.state in ("awaiting_approval", "paused", "rejected", "rolled_back", "failed"):
            return False
    return False


def _is_expired(ctx: Context, life: Life) -> bool:
    return ctx.clock() - life.entries[-1].at_s > ctx.options.approval_expires_s


def _words(life: Life) -> str:
    last = life.entries[-1]
    return f"{life.state.replace('_', ' ')} already (by {last.by or 'nobody'})"


def _check_name(by: str) -> None:
    if not isinstance(by, str) or not by.strip():
        raise InvalidInputError("'by' is empty; say who decides")

"""Puts validated mutations into force: a canary for what the snapshot serves, an act for the rest."""

from __future__ import annotations

from dataclasses import replace

from hivefeedback.control.approval import changed_since
from hivefeedback.control.context import Context
from hivefeedback.control.limits import limits_of
from hivefeedback.control.moves import APPLYING, move, step
from hivefeedback.control.plans import content_hash
from hivefeedback.control.undo import was_served
from hivefeedback.control.validate import is_judged
from hivefeedback.errors import HiveFeedbackError, StoreError
from hivefeedback.model import (
    Configuration,
    EntryState,
    JournalEntry,
    Life,
    Patch,
    Receipt,
    Rollout,
    content_id,
    inverse,
    targets_of,
)

__all__ = ["execute_ready"]

_READY: tuple[EntryState, ...] = ("validated", "approved")


def execute_ready(ctx: Context, *, token: int) -> tuple[Receipt, ...]:
    """Execute every mutation that may be, in the order of their proposal.

    A mutation whose target another rollout is about waits; one whose target was changed since it
    was judged is rejected. Then executors with a side outside bring that in line with what is served.
    """
    receipts = [_execute(ctx, life, token) for life in ctx.keeper.ledger.open()]
    tended = ctx.executors.tend(ctx.keeper.configuration, ctx.keeper.ledger)
    return (*(r for r in receipts if r is not None), *tended)


def _execute(ctx: Context, life: Life, token: int) -> Receipt | None:
    if life.state == "applying":
        return _finish_outside(ctx, life, token)
    if life.state not in _READY or was_served(life) or not is_judged(ctx, life):
        return None
    mutation = life.mutation
    reason = _why_not(ctx, life)
    if reason:
        _end(ctx, life, "rejected", reason)
        return None
    if ctx.executors.is_external(mutation.kind):
        return _act_outside(ctx, life, token)
    config = ctx.keeper.configuration
    receipt = ctx.stages.execute(mutation, config)
    if receipt is None or not receipt.patch:
        _end(ctx, life, "failed", "its executor answered no change")
        return None
    return receipt if _start_canary(ctx, life, receipt.patch, config, token) else None


def _why_not(ctx: Context, life: Life) -> str:
    if life.plan_hash != content_hash([life.mutation]):
        return "it is not what the gates judged"
    return changed_since(ctx, life.mutation, ctx.keeper.configuration)


def _start_canary(ctx: Context, life: Life, patch: Patch, seen: Configuration, token: int) -> bool:
    """Serve the patch to the first share; False where it has to wait for another rollout."""
    mutation, options = life.mutation, ctx.options
    limits = limits_of(mutation, ctx.view())

    def make(config: Configuration, now: Life) -> JournalEntry | None:
        is_busy = any(targets_of(patch) & targets_of(r.patch) for r in config.rollouts.values())
        if is_busy or inverse(config, patch) != inverse(seen, patch):
            return None  # the next turn looks again
        at_s = ctx.clock()
        rollout = Rollout(
            rollout_id=mutation.mutation_id,
            mutation=mutation,
            patch=patch,
            salt=content_id(mutation.mutation_id, str(config.version + 1)),
            share=options.canary_steps[0],
            step=0,
            started_at_s=at_s,
            step_started_at_s=at_s,
            limits=limits,
        )
        rules = {"alpha": options.canary_alpha, "margin": options.canary_margin, "share": rollout.share}
        entry = step(ctx, mutation.mutation_id, "canary", by="turn")
        return replace(entry, at_s=at_s, patch=patch, rollout=rollout, numbers=rules)

    return move(ctx, mutation.mutation_id, _READY, make, token=token) is not None


def _act_outside(ctx: Context, life: Life, token: int) -> Receipt | None:
    """Intent, act, verify, confirm: after a crash the next turn finds the intent."""
    mutation_id = life.mutation.mutation_id
    intent = step(ctx, mutation_id, "applying", by="turn")
    if move(ctx, mutation_id, _READY, lambda config, now: intent, token=token) is None:
        return None
    receipt = ctx.stages.execute(life.mutation, ctx.keeper.configuration)
    _confirm(ctx, life, "it could not be verified" if receipt else "its executor failed", token, receipt)
    return receipt


def _finish_outside(ctx: Context, life: Life, token: int) -> Receipt | None:
    """Take up an act that a crash interrupted: done already, or to be done again under the same id."""
    if _is_in_force(ctx, life):
        _confirm(ctx, life, "", token)
        return None
    receipt = ctx.stages.execute(life.mutation, ctx.keeper.configuration)
    _confirm(ctx, life, "it could not be verified after a crash", token, receipt)
    return receipt


def _confirm(ctx: Context, life: Life, reason: str, token: int, receipt: Receipt | None = None) -> None:
    if not _is_in_force(ctx, life):
        _end(ctx, life, "failed", reason)
        return
    mutation_id = life.mutation.mutation_id
    done = step(ctx, mutation_id, "promoted", by="turn", why=receipt.message if receipt else "")
    move(ctx, mutation_id, APPLYING, lambda config, now: done, token=token)


def _is_in_force(ctx: Context, life: Life) -> bool:
    try:
        return ctx.executors.verify(life.mutation, ctx.keeper.configuration)
    except StoreError:
        raise
    except HiveFeedbackError:
        return False


def _end(ctx: Context, life: Life, state: EntryState, reason: str) -> None:
    entry = step(ctx, life.mutation.mutation_id, state, by="turn", why=reason)
    move(ctx, life.mutation.mutation_id, (*_READY, "applying"), lambda config, now: entry)

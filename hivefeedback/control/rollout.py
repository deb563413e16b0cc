"""Moves open rollouts on: widen, promote, pause or take back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hivefeedback.control.context import Context
from hivefeedback.control.counts import read_counts, read_stops
from hivefeedback.control.moves import SERVED, move, step
from hivefeedback.control.safety import next_step, proven_harm, restrained
from hivefeedback.model import Configuration, Decided, EntryState, JournalEntry, Life, Outlook, Rollout
from hivefeedback.stats import HarmProof

__all__ = ["combined", "monitor_rollouts"]

_CARE: Final[tuple[Decided, ...]] = ("roll_back", "pause", "inconclusive", "continue", "widen", "promote")


def monitor_rollouts(ctx: Context, *, token: int) -> tuple[Outlook, ...]:
    """End what is proven harmful, ask the monitors about the rest, and journal what follows."""
    outlooks = []
    for rollout in tuple(ctx.keeper.configuration.rollouts.values()):
        outlook = _outlook(ctx, rollout)
        if outlook is not None and outlook.decided == "roll_back" and not ctx.options.is_rolled_back:
            outlook = replace(outlook, decided="pause", reason=f"{outlook.reason}; rollback is left to a person")
        if outlook is not None:
            _follow(ctx, rollout, outlook, token)
            outlooks.append(outlook)
    return tuple(outlooks)


def combined(rollout: Rollout, outlooks: Sequence[Outlook]) -> Outlook:
    """The most careful answer counts; without any the rollout goes on as it is."""
    ours = [o for o in outlooks if o.rollout_id == rollout.rollout_id]
    if not ours:
        return Outlook(rollout_id=rollout.rollout_id, decided="continue", reason="no monitor has an opinion")
    return min(ours, key=lambda o: _CARE.index(o.decided))


def _outlook(ctx: Context, rollout: Rollout) -> Outlook | None:
    life = ctx.keeper.ledger.lives.get(rollout.rollout_id)
    if life is not None and life.state == "approved":
        by = life.entries[-1].by
        return Outlook(rollout_id=rollout.rollout_id, decided="promote", reason=f"{by} approved the paused rollout")
    if rollout.is_paused:
        return None  # nobody is assigned and a person has to look
    now_s = ctx.clock()
    counts = read_counts(ctx.store, rollout.rollout_id)
    harm = proven_harm(rollout, counts, ctx.options) or _told(ctx, rollout)
    if harm is not None:
        return harm
    view = ctx.view(since_s=rollout.started_at_s)
    outlook = combined(rollout, ctx.stages.monitor(rollout, counts, view, now_s))
    return restrained(rollout, outlook, counts, ctx.options, now_s)


def _told(ctx: Context, rollout: Rollout) -> Outlook | None:
    """The rollback of what a process found proven by the counts of all, at a look of its own.

    That look was one at the same evidence that the turn reads, at an earlier time, so it has its part
    in the same α: proven harm stays proven, even where what came later made it look smaller.
    """
    stops = read_stops(ctx.store, rollout.rollout_id)
    if not stops:
        return None
    proof = HarmProof.read(max(stops, key=lambda one: one.get("log_e", 0.0)))
    reason = f"the canary was proven worse by {proof.guardrail} when a process looked at the counts of all: {proof}"
    return Outlook(
        rollout_id=rollout.rollout_id, decided="roll_back", reason=reason, monitor="core", numbers=proof.numbers()
    )


def _follow(ctx: Context, rollout: Rollout, outlook: Outlook, token: int) -> None:
    states: dict[Decided, EntryState] = {
        "roll_back": "rolled_back",
        "pause": "paused",
        "inconclusive": "paused",
        "widen": "canary",
        "promote": "promoted",
    }
    state = states.get(outlook.decided)
    if state is None:
        return
    entry = replace(
        step(ctx, rollout.rollout_id, state, by="turn", why=outlook.reason), numbers=dict(outlook.numbers or {})
    )
    if state == "promoted":
        entry = replace(entry, patch=rollout.patch)
    elif state == "paused":
        entry = replace(entry, rollout=replace(rollout, is_paused=True))
    elif state == "canary":
        entry = _widened(ctx, rollout, entry)

    def make(config: Configuration, life: Life) -> JournalEntry | None:
        return entry if config.rollouts.get(rollout.rollout_id) == rollout else None

    is_fenced = state in ("canary", "promoted")  # to stop needs no right
    move(ctx, rollout.rollout_id, SERVED, make, token=token if is_fenced else 0)


def _widened(ctx: Context, rollout: Rollout, entry: JournalEntry) -> JournalEntry:
    following = next_step(rollout, ctx.options)
    assert following is not None  # a widening without a next step was turned into "continue"
    index, share = following
    wider = replace(rollout, step=index, share=share, step_started_at_s=entry.at_s)
    return replace(entry, patch=rollout.patch, rollout=wider, numbers={**entry.numbers, "share": share})

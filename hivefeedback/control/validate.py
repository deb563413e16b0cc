"""Asks the gates and journals their answers; nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hivefeedback.control.context import Context
from hivefeedback.control.moves import move, step
from hivefeedback.control.plans import GATES, content_hash
from hivefeedback.model import Configuration, EntryState, JournalEntry, Life, Mutation, Plan, Verdict
from hivefeedback.stats import View

__all__ = ["is_judged", "judge", "unjudged"]


def judge(ctx: Context, plan: Plan, view: View, *, token: int = 0) -> tuple[Verdict, ...]:
    """Ask every gate about every mutation of a stored plan and journal what follows.

    One ``no`` rejects a mutation; ``ask``, or a high risk, sends it to a person. With the safety
    checks off (developers only) the answers are journalled and hold nothing up. A mutation that
    moved on while the gates were asked (another process judged it, a person decided) stays as it is.
    """
    if not plan.mutations:
        return ()
    config, ledger = ctx.keeper.configuration, ctx.keeper.ledger
    verdicts = tuple(ctx.stages.validate(plan, view, config, ledger, ctx.clock()))
    for mutation in plan.mutations:
        ours = tuple(v for v in verdicts if v.mutation_id == mutation.mutation_id)
        _settle(ctx, ledger.lives[mutation.mutation_id], ours, token)
    return verdicts


def unjudged(ctx: Context) -> list[Mutation]:
    """Mutations that await the gates: left over from a crash, judged too long ago, or judged in a
    process that has not all the gates of this one (a command line knows none that the application
    was given in code)."""
    waiting = ctx.keeper.ledger.open()
    return [x.mutation for x in waiting if x.state == "proposed" or (_is_ready(ctx, x) and not is_judged(ctx, x))]


def is_judged(ctx: Context, life: Life) -> bool:
    """True while the gates' newest answer holds, and every gate of this process took part in it."""
    asked = next((e for e in reversed(life.entries) if e.plan_hash and e.state != "proposed"), None)
    if asked is None or ctx.clock() - asked.at_s > ctx.options.valid_for_s:
        return False
    return {gate.name for gate in ctx.stages.gates} <= {verdict.gate for verdict in asked.verdicts}


def _is_ready(ctx: Context, life: Life) -> bool:
    is_served = life.mutation.mutation_id in ctx.keeper.configuration.rollouts
    return life.state in ("validated", "approved") and not is_served and ctx.options.mode == "act"


def _settle(ctx: Context, seen: Life, verdicts: tuple[Verdict, ...], token: int) -> None:
    mutation = seen.mutation

    def make(config: Configuration, life: Life) -> JournalEntry | None:
        if len(life.entries) != len(seen.entries):
            return None
        approval = next((e for e in reversed(life.entries) if e.state == "approved"), None)
        state = _state(ctx, mutation, verdicts, is_approved=approval is not None)
        entry = step(ctx, mutation.mutation_id, state, by=GATES)
        if state == "approved" and approval is not None:
            entry = replace(entry, by=approval.by, why=approval.why)
        return replace(entry, verdicts=verdicts, plan_hash=content_hash([mutation]))

    move(ctx, mutation.mutation_id, ("proposed", "validated", "approved"), make, token=token)


def _state(ctx: Context, mutation: Mutation, verdicts: Sequence[Verdict], *, is_approved: bool) -> EntryState:
    if not ctx.options.is_checked:
        return "validated"
    answers = {v.answer for v in verdicts}
    if "no" in answers:
        return "rejected"
    if is_approved:
        return "approved"
    is_asked = "ask" in answers or (mutation.risk == "high" and ctx.options.is_high_risk_asked)
    return "awaiting_approval" if is_asked else "validated"

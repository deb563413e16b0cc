"""The doors by which a change comes in: a person's or program's own, and a planner's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from hivefeedback.control.context import Context
from hivefeedback.control.plans import content_hash, finding_numbers, plan_of, with_body
from hivefeedback.control.prepare import prepared
from hivefeedback.control.spans import mutation_moved
from hivefeedback.control.targets import busy_targets, same_served
from hivefeedback.control.validate import judge
from hivefeedback.errors import ConflictError, RefusedError
from hivefeedback.model import Configuration, Finding, JournalEntry, Ledger, Life, Mutation, target_of
from hivefeedback.model.proposal import checked_mutation

__all__ = ["propose", "propose_planned"]

log = logging.getLogger(__name__)

_MAX_TRIES = 20
"""What is served changes by entries of people, programs and turns, which are rare."""


def propose(ctx: Context, mutation: Mutation, *, by: str, why: str = "") -> str:
    """Store a change and put it before the gates. Needs no lease; a later turn executes it.

    Args:
        ctx: What control works with.
        mutation: The change. A person's reason is kept beside the journal, where it can be erased.
        by: Who proposes it.
        why: The reason; default: the mutation's own.

    Returns:
        The mutation's id. It is validated, or awaits approval.

    Raises:
        InvalidInputError: Kind, target or value cannot be used.
        RefusedError: A gate said no; the message names it. The mutation is stored as rejected.
    """
    if ctx.options.mode == "off":
        raise RefusedError("the mode is 'off', so nothing can be proposed; choose advise or act")
    given = checked_mutation(mutation)
    wanted = replace(with_body(ctx, given), reason="", mutation_id="")
    stored = _append(ctx, wanted, by=by, why=why or given.reason, is_planned=False)
    assert stored is not None  # only a planner's change gives way to another one
    mutation_id = stored.mutation_id
    judge(ctx, plan_of(mutation_id, [stored]), ctx.view())
    life = ctx.keeper.ledger.lives[mutation_id]
    if life.state == "rejected":
        raise RefusedError(f"mutation {mutation_id} was refused by {_refusal(ctx, life)}")
    if ctx.options.mode != "act":
        log.info("mutation %s is stored; in mode %r this process will not execute it", mutation_id, ctx.options.mode)
    return mutation_id


def propose_planned(ctx: Context, mutation: Mutation, finding: Finding | None, *, token: int) -> Mutation | None:
    """Store a planner's change with the finding behind it; None if its target became busy."""
    why = finding.message if finding else mutation.reason
    numbers = finding_numbers(finding) if finding else {}
    by = mutation.planner or "planner"
    return _append(ctx, mutation, by=by, why=why, is_planned=True, numbers=numbers, token=token)


def _refusal(ctx: Context, life: Life) -> str:
    """Which gate refused a rejected mutation, and why; else who did (a turn that was faster)."""
    last = life.entries[-1]
    no = next((v for v in last.verdicts if v.answer == "no"), None)
    return f"gate {no.gate!r}: {no.reason}" if no else f"{last.by}: {ctx.keeper.body(last.why)}"


def _append(
    ctx: Context,
    mutation: Mutation,
    *,
    by: str,
    why: str,
    is_planned: bool,
    numbers: Mapping[str, float] | None = None,
    token: int = 0,
) -> Mutation | None:
    """Store a mutation as proposed; None if it gave way to another one.

    It is prepared before the journal is locked, since an executor may take its time, and anew where
    what is served changed meanwhile.
    """
    template = JournalEntry(
        at_s=ctx.clock(), state="proposed", by=by, why=ctx.keeper.put_body(why), numbers=dict(numbers or {})
    )
    for _ in range(_MAX_TRIES):
        ctx.keeper.refresh()
        entry, is_outdated = _append_prepared(ctx, mutation, template, is_planned, token)
        if not is_outdated:
            break
    else:
        raise ConflictError(f"what is served changed {_MAX_TRIES} times while a change was prepared; try again")
    if entry is None or entry.mutation is None:
        return None
    mutation_moved(entry.mutation, entry)
    return entry.mutation


def _append_prepared(
    ctx: Context, mutation: Mutation, template: JournalEntry, is_planned: bool, token: int
) -> tuple[JournalEntry | None, bool]:
    """The stored entry if any, and whether what is served changed since the mutation was prepared."""
    seen = ctx.keeper.configuration
    ready = prepared(ctx, mutation, seen)
    is_outdated = False

    def build(config: Configuration, ledger: Ledger) -> JournalEntry | None:
        nonlocal is_outdated
        is_outdated = not same_served(config, seen)
        if is_outdated or (is_planned and target_of(mutation) in busy_targets(config, ledger)):
            return None
        mutation_id = f"m-{config.version + 1}"  # the entry's own number, so no two are alike
        named = replace(ready, mutation_id=mutation_id)
        return replace(template, mutation_id=mutation_id, mutation=named, plan_hash=content_hash([named]))

    return ctx.keeper.append(build, token=token), is_outdated

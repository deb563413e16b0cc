"""Makes a plan of what the planners want: prepared, one change per target, nothing tried in vain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from hivefeedback.control.context import Context
from hivefeedback.control.memories import with_memory
from hivefeedback.control.prepare import prepared
from hivefeedback.control.targets import busy_targets, same_change
from hivefeedback.errors import HiveFeedbackError, StoreError
from hivefeedback.model import Finding, Ledger, Life, Mutation, MutationKind, Plan, check_prompt, target_of
from hivefeedback.stats import View

__all__ = ["GATES", "Selection", "content_hash", "finding_numbers", "plan_of", "select", "with_body"]

GATES = "gates"
"""Author of the entries that hold the gates' answers."""


@dataclass(slots=True, kw_only=True)
class Selection:
    """The mutations worth proposing, and a sentence for each that was dropped."""

    mutations: list[Mutation] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def content_hash(mutations: Iterable[Mutation]) -> str:
    """SHA-256 of what the mutations say, whatever ids they were given."""
    plain = [replace(m, mutation_id="") for m in mutations]
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()


def plan_of(plan_id: str, mutations: Iterable[Mutation]) -> Plan:
    """A plan under its content hash."""
    kept = tuple(mutations)
    return Plan(plan_id=plan_id, mutations=kept, content_hash=content_hash(kept))


def with_body(ctx: Context, mutation: Mutation) -> Mutation:
    """The mutation with a new text (of a prompt, of a memory item) stored beside the journal and named
    by its hash.

    Raises:
        InvalidInputError: The text is no prompt, or cannot be remembered.
    """
    if mutation.kind is MutationKind.MEMORY_UPDATE:
        return with_memory(ctx, mutation)
    if mutation.kind is not MutationKind.PROMPT_PATCH or not isinstance(mutation.to, str):
        return mutation
    check_prompt(mutation.target, mutation.to)
    return replace(mutation, to={"body": ctx.keeper.put_body(mutation.to)})


def select(ctx: Context, candidates: Iterable[Mutation], view: View) -> Selection:
    """Prepare the candidates, the most urgent first, and drop what must not be proposed now."""
    config, ledger = ctx.keeper.configuration, ctx.keeper.ledger
    busy = set(busy_targets(config, ledger))
    in_question = _in_question(ledger)
    chosen = Selection()
    for candidate in sorted(candidates, key=lambda m: -m.priority):
        name = f"{candidate.kind} of {candidate.target!r}"
        if target_of(candidate) in busy:
            chosen.dropped.append(f"{name}: another change of it is open")
            continue
        try:
            mutation = prepared(ctx, with_body(ctx, candidate), config)
        except StoreError:
            raise
        except HiveFeedbackError as error:
            chosen.dropped.append(f"{name}: {error}")
            continue
        reason = _in_vain(ctx, mutation, ledger, view)
        if reason:
            chosen.dropped.append(f"{name}: {reason}")
            continue
        why, other = next(((n[0], in_question[n]) for n in sorted(_about(mutation)) if n in in_question), ("", ""))
        if other:
            chosen.dropped.append(f"{name}: it waits for {other}, which is about the same {why}")
            continue
        busy.add(target_of(mutation))
        in_question.update(dict.fromkeys(_about(mutation), name))
        chosen.mutations.append(mutation)
    return chosen


def _in_question(ledger: Ledger) -> dict[tuple[str, str], str]:
    """What open planned changes are about, and which; a person's change stops no planner. One that waits for
    a person serves nobody meanwhile, so other cures of its finding may go ahead."""
    planned = [x for x in ledger.open() if x.mutation.planner]
    return {
        what: x.mutation.mutation_id
        for x in planned
        for what in _about(x.mutation)
        if what[0] != "finding" or x.state not in ("awaiting_approval", "paused")
    }


def _about(mutation: Mutation) -> frozenset[tuple[str, str]]:
    """The finding and the deployments that a planned change is meant to mend or to leave. Two planned cures
    of one thing at the same time are each other's control: each then looks better than it should, or nothing
    is proven. So the most promising goes first, and the others wait for what becomes of it."""
    found = {("finding", mutation.finding_id)} if mutation.finding_id else set()
    if mutation.kind in (MutationKind.MODEL_SWAP, MutationKind.PARAM_SET, MutationKind.LORA_APPLY):
        found.add(("deployment", mutation.target))
    elif mutation.kind is MutationKind.ROUTE_CHANGE:
        before = mutation.from_.get("candidates", ()) if isinstance(mutation.from_, dict) else mutation.from_
        found |= {("deployment", str(name)) for name in before} if isinstance(before, list) else set()
    return frozenset(found)


def _in_vain(ctx: Context, mutation: Mutation, ledger: Ledger, view: View) -> str:
    """Why the same change must not be tried again, or an empty text.

    What was taken back or refused by a person rests for a window. What the gates refused may be
    planned each turn, but is journalled again only when they would let it pass.
    """
    last = _last_try(ctx, mutation, ledger)
    if last is None:
        return ""
    if last.state != "rejected" or last.entries[-1].by not in (GATES, "turn"):
        return f"it was {last.state.replace('_', ' ')} as {last.mutation.mutation_id} within the window"
    if last.entries[-1].by == GATES:
        plan = plan_of("again", [replace(mutation, mutation_id="again")])
        verdicts = ctx.stages.validate(plan, view, ctx.keeper.configuration, ledger, ctx.clock())
        no = next((v for v in verdicts if v.answer == "no"), None)
        if no is not None:
            return f"gate {no.gate!r} refuses it as it refused {last.mutation.mutation_id}: {no.reason}"
    return ""


def _last_try(ctx: Context, mutation: Mutation, ledger: Ledger) -> Life | None:
    """The newest life of the same change that ended within the window other than well."""
    since_s = ctx.clock() - ctx.options.turn_window_s
    key = same_change(mutation)
    for life in reversed(ledger.lives.values()):
        is_over = life.mutation.target == mutation.target and life.state in ("rejected", "rolled_back", "failed")
        if is_over and same_change(life.mutation) == key:
            return life if life.entries[-1].at_s >= since_s else None
    return None


def finding_numbers(finding: Finding) -> dict[str, float]:
    """The numbers of a finding, as they are kept in the journal."""
    numbers: dict[str, float] = {"severity": finding.severity, "n_runs": finding.n_runs}
    for name, interval in (("before", finding.before), ("after", finding.after)):
        if interval is not None:
            numbers |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    if finding.p_value is not None:
        numbers["p_value"] = finding.p_value
    return numbers

"""Corrections that were given again and again, from the small records that every process writes.

Each correction is one record under its own name, so that however many processes tell of it, and
however often, it counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from hivefeedback.control.context import Context
from hivefeedback.control.plans import GATES
from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record
from hivefeedback.hooks.named import run_named
from hivefeedback.model import (
    CORRECTION,
    Correction,
    Event,
    Feedback,
    Ledger,
    Life,
    MutationKind,
    Run,
    read_correction,
)
from hivefeedback.stats import Repeat

__all__ = ["drop_old", "repeats_of"]

_EVIDENCE: Final = 16
_MOST: Final = 1000
"""Repeats that are shown to the planners, those with the most feedback first."""
_LOOK_UPS: Final = 500
"""Runs that one turn looks for; the rest is left to the next one."""
_PATIENCE_S: Final = 86400.0
"""How long a correction waits for its run to come in."""


def repeats_of(ctx: Context) -> tuple[Repeat, ...]:
    """What agents were corrected with at least twice since it was last proposed to be remembered.

    A proposal uses its evidence up: what a person refused comes again only after as many new
    corrections. What the gates refused, or nobody decided in time, was not used.
    """
    records = ctx.store.state.list(CORRECTION)
    if not records:
        return ()
    since_s = ctx.clock() - ctx.options.retain_events_s
    groups: dict[tuple[str, str], list[Correction]] = {}
    for one in _with_agents(ctx, records):
        if one.words and one.at_s >= since_s:
            groups.setdefault((one.agent, one.words), []).append(one)
    proposed = _proposed(ctx.keeper.ledger)
    found = [_repeat(agent, words, group, proposed) for (agent, words), group in groups.items()]
    kept = [repeat for repeat in found if repeat is not None]
    return tuple(sorted(kept, key=lambda r: (-r.n, r.agent, r.key))[:_MOST])


def drop_old(ctx: Context) -> int:
    """Remove records of corrections whose text the log no longer keeps; how many went."""
    since_s = ctx.clock() - ctx.options.retain_events_s
    n_dropped = 0
    for record in ctx.store.state.list(CORRECTION):
        noted = read_correction(record.value)
        if noted is None or noted.at_s < since_s:
            n_dropped += ctx.store.state.delete(CORRECTION, record.key)
    return n_dropped


# --- whose correction it is ------------------------------------------------------------------------


def _with_agents(ctx: Context, records: Iterable[Record]) -> list[Correction]:
    """The corrections of which it is known whose they are; it is found out once for each."""
    known: list[Correction] = []
    n_left = _LOOK_UPS
    for record in records:
        noted = read_correction(record.value)
        if noted is None or not noted.words:
            continue
        if noted.agent:
            known.append(noted)
        elif n_left > 0:
            n_left -= 1
            settled = _settled(ctx, record, noted)
            if settled is not None:
                known.append(settled)
    return known


def _settled(ctx: Context, record: Record, noted: Correction) -> Correction | None:
    """The correction with its agent, written back; None where nobody knows (yet) whose it is."""
    event = ctx.store.log.find(noted.event_id)
    run = run_named(ctx.store.log, event.body) if event is not None and isinstance(event.body, Feedback) else None
    is_hopeless = event is None or run is not None or ctx.clock() - noted.at_s > _PATIENCE_S
    agent = _agent_of(run)
    with suppress(ConflictError):  # the same idempotency key just said something else: the next turn looks again
        if agent:
            found = msgspec.structs.replace(noted, agent=agent)
            ctx.store.state.put(Record(CORRECTION, record.key, msgspec.json.encode(found)), expected=record.version)
            return found
    if is_hopeless and not agent:
        ctx.store.state.delete(CORRECTION, record.key)
    return None


def _agent_of(event: Event | None) -> str:
    run = event.body if event is not None else None
    if not isinstance(run, Run):
        return ""
    return run.agent_id or ("" if run.kind == "llm" else run.deployment)


# --- what is new about it ---------------------------------------------------------------------------


def _repeat(agent: str, words: str, group: Iterable[Correction], proposed: dict[str, float]) -> Repeat | None:
    known = {one.event_id: one for one in group}
    used_at_s = max((proposed[name] for name in known if name in proposed), default=float("-inf"))
    fresh = [one for one in known.values() if one.at_s >= used_at_s and one.event_id not in proposed]
    if len(fresh) < 2:
        return None
    fresh.sort(key=lambda one: (-one.at_s, one.event_id))
    ids = tuple(one.event_id for one in fresh[:_EVIDENCE])
    return Repeat(agent=agent, key=words, n=len(fresh), event_ids=ids, last_at_s=fresh[0].at_s)


def _proposed(ledger: Ledger) -> dict[str, float]:
    """Feedback that a MEMORY_UPDATE named as its evidence → when that was proposed."""
    used: dict[str, float] = {}
    for life in ledger.lives.values():
        if life.mutation.kind is MutationKind.MEMORY_UPDATE and not _was_dropped(life):
            for name in life.mutation.evidence:
                used[name] = max(used.get(name, float("-inf")), life.entries[0].at_s)
    return used


def _was_dropped(life: Life) -> bool:
    return life.state == "failed" or (life.state == "rejected" and life.entries[-1].by in (GATES, "turn"))

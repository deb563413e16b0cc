"""Compacts the aggregates, drops old events and the counts of rollouts that are over, once an hour,
whoever leads."""

from __future__ import annotations

from collections.abc import Callable

from hivefeedback.control.archiving import shorten_log
from hivefeedback.control.context import Context
from hivefeedback.control.counts import forget_counts
from hivefeedback.control.repeats import drop_old
from hivefeedback.hooks import Record

__all__ = ["keep_up"]

NAMESPACE, KEY = "control", "upkeep_at_s"
KEEP_COUNTS_S = 86400.0
"""A day for looking at both arms of a rollout that ended; its last entry keeps the numbers."""


def keep_up(ctx: Context, leads: Callable[[], bool] = lambda: True) -> bool:
    """Do the upkeep if it is due; True if it was. When it was last done is kept in the store, so
    that turns of short-lived processes (a scheduled command) count too. Where more is to be archived than
    one turn has time for, the next one goes on.

    Args:
        ctx: What control works with.
        leads: Renews the lease, which each step may outlast; where another process leads by then, the rest is
            left to it.
    """
    now_s = ctx.clock()
    record = ctx.store.state.get(NAMESPACE, KEY)
    if record is not None and 0 <= now_s - _time_of(record) < ctx.options.upkeep_every_s:
        return False
    if ctx.steady is not None and not ctx.steady.holds():
        return False
    if not leads():
        return False
    ctx.store.aggregates.compact(now_s=now_s)
    if not leads():
        return False
    is_done = shorten_log(ctx, now_s, leads)
    if not leads():
        return False
    drop_old(ctx)
    forget_counts(ctx.store, lambda rollout_id: _is_over(ctx, rollout_id, now_s))
    if is_done:
        ctx.store.state.put(Record(NAMESPACE, KEY, repr(now_s).encode()))
    return True


def _is_over(ctx: Context, rollout_id: str, now_s: float) -> bool:
    if rollout_id in ctx.keeper.configuration.rollouts:
        return False
    life = ctx.keeper.ledger.lives.get(rollout_id)
    return life is None or (not life.is_open and now_s - life.entries[-1].at_s > KEEP_COUNTS_S)


def _time_of(record: Record) -> float:
    try:
        return float(record.value)
    except ValueError:  # written by hand or by another version: due
        return float("-inf")

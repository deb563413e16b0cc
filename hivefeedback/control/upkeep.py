"""Compacts the aggregates, drops old events and the counts of rollouts that are over, once an hour,
whoever leads."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

from hivefeedback.control.archiving import shorten_log
from hivefeedback.control.context import Context
from hivefeedback.control.counts import forget_counts
from hivefeedback.control.repeats import drop_old
from hivefeedback.control.steady import HOLD_S
from hivefeedback.hooks import Record

__all__ = ["keep_up"]

log = logging.getLogger(__name__)

NAMESPACE, KEY, DOUBTED_KEY = "control", "upkeep_at_s", "doubted_at_s"
AWAY_S: Final = 2 * 86400.0
"""Somebody leads nearly always, and every hour upkeep is done: a clock that is farther on may be wrong."""
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
    last_s = _noted(ctx, KEY)
    is_believed = ctx.steady is None or _is_believed(ctx, now_s, last_s)  # also where it is not due: doubts end
    if 0 <= now_s - last_s < ctx.options.upkeep_every_s:
        return False
    is_steady = ctx.steady is None or ctx.steady.holds()
    if not (is_believed and is_steady):
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


def _is_believed(ctx: Context, now_s: float, last_s: float) -> bool:
    """False in the first hour in which a clock is seen that is far beyond the last upkeep.

    A machine that begins with a wrong clock has no jump to notice, and a process that runs one turn has no
    hour to wait. So the time at which this was first seen is noted in the store. A machine that was off, or a
    store that was never kept up, costs that an hour; a clock that is put right meanwhile has dropped nothing.
    One that stays wrong for longer is believed.
    """
    doubted_s = _noted(ctx, DOUBTED_KEY)
    if now_s - last_s <= AWAY_S:
        if doubted_s > -math.inf:
            ctx.store.state.delete(NAMESPACE, DOUBTED_KEY)
        return True
    if doubted_s > -math.inf and now_s >= doubted_s:
        return now_s - doubted_s >= HOLD_S
    ctx.store.state.put(Record(NAMESPACE, DOUBTED_KEY, repr(now_s).encode()))
    if last_s > -math.inf:
        log.warning(
            "the store was last kept up %.1f days ago by this clock; nothing is dropped for its age in the next hour, "
            "in which a clock that is wrong can be put right",
            (now_s - last_s) / 86400.0,
        )
    return False


def _noted(ctx: Context, key: str) -> float:
    """A time that is noted in the store; minus infinity where none is, or none that can be read."""
    record = ctx.store.state.get(NAMESPACE, key)
    try:
        return float(record.value) if record is not None else -math.inf
    except ValueError:  # written by hand or by another version
        return -math.inf

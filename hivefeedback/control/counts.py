"""Unit counts of a rollout, read from what all processes keep in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hivefeedback.hooks import Store
from hivefeedback.model import StepCounts
from hivefeedback.stats import (
    FAILED_SESSIONS,
    ROLLOUT_COUNTS,
    ROLLOUT_STOPS,
    SEEN_SESSIONS,
    decode_counts,
    decode_stop,
    with_failed_sessions,
)

__all__ = ["forget_counts", "read_counts", "read_stops"]

_NAMESPACES: Final = (SEEN_SESSIONS, FAILED_SESSIONS, ROLLOUT_STOPS, ROLLOUT_COUNTS)


def read_counts(store: Store, rollout_id: str) -> tuple[StepCounts, ...]:
    """Counts of all processes, in order of the share; a session is one unit, whatever processes it met."""
    prefix = f"{rollout_id}/"
    requests = [step for r in store.state.list(ROLLOUT_COUNTS, prefix=prefix) for step in decode_counts(r.value)]
    failed = store.state.list(FAILED_SESSIONS, prefix=prefix)
    seen = store.state.list(SEEN_SESSIONS, prefix=prefix)
    return with_failed_sessions(requests, ((r.key, r.value) for r in failed), ((r.key, r.value) for r in seen))


def read_stops(store: Store, rollout_id: str) -> list[dict[str, float]]:
    """The numbers of each process whose harm test tripped."""
    return [decode_stop(record.value) for record in store.state.list(ROLLOUT_STOPS, prefix=f"{rollout_id}/")]


def forget_counts(store: Store, is_over: Callable[[str], bool]) -> int:
    """Delete what was counted of the rollouts that are over; answers how many records went.

    A process that learns late of the end may write once more; that goes with the next call.
    """
    gone = 0
    verdicts: dict[str, bool] = {}
    for namespace in _NAMESPACES:
        for record in store.state.list(namespace):
            rollout_id = record.key.partition("/")[0]
            if rollout_id not in verdicts:
                verdicts[rollout_id] = is_over(rollout_id)
            if verdicts[rollout_id]:
                gone += store.state.delete(namespace, record.key)
    return gone

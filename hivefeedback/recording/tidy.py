"""Removes what processes that are gone left in the store, where nobody needs it any more."""

from __future__ import annotations

from hivefeedback.hooks import State
from hivefeedback.model import DEAD_LETTER
from hivefeedback.recording.breaker import BREAKER, Breakers, breaker_key, variants_told
from hivefeedback.recording.feedback.awaiting import AWAITING, read_legacy
from hivefeedback.recording.feedback.owners import Owners
from hivefeedback.recording.learning.learnt import POLICY, most_learnt

__all__ = ["tidy"]

_MOST_LETTERS = 10_000
"""Dead letters of all processes together; each start of a process has up to a thousand places."""
_KEPT_S = 60 * 86400.0
"""Twice as long as the log keeps runs by default: then no feedback can find them."""


def tidy(state: State, owners: Owners, policy: str, now_s: float) -> int:
    """Drop records of processes that ended; answers how many.

    A policy's dump goes where another one has seen more, so there are at most as many as processes,
    and one. What is known of runs goes when the log has forgotten them, a breaker when no run has
    touched it for a month; of dead letters the newest are kept.

    Args:
        state: The store's small records.
        owners: Knows which processes live.
        policy: Name of the policy in service.
        now_s: By the loop's clock.
    """
    gone = [(POLICY, key) for key in _outdone(state, owners, policy)]
    told = variants_told(state.list(BREAKER))
    gone += [(BREAKER, breaker_key(variant)) for variant, data in told.items() if Breakers.is_forgotten(data, now_s)]
    for record in state.list(AWAITING):
        legacy = read_legacy(record)
        if (legacy is None or legacy.at_s < now_s - _KEPT_S) and not owners.is_owned(record.key):
            gone.append((AWAITING, record.key))
    gone += [(DEAD_LETTER, key) for key in _oldest_letters(state)]
    return sum(state.delete(namespace, key) for namespace, key in gone)


def _oldest_letters(state: State) -> list[str]:
    """Those beyond the bound; they expire in the order in which they were written."""
    records = state.list(DEAD_LETTER)
    kept = sorted(records, key=lambda r: r.expires_at_s or 0.0)
    return [r.key for r in kept[: max(0, len(records) - _MOST_LETTERS)]]


def _outdone(state: State, owners: Owners, policy: str) -> list[str]:
    records = [r for r in state.list(POLICY, prefix=policy) if r.key == policy or r.key.startswith(f"{policy}/")]
    best = most_learnt(policy, records)
    if best is None or not best.origin:
        return []
    kept = (f"{policy}/{best.origin}", f"{policy}/{owners.own}")
    return [r.key for r in records if r.key not in kept and not owners.is_owned(r.key.partition("/")[2])]

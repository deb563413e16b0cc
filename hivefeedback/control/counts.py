"""Unit counts of a rollout, as each process keeps them in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Store
from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.stats import FAILED_SESSIONS, with_failed_sessions

__all__ = ["NAMESPACE", "counts_key", "decode_counts", "encode_counts", "forget_counts", "merge_counts", "read_counts"]

NAMESPACE = "rollout"
"""Namespace of the records in ``State``; there is one per rollout, producer and epoch."""

_decoder = msgspec.json.Decoder(list[StepCounts])


def counts_key(rollout_id: str, producer: str, epoch: int) -> str:
    """Key of the record that one process writes for a rollout."""
    return f"{rollout_id}/{producer}/{epoch}"


def encode_counts(counts: Sequence[StepCounts]) -> bytes:
    """The record's value: all that this process has counted since the rollout began, but for the
    failures of sessions, which have records of their own (``hivefeedback.stats.failed_session``)."""
    return msgspec.json.encode(list(counts))


def decode_counts(value: bytes) -> list[StepCounts]:
    """Read a record's value.

    Raises:
        StoreCorruptError: It is not what was written.
    """
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"the unit counts of a rollout cannot be read: {error}") from error


def read_counts(store: Store, rollout_id: str) -> tuple[StepCounts, ...]:
    """Counts of all processes, in order of the share; a session that failed is one failing unit,
    whatever processes it met."""
    records = store.state.list(NAMESPACE, prefix=f"{rollout_id}/")
    sessions = store.state.list(FAILED_SESSIONS, prefix=f"{rollout_id}/")
    merged = merge_counts(step for record in records for step in decode_counts(record.value))
    return with_failed_sessions(merged, ((record.key, record.value) for record in sessions))


def forget_counts(store: Store, is_over: Callable[[str], bool]) -> int:
    """Delete what was counted of the rollouts that are over; answers how many records went."""
    keys: dict[str, list[str]] = {}
    for record in store.state.list(NAMESPACE):
        keys.setdefault(record.key.partition("/")[0], []).append(record.key)
    gone = 0
    for rollout_id in filter(is_over, keys):
        for failed in store.state.list(FAILED_SESSIONS, prefix=f"{rollout_id}/"):
            gone += store.state.delete(FAILED_SESSIONS, failed.key)
        for key in keys[rollout_id]:  # last, since by these the rollout is found again after a crash
            gone += store.state.delete(NAMESPACE, key)
    return gone


def merge_counts(steps: Iterable[StepCounts]) -> tuple[StepCounts, ...]:
    """Sum the counts of each share.

    >>> one = StepCounts(share=0.05, control=ArmCounts(units=19), canary=ArmCounts(units=1, failures={"error": 1}))
    >>> merge_counts([one, one])[0].canary
    ArmCounts(units=2, failures={'error': 2})
    """
    merged: dict[float, StepCounts] = {}
    for one in steps:
        old = merged.get(one.share)
        if old is None:
            merged[one.share] = one
        else:
            control, canary = _sum(old.control, one.control), _sum(old.canary, one.canary)
            merged[one.share] = StepCounts(share=one.share, control=control, canary=canary)
    return tuple(merged[share] for share in sorted(merged))


def _sum(a: ArmCounts, b: ArmCounts) -> ArmCounts:
    names = {**(a.failures or {}), **(b.failures or {})}
    return ArmCounts(units=a.units + b.units, failures={n: a.failed(n) + b.failed(n) for n in names} or None)

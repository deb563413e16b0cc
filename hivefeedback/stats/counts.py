"""What each process tells of a rollout: its requests, and that it stopped serving it.

One record per process, so that no process overwrites what another counted. Sessions are told
apart (``hivefeedback.stats.units``), since one session may meet several processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from hivefeedback.errors import StoreCorruptError
from hivefeedback.model import ArmCounts, StepCounts

__all__ = [
    "ROLLOUT_COUNTS",
    "ROLLOUT_STOPS",
    "counts_key",
    "decode_counts",
    "decode_stop",
    "encode_counts",
    "encode_stop",
    "merge_counts",
]

ROLLOUT_COUNTS: Final = "rollout"
"""Namespace in ``State`` of the requests of each (rollout, producer, epoch)."""
ROLLOUT_STOPS: Final = "rollout_stop"
"""Namespace in ``State`` of the processes whose harm test tripped."""

_decoder = msgspec.json.Decoder(list[StepCounts])
_stop_decoder = msgspec.json.Decoder(dict[str, float])


def counts_key(rollout_id: str, producer: str, epoch: int) -> str:
    """Key of a record that one process writes for a rollout, in either namespace."""
    return f"{rollout_id}/{producer}/{epoch}"


def encode_counts(counts: Sequence[StepCounts]) -> bytes:
    """The requests without a session that a process has counted since the rollout began."""
    return msgspec.json.encode(list(counts))


def decode_counts(value: bytes) -> list[StepCounts]:
    """Read what ``encode_counts`` wrote.

    Raises:
        StoreCorruptError: It is not what was written.
    """
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"the unit counts of a rollout cannot be read: {error}") from error


def encode_stop(numbers: Mapping[str, float]) -> bytes:
    """The numbers on which a process stopped serving a rollout."""
    return msgspec.json.encode(dict(numbers))


def decode_stop(value: bytes) -> dict[str, float]:
    """Read what ``encode_stop`` wrote.

    Raises:
        StoreCorruptError: It is not what was written.
    """
    try:
        return _stop_decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise StoreCorruptError(f"the stop of a rollout cannot be read: {error}") from error


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

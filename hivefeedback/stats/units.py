"""Sessions that failed in a rollout, so that each counts once whatever processes and restarts it met.

Each process counts its own units, so a session that two of them serve would fail twice, and the
tests of a canary rest on failing units alone. So every failing session is a record of its own, which
any process writes as often as it likes. Requests without a session are in one process only and stay
in its counts, as do the units that did not fail: a session in two processes is two of these, which
makes rates smaller in both arms alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from hivefeedback.errors import StoreCorruptError
from hivefeedback.model import ArmCounts, StepCounts

__all__ = ["FAILED_SESSIONS", "failed_session", "with_failed_sessions"]

FAILED_SESSIONS: Final = "rollout_unit"
"""Namespace of the records in ``State``."""


class _Seen(msgspec.Struct):
    share: float
    is_canary: bool


class _Failed(NamedTuple):
    guardrail: str
    session: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Seen)


def failed_session(
    rollout_id: str, guardrail: str, session_id: str, *, share: float, is_canary: bool
) -> tuple[str, bytes]:
    """Key and value of the record of a session that failed by a guardrail.

    The session's name is hashed with the rollout's, so that it can neither be read nor followed. The
    share is part of the key, so that no later record overwrites the first one: within a rollout the
    arm of a session depends on the share alone, so records of one key are alike.

    Args:
        rollout_id, guardrail: Where and by what it failed.
        session_id: Which session.
        share: The canary's share when this process first saw the session, in (0, 1].
        is_canary: Which arm it was in then.

    >>> failed_session("m-1", "error", "s", share=0.05, is_canary=True)
    ('m-1/error/bca1a5b7025e887d/0.05', b'{"share":0.05,"is_canary":true}')
    """
    unit = blake2b(session_id.encode("utf-8", "surrogatepass"), digest_size=8, key=_key_of(rollout_id)).hexdigest()
    return f"{rollout_id}/{guardrail}/{unit}/{share!r}", _encoder.encode(_Seen(share, is_canary))


def with_failed_sessions(counts: Iterable[StepCounts], records: Iterable[tuple[str, bytes]]) -> tuple[StepCounts, ...]:
    """Counts per share with each failing session added once, in the step in which it was first seen.

    Args:
        counts: One for each share, with the failures of units without a session.
        records: Key and value of each record of the rollout.

    Raises:
        StoreCorruptError: A record is not what was written.
    """
    first: dict[_Failed, _Seen] = {}
    for key, value in records:
        failed, seen = _decoded(key, value)
        known = first.get(failed)
        if known is None or seen.share < known.share:  # shares only grow while a rollout is open
            first[failed] = seen
    steps = {c.share: c for c in counts}
    for failed, seen in first.items():
        step = steps.get(seen.share) or StepCounts(share=seen.share, control=ArmCounts(), canary=ArmCounts())
        control = step.control if seen.is_canary else _plus(step.control, failed.guardrail)
        canary = _plus(step.canary, failed.guardrail) if seen.is_canary else step.canary
        steps[seen.share] = StepCounts(share=seen.share, control=control, canary=canary)
    return tuple(steps[share] for share in sorted(steps))


def _plus(arm: ArmCounts, guardrail: str) -> ArmCounts:
    """One failing unit more; who failed was a unit, even where its process died before it could count it."""
    n = arm.failed(guardrail) + 1
    return ArmCounts(units=max(arm.units, n), failures={**(arm.failures or {}), guardrail: n})


def _decoded(key: str, value: bytes) -> tuple[_Failed, _Seen]:
    try:
        _, guardrail, session, _ = key.split("/")
        return _Failed(guardrail, session), _decoder.decode(value)
    except (ValueError, msgspec.MsgspecError) as error:
        raise StoreCorruptError(f"record {key!r} of a rollout's failed session cannot be read: {error}") from error


def _key_of(rollout_id: str) -> bytes:
    return blake2b(rollout_id.encode("utf-8", "surrogatepass"), digest_size=32).digest()

"""Sessions of a rollout, so that each counts once whatever processes and restarts it met.

A session that two processes serve would be two units where each process sends its own sums: the
sample-ratio test would take the doubled chance for a skewed assignment, the bound of harm would be
too small. So processes tell *which* sessions they saw, and readers count distinct ones:

- seen: a list of 8-byte hashes per process, step and arm, in records of at most ``CHUNK`` sessions,
  so that a commit rewrites 4 KiB at most and 100 000 sessions are 200 records;
- failed: a record for each failing session and guardrail, which any process may write again.

A session belongs to the smallest share under which anybody saw it (shares only grow while a rollout
is open), with the arm that it had then. Requests without a session are in one process only and stay
in its counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hivefeedback.errors import StoreCorruptError
from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.stats.counts import merge_counts

__all__ = [
    "CHUNK",
    "FAILED_SESSIONS",
    "SEEN_SESSIONS",
    "FailedSession",
    "decode_failed",
    "failed_session",
    "seen_sessions",
    "unit_hash",
    "with_failed_sessions",
]

FAILED_SESSIONS: Final = "rollout_unit"
"""Namespace of the records of failing sessions in ``State``."""
SEEN_SESSIONS: Final = "rollout_seen"
"""Namespace of the lists of sessions in ``State``."""
CHUNK: Final = 512
"""Sessions in one record."""


class _Seen(msgspec.Struct, frozen=True):
    """Under which share, and in which arm, a session was first seen."""

    share: float
    is_canary: bool


class FailedSession(NamedTuple):
    """A session that failed by a guardrail, as one record tells it."""

    guardrail: str
    unit: int
    share: float
    is_canary: bool


_Units = npt.NDArray[np.uint64]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Seen)


def unit_hash(rollout_id: str, session_id: str) -> int:
    """A session's name as 64 bits, hashed with the rollout's, so that it can neither be read nor followed.

    Two of 100 000 sessions share a hash once in four billion rollouts or so; they then count as one.

    >>> unit_hash("m-1", "s") == unit_hash("m-1", "s") != unit_hash("m-2", "s")
    True
    """
    session = session_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(session, digest_size=8, key=_key_of(rollout_id)).digest())


def failed_session(
    rollout_id: str, guardrail: str, session_id: str, *, share: float, is_canary: bool
) -> tuple[str, bytes]:
    """Key and value of the record of a session that failed by a guardrail.

    The share is part of the key, so that no later record overwrites the first one: within a rollout
    the arm of a session depends on the share alone, so records of one key are alike.

    Args:
        rollout_id, guardrail: Where and by what it failed.
        session_id: Which session.
        share: The canary's share when this process first saw the session, in (0, 1].
        is_canary: Which arm it was in then.

    >>> failed_session("m-1", "error", "s", share=0.05, is_canary=True)
    ('m-1/error/bca1a5b7025e887d/0.05', b'{"share":0.05,"is_canary":true}')
    """
    unit = unit_hash(rollout_id, session_id)
    return f"{rollout_id}/{guardrail}/{unit:016x}/{share!r}", _encoder.encode(_Seen(share, is_canary))


def decode_failed(key: str, value: bytes) -> FailedSession:
    """Read a record of ``failed_session``.

    Raises:
        StoreCorruptError: It is not what was written.
    """
    try:
        _, guardrail, unit, _ = key.split("/")
        seen = _decoder.decode(value)
        return FailedSession(guardrail, int(unit, 16), seen.share, seen.is_canary)
    except (ValueError, msgspec.MsgspecError) as error:
        raise StoreCorruptError(f"record {key!r} of a rollout's failed session cannot be read: {error}") from error


def seen_sessions(
    process_key: str, units: Sequence[int], number: int, *, share: float, is_canary: bool
) -> tuple[str, bytes]:
    """Key and value of a list of sessions that a process saw.

    Args:
        process_key: Rollout and process (``hivefeedback.stats.counts_key``).
        units: Hashes of at most ``CHUNK`` sessions.
        number: Which list of that process, step and arm this is.
        share: The canary's share when the process first saw them, in (0, 1].
        is_canary: Which arm they were in then.

    >>> seen_sessions("m-1/p/1", [7], 0, share=0.05, is_canary=False)[0]
    'm-1/p/1/0.05/control/0'
    """
    arm = "canary" if is_canary else "control"
    return f"{process_key}/{share!r}/{arm}/{number}", np.array(units, "<u8").tobytes()


def with_failed_sessions(
    counts: Iterable[StepCounts], failed: Iterable[tuple[str, bytes]], seen: Iterable[tuple[str, bytes]] = ()
) -> tuple[StepCounts, ...]:
    """Counts per share with each session added once, in the step in which it was first seen.

    A session that failed was a unit, even where its process died before it could list it.

    Args:
        counts: Units without a session.
        failed: Key and value of each record of a failing session.
        seen: Key and value of each list of sessions.

    Raises:
        StoreCorruptError: A record is not what was written.
    """
    failures = [decode_failed(key, value) for key, value in failed]
    lists: dict[_Seen, list[_Units]] = {}
    for key, value in seen:
        arm, units = _decoded(key, value)
        lists.setdefault(arm, []).append(units)
    for f in failures:
        lists.setdefault(_Seen(f.share, f.is_canary), []).append(np.array([f.unit], "<u8"))
    rails = sorted({f.guardrail for f in failures})
    failing = {rail: np.unique(np.array([f.unit for f in failures if f.guardrail == rail], "<u8")) for rail in rails}
    of_sessions = []
    for arm, units in _first_seen(lists):
        n_failed = {rail: int(np.isin(failing[rail], units, assume_unique=True).sum()) for rail in rails}
        told = {rail: n for rail, n in n_failed.items() if n}
        of_sessions.append(_step(arm, ArmCounts(units=len(units), failures=told or None)))
    return merge_counts([*counts, *of_sessions])


def _first_seen(lists: Mapping[_Seen, Sequence[_Units]]) -> Iterator[tuple[_Seen, _Units]]:
    """Each session once, with the arm of the smallest share."""
    known = np.array([], "<u8")
    for arm in sorted(lists, key=lambda arm: (arm.share, arm.is_canary)):
        units = np.unique(np.concatenate(lists[arm]))
        fresh = units[~np.isin(units, known, assume_unique=True)]
        if len(fresh):
            known = np.concatenate([known, fresh])
            yield arm, fresh


def _decoded(key: str, value: bytes) -> tuple[_Seen, _Units]:
    try:
        _, share, arm, _ = key.rsplit("/", 3)
        return _Seen(float(share), arm == "canary"), np.frombuffer(value, "<u8")
    except ValueError as error:
        raise StoreCorruptError(f"record {key!r} of a rollout's sessions cannot be read: {error}") from error


def _step(arm: _Seen, counts: ArmCounts) -> StepCounts:
    control, canary = (ArmCounts(), counts) if arm.is_canary else (counts, ArmCounts())
    return StepCounts(share=arm.share, control=control, canary=canary)


def _key_of(rollout_id: str) -> bytes:
    return blake2b(rollout_id.encode("utf-8", "surrogatepass"), digest_size=32).digest()

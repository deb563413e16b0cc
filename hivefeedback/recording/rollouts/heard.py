"""What the other processes told of the open rollouts, and this one before a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from hivefeedback.hooks import Record, Store
from hivefeedback.model import StepCounts
from hivefeedback.stats import (
    FAILED_SESSIONS,
    ROLLOUT_COUNTS,
    ROLLOUT_STOPS,
    SEEN_SESSIONS,
    FailedSession,
    counts_key,
    decode_counts,
    decode_failed,
    decode_stop,
    merge_counts,
    with_failed_sessions,
)

__all__ = ["Heard", "Listener"]

_READ_PER_POLL = 1000
"""Failing sessions that are read at each poll; twice as many are read at every second one, and so on."""


class Heard(Struct, frozen=True):
    """News of one rollout.

    Args:
        requests: Counts of the others' requests without a session, by share.
        failed: Sessions that failed, in whatever process.
        stop: The numbers by which a process found harm proven; None: none did.
        counts: Those of all processes, where a look at all of them was asked for.
    """

    requests: tuple[StepCounts, ...] = ()
    failed: tuple[FailedSession, ...] = ()
    stop: dict[str, float] | None = None
    counts: tuple[StepCounts, ...] | None = None


class Listener:
    """Reads the others' records.

    Stops are read at every call, since everybody has to follow them within two seconds. Failing
    sessions are read less often the more there are: suspicion works without the newest of them, and
    what is to be proven is read in full.

    Args:
        store: Where they are.
        producer, epoch: This process, whose own counts are no news.
    """

    def __init__(self, store: Store, producer: str, epoch: int) -> None:
        self._store, self._producer, self._epoch = store, producer, epoch
        self._rests: dict[str, int] = {}

    def listen(self, rollout_ids: Iterable[str], suspected: Collection[str] = ()) -> dict[str, Heard]:
        """News of the rollouts; only of those that have any to be read now.

        Args:
            rollout_ids: The open rollouts.
            suspected: Those of which the counts of all processes are wanted now.

        Raises:
            StoreError: They could not be read.
        """
        names = tuple(rollout_ids)
        self._rests = {name: self._rests.get(name, 0) for name in names}
        if not names:
            return {}
        stops = {r.key.partition("/")[0]: decode_stop(r.value) for r in self._store.state.list(ROLLOUT_STOPS)}
        found = {name: self._of(name, stops.get(name), is_wanted=name in suspected) for name in names}
        return {name: heard for name, heard in found.items() if heard is not None}

    def _of(self, name: str, stop: dict[str, float] | None, *, is_wanted: bool) -> Heard | None:
        if stop is None and not is_wanted and self._rests[name] > 0:
            self._rests[name] -= 1
            return None
        failed = self._list(FAILED_SESSIONS, name)
        counts = {r.key: decode_counts(r.value) for r in self._list(ROLLOUT_COUNTS, name)}
        self._rests[name] = len(failed) // _READ_PER_POLL
        pooled = None
        if is_wanted:
            lists = ([(r.key, r.value) for r in records] for records in (failed, self._list(SEEN_SESSIONS, name)))
            pooled = with_failed_sessions([step for steps in counts.values() for step in steps], *lists)
        counts.pop(counts_key(name, self._producer, self._epoch), None)
        if not (failed or counts or stop or pooled is not None):
            return None
        others = merge_counts(step for steps in counts.values() for step in steps)
        return Heard(others, tuple(decode_failed(r.key, r.value) for r in failed), stop, pooled)

    def _list(self, namespace: str, name: str) -> Sequence[Record]:
        return self._store.state.list(namespace, prefix=f"{name}/")

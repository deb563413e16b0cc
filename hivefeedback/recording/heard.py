"""What the other processes told of the open rollouts, and this one before a restart."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from hivefeedback.hooks import Store
from hivefeedback.model import StepCounts
from hivefeedback.stats import (
    FAILED_SESSIONS,
    ROLLOUT_COUNTS,
    ROLLOUT_STOPS,
    FailedSession,
    counts_key,
    decode_counts,
    decode_failed,
    decode_stop,
    merge_counts,
)

__all__ = ["Heard", "Listener"]

_READ_PER_POLL = 1000
"""Failing sessions that are read at each poll; twice as many are read at every second one, and so on."""


class Heard(Struct, frozen=True):
    """News of one rollout.

    Args:
        requests: Counts of the others' requests without a session, by share.
        failed: Sessions that failed, in whatever process.
        stop: The numbers on which a process stopped serving it; None: none did.
    """

    requests: tuple[StepCounts, ...] = ()
    failed: tuple[FailedSession, ...] = ()
    stop: dict[str, float] | None = None


class Listener:
    """Reads the others' records.

    Stops are read at every call, since everybody has to follow them within two seconds. Failing
    sessions are read less often the more there are: the harm test of a process works without the
    newest of them, and the turn reads them all.

    Args:
        store: Where they are.
        producer, epoch: This process, whose own counts are no news.
    """

    def __init__(self, store: Store, producer: str, epoch: int) -> None:
        self._store, self._producer, self._epoch = store, producer, epoch
        self._rests: dict[str, int] = {}

    def listen(self, rollout_ids: Iterable[str]) -> dict[str, Heard]:
        """News of the rollouts; only of those that have any to be read now.

        Raises:
            StoreError: They could not be read.
        """
        names = tuple(rollout_ids)
        self._rests = {name: self._rests.get(name, 0) for name in names}
        if not names:
            return {}
        stops = {r.key.partition("/")[0]: decode_stop(r.value) for r in self._store.state.list(ROLLOUT_STOPS)}
        return {name: heard for name in names if (heard := self._of(name, stops.get(name))) is not None}

    def _of(self, name: str, stop: dict[str, float] | None) -> Heard | None:
        if stop is None and self._rests[name] > 0:
            self._rests[name] -= 1
            return None
        state = self._store.state
        failed = tuple(decode_failed(r.key, r.value) for r in state.list(FAILED_SESSIONS, prefix=f"{name}/"))
        own = counts_key(name, self._producer, self._epoch)
        counts = [r for r in state.list(ROLLOUT_COUNTS, prefix=f"{name}/") if r.key != own]
        self._rests[name] = len(failed) // _READ_PER_POLL
        if not (failed or counts or stop):
            return None
        return Heard(merge_counts(step for r in counts for step in decode_counts(r.value)), failed, stop)

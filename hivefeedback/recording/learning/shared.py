"""What processes learn is shared: each tells the rewards of its own runs, and learns from those of the others.

Told are increments, a record every few seconds in a ring of a few, each with a number: who was away for longer
than the ring lasts has missed some, and nobody counts one twice. With a policy's dump goes which increments of
whom are in it, so that who loads it goes on from there. They carry how many rewards a deployment earned in
an operation, and their sum, for a policy that takes them (``LearnsShared``; of any other nothing
is told); changes are watched for by each process in its own runs, since what others tell is seconds old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from hivefeedback.hooks import Observation, Record, State
from hivefeedback.model import Event, SharedRow, decoded

__all__ = ["SHARED", "Evidence", "Increment", "Others", "Told"]

SHARED: Final = "shared"
"""Namespace of the increments, by policy, origin and place in the ring."""
_RING: Final = 12
"""Increments of a process that are there at a time: a minute's."""
_KEPT_S: Final = 600.0
_READ_EVERY_S: Final = 5.0


class Increment(Struct, frozen=True):
    """What a process learnt since the one before.

    Args:
        number: Grows by 1, from 1.
        rows: The rewards.
    """

    number: int
    rows: tuple[SharedRow, ...]

    def record(self, policy: str, origin: str, now_s: float) -> Record:
        """As it is stored.

        Args:
            policy: The policy's name.
            origin: This process.
            now_s: By the machine's clock.
        """
        key = f"{policy}/{origin}/{self.number % _RING}"
        return Record(SHARED, key, msgspec.json.encode(self), expires_at_s=now_s + _KEPT_S)


class Evidence:
    """Gathers what this process learns from its own runs."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[float]] = {}
        self._number = 0

    def note(
        self, observations: Sequence[Observation], alike: Sequence[tuple[str, str, float, Sequence[Event]]]
    ) -> None:
        """The policy was handed these."""
        for seen in observations:
            row = self._row(seen.operation, seen.deployment)
            if seen.previous is None:
                row[0] += 1
                row[1] += seen.reward
            else:
                row[2] += seen.reward - seen.previous
        for operation, deployment, reward, events in alike:
            row = self._row(operation, deployment)
            row[0] += len(events)
            row[1] += reward * len(events)

    def _row(self, operation: str, deployment: str) -> list[float]:
        row = self._rows.get((operation, deployment))
        if row is None:
            row = self._rows[operation, deployment] = [0, 0.0, 0.0]
        return row

    def take(self) -> Increment | None:
        """The next increment; None where nothing was learnt. It holds all that was, since the dump that goes
        with it does, too."""
        if not self._rows:
            return None
        taken, self._rows = self._rows, {}
        self._number += 1
        return Increment(
            self._number, tuple(SharedRow(*name, int(n), total, moved) for name, (n, total, moved) in taken.items())
        )


class Told(NamedTuple):
    """An increment of another process."""

    origin: str
    number: int
    rows: tuple[SharedRow, ...]


class Others:
    """Reads what the others learnt; on the store's thread.

    Args:
        state: The small records.
        policy: The policy's name.
        own: This process.
        seen: Origin → number of its last increment that the policy knows; None: of all that are there now.
    """

    def __init__(self, state: State, policy: str, own: str, seen: Mapping[str, int] | None) -> None:
        self._state, self._prefix, self._own = state, f"{policy}/", own
        self._seen = dict(seen or {})
        self._gone: list[str] = []
        self._known: dict[str, tuple[int, float | None]] = {}
        self._read_s: float | None = None
        if seen is None:
            self._read()

    def news(self, now_s: float) -> list[Told]:
        """Increments that were not answered before, each process's in order; looked for every few seconds.

        Raises:
            StoreError: The store could not be asked.
        """
        if self._read_s is not None and 0 <= now_s - self._read_s < _READ_EVERY_S:
            return []
        found = self._read()
        self._read_s = now_s
        return found

    def gone(self) -> list[str]:
        """Origins of which nothing was there any more, since the last call: nobody can learn of them twice, and
        how much of them is known need not be remembered."""
        gone, self._gone = self._gone, []
        return gone

    def _read(self) -> list[Told]:
        records = self._state.list(SHARED, prefix=self._prefix)
        present = set(map(self._origin, records))
        self._gone += [origin for origin in self._seen if origin not in present]
        self._seen = {origin: number for origin, number in self._seen.items() if origin in present}
        known, self._known = self._known, {r.key: (r.version, r.expires_at_s) for r in records}
        changed = [r for r in records if known.get(r.key) != self._known[r.key]]  # a version may come again later
        found = [told for record in changed if (told := self._told(record))]
        found.sort(key=lambda told: (told.origin, told.number))
        for told in found:
            self._seen[told.origin] = told.number
        return found

    def _origin(self, record: Record) -> str:
        return record.key.removeprefix(self._prefix).rpartition("/")[0]

    def _told(self, record: Record) -> Told | None:
        origin = self._origin(record)
        if origin == self._own:
            return None
        try:
            increment = decoded(record.value, Increment)
        except msgspec.DecodeError:
            return None
        is_new = increment.number > self._seen.get(origin, 0)
        return Told(origin, increment.number, increment.rows) if is_new else None

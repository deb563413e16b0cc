"""Runs whose judgement is expected, and what becomes of them when their process ends.

A run waits in the memory of its owner. What the next owner has to know is kept in the store, one
record per origin: from which run on an operation's runs were awaited, and, once the process ended in
peace, which ones still were. So the heir knows of each run whether it had earned its 1 already.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from math import inf
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from hivefeedback.hooks import Record
from hivefeedback.model import decoded
from hivefeedback.recording.feedback.join import KnownRun

__all__ = ["AWAITING", "Awaiting", "Legacy", "read_legacy"]

AWAITING: Final = "awaiting"
"""Namespace of the records, by origin."""
_MOST = 200_000
"""Runs that await a judgement at a time, in memory; beyond that the oldest stop waiting early."""
_MOST_LEFT = 20_000
"""Of these so many are left to an heir, the newest."""
_MOST_OPERATIONS = 5000
_TOLD_EVERY_S = 86400.0
"""So often it is written anew, so that nobody takes it for forgotten."""


class Legacy(Struct):
    """What an heir has to know of the runs of an origin.

    Args:
        at_s: When it was written, by the loop's clock.
        since: Operation → number of the first run that was awaited; earlier ones earned at once.
        left: (run_id, until when it is awaited), once the process ended in peace; None before.
    """

    at_s: float
    since: dict[str, int] = {}
    left: list[tuple[str, float]] | None = None

    def was_awaited(self, operation: str, seq: int) -> bool:
        """True where the run of that number earned nothing before its judgement."""
        return seq >= self.since.get(operation, inf)


def read_legacy(record: Record | None) -> Legacy | None:
    """The record, or None where there is none that can be read: an older version kept none."""
    try:
        return decoded(record.value, Legacy) if record is not None else None
    except msgspec.DecodeError:
        return None


class _Waiting(NamedTuple):
    due_s: float
    known: KnownRun | None
    """None where the log has to be asked: another process recorded it, or something was erased since."""
    origin: str


class Awaiting:
    """Runs in the order in which they stop waiting.

    Args:
        own: Origin of the runs that this process records.
        horizon_s: How long a judgement is awaited.
    """

    def __init__(self, own: str, horizon_s: float) -> None:
        self.own, self._horizon_s = own, horizon_s
        self._runs: OrderedDict[str, _Waiting] = OrderedDict()
        self._since: dict[str, int] = {}
        self._legacies: dict[str, Legacy] = {own: Legacy(0.0, self._since)}
        self._given_up: set[str] = set()
        self._is_changed = True

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def add(self, known: KnownRun, now_s: float) -> None:
        """A run that was just recorded."""
        self._runs[known.run_id] = _Waiting(now_s + self._horizon_s, known, self.own)

    def note(self, operation: str, seq: int) -> None:
        """A run of that number earned nothing when it came in: it has to be judged first."""
        since = self._since
        if operation not in since and len(since) < _MOST_OPERATIONS:
            since[operation] = seq
            self._is_changed = True

    def drop(self, run_id: str) -> None:
        """Its reward is known."""
        self._runs.pop(run_id, None)

    def give_up(self, run_ids: Iterable[str]) -> None:
        """Nobody waits for their judgements any more. An heir must not do so again, even if this process is
        killed: of what was judged the log tells, of this it does not."""
        for run_id in run_ids:
            waiting = self._runs.pop(run_id, None)
            if waiting is not None and waiting.origin != self.own:
                self._given_up.add(waiting.origin)

    def doubt(self) -> None:
        """Something was erased: whether a run is still there is for the log to say."""
        for run_id, waiting in self._runs.items():
            if waiting.known is not None:
                waiting.known.is_awaiting = False  # who holds it must ask anew
                self._runs[run_id] = waiting._replace(known=None)

    def due(self, now_s: float) -> list[tuple[str, KnownRun | None]]:
        """Runs whose judgement did not come in time; they wait no longer, or where only the log knows
        the run (None), until it was asked."""
        runs, found = self._runs, list[tuple[str, KnownRun | None]]()
        for _ in range(len(runs)):
            run_id, waiting = next(iter(runs.items()))
            due_s = waiting.due_s
            is_due = due_s <= now_s or due_s - now_s > self._horizon_s  # the clock went back
            if not is_due and len(runs) <= _MOST:
                break
            del runs[run_id]
            if waiting.known is None:  # it waits on until the log has answered
                runs[run_id] = waiting._replace(due_s=now_s + self._horizon_s)
            found.append((run_id, waiting.known))
        return found

    # --- what is left to others -------------------------------------------------------------------

    def inherit(self, origin: str, legacy: Legacy) -> None:
        """Runs of another process that is gone wait here now."""
        if origin in self._legacies:
            return
        self._legacies[origin] = legacy
        for run_id, due_s in legacy.left or ():
            self._runs.setdefault(run_id, _Waiting(due_s, None, origin))
        self._runs = OrderedDict(sorted(self._runs.items(), key=lambda item: item[1].due_s))

    def lose(self, origins: Iterable[str]) -> None:
        """Other processes own these now."""
        gone = set(origins)
        self._runs = OrderedDict((name, w) for name, w in self._runs.items() if w.origin not in gone)
        for origin in gone - {self.own}:
            self._legacies.pop(origin, None)

    def legacy(self, origin: str) -> Legacy | None:
        """What is known here of the runs of an origin: of its own ones, and of those that it inherited."""
        return self._legacies.get(origin)

    def news(self, now_s: float) -> list[Record]:
        """What an heir would have to know, where that changed since the last call."""
        told, own = self._left_of(self._given_up, now_s), self._legacies[self.own]
        self._given_up.clear()
        if not self._is_changed and 0 <= now_s - own.at_s < _TOLD_EVERY_S:
            return told
        self._is_changed, own.at_s = False, now_s
        return [self._record(self.own), *told]

    def will(self, now_s: float) -> list[Record]:
        """The same when this process ends: who still waits is left to an heir."""
        return self._left_of(self._legacies, now_s)

    def _left_of(self, origins: Collection[str], now_s: float) -> list[Record]:
        """Who still waits, of some origins."""
        found = {origin: self._legacies[origin] for origin in origins if origin in self._legacies}
        if not found:
            return []
        for legacy in found.values():
            legacy.at_s, legacy.left = now_s, []
        for run_id, waiting in list(self._runs.items())[-_MOST_LEFT:]:
            left = found[waiting.origin].left if waiting.origin in found else None
            if left is not None:
                left.append((run_id, waiting.due_s))
        return [self._record(origin) for origin in found]

    def _record(self, origin: str) -> Record:
        return Record(AWAITING, origin, msgspec.json.encode(self._legacies[origin]))

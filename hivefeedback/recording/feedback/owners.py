"""Who settles a run: one process at a time, so that a reward is corrected once.

The process that recorded a run holds its reward in memory, so it alone corrects it: an *owner* owns
all runs of its (producer, epoch), its *origin*. Feedback that comes to another process is handed to
the owner through the store. An origin whose owner is gone is claimed by the first process that needs
it, by compare-and-set; the heir reads from the log what a run had earned. Claims are for whole
origins, not for runs: one record for each process, however many runs it made, and whoever holds it
can keep in memory what it settled.

Ownership is a record that expires, renewed as long as its process lives; by the store's clock, which
is the machine's, also for a loop with a given clock. A process that ends gives its origins back at once,
and one that was killed on this machine is known to be gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record, State
from hivefeedback.model import decoded
from hivefeedback.recording.feedback.alive import here, is_gone

__all__ = ["ASKED", "COUNTED", "HANDED", "OWNER", "Handed", "Owners", "origin_in", "origin_of", "taken"]

OWNER: Final = "owner"
"""Namespace of the records that say who settles the runs of an origin."""
COUNTED: Final = b"counted"
"""Value of such a record once the feedback is counted as about no known run."""
ASKED: Final = "asked"
"""Namespace of feedback whose run the log is asked for, by the origin that asks and feedback."""
HANDED: Final = "handed"
"""Namespace of judgements on their way to an owner, by origin and feedback."""


class Handed(Struct, frozen=True):
    """A judgement for the owner of its run; no free text, which lies in the log.

    Args:
        run_id: The run that is judged.
        feedback_id: The feedback's event.
        key: What replaces an earlier judgement of the same key.
        name, value: The judgement, 0–1.
    """

    run_id: str
    feedback_id: str
    key: str
    name: str
    value: float

    def record(self, origin: str) -> Record:
        """As it is written for the owner of that origin."""
        return Record(HANDED, f"{origin}/{self.feedback_id}", msgspec.json.encode(self))


def taken(origin: str, feedback_id: str) -> Record:
    """What takes a handed judgement away, in the same commit as what was learnt from it."""
    return Record(HANDED, f"{origin}/{feedback_id}", b"", expires_at_s=0.0)


def origin_of(producer: str, epoch: int) -> str:
    """Name of all runs that one start of a process recorded."""
    return f"{producer}/{epoch}"


def origin_in(run_id: str) -> str:
    """The origin that a run's id names; empty where the application gave the id.

    >>> origin_in("r3f2a-1-77"), origin_in("order-1-77")
    ('3f2a/1', '')
    """
    producer, _, rest = run_id[1:].rpartition("-")[0].rpartition("-")
    is_ours = run_id.startswith("r") and producer and rest.isdecimal() and run_id.rpartition("-")[2].isdecimal()
    return origin_of(producer, int(rest)) if is_ours else ""


class Owners:
    """The origins that this process owns. Called from one thread at a time.

    Args:
        state: The store's small records.
        own: This process's own origin.
        length_s: After so long without a sign of life an origin may be claimed.
        now: Seconds since 1970 UTC by the machine's clock.
    """

    def __init__(self, state: State, own: str, *, length_s: float = 15.0, now: Callable[[], float] = time.time) -> None:
        self._state, self.own, self._length_s, self._now = state, own, length_s, now
        self._held: dict[str, None] = {own: None}
        self._renewed_s = now()
        self._is_signed = False

    @property
    def held(self) -> tuple[str, ...]:
        """The origins that this process owns, its own first."""
        return tuple(self._held)

    def sign(self, origin: str) -> Record:
        """A sign of life, as it is written."""
        self._is_signed = self._is_signed or origin == self.own
        value = f"{self.own}\n{here()}".encode()
        return Record(OWNER, origin, value, expires_at_s=self._now() + self._length_s)

    @property
    def is_signed(self) -> bool:
        """True once the others know that this process lives."""
        return self._is_signed

    def now(self) -> float:
        """Seconds since 1970 UTC by the machine's clock."""
        return self._now()

    def settles(self, origin: str) -> bool:
        """True where this process owns an origin, or claims it now since nobody does."""
        return origin in self._held or self._claim(origin)

    def is_owned(self, origin: str) -> bool:
        """True where some process owns it."""
        found = self._state.get(OWNER, origin)
        return found is not None and not _is_left(found)

    def _claim(self, origin: str) -> bool:
        found = self._state.get(OWNER, origin)
        if found is not None and not _is_left(found):
            return False
        try:
            self._state.put(self.sign(origin), expected=found.version if found else 0)
        except ConflictError:
            return False
        self._held[origin] = None
        return True

    @property
    def is_due(self) -> bool:
        """True where a sign of life is to be given."""
        return self._now() - self._renewed_s >= self._length_s / 3 or self._now() < self._renewed_s

    def renew(self) -> tuple[str, ...]:
        """Give a sign of life; answers origins that another process claimed, since none was seen in time."""
        self._renewed_s = self._now()
        lost = [origin for origin in self._signed() if not self._renew(origin)]
        for origin in lost:
            del self._held[origin]
        return tuple(lost)

    def _signed(self) -> list[str]:
        """What it owns by a record; not its own origin before a run was recorded."""
        return [origin for origin in self._held if origin != self.own or self._is_signed]

    def _renew(self, origin: str) -> bool:
        """Write a new sign if the old one is ours or gone; False where another process holds it."""
        found = self._state.get(OWNER, origin)
        if found is not None and not self._is_mine(found):
            return False
        try:
            self._state.put(self.sign(origin), expected=found.version if found else 0)
        except ConflictError:
            return False
        return True

    def handed(self) -> list[tuple[str, Handed]]:
        """Judgements that wait for this process, with the origin of their run; those for origins that
        nobody owns are claimed."""
        found = [(origin, _decoded(record)) for origin, record in self._settled(HANDED)]
        return [(origin, handed) for origin, handed in found if handed is not None]

    def asked(self) -> list[tuple[str, str, bool]]:
        """Feedback that processes which are gone had asked the log about, with their origin, and whether they
        had counted it as feedback on no known run; those
        origins are claimed."""
        asked = self._settled(ASKED)
        return [
            (origin, record.key.rpartition("/")[2], record.value == COUNTED)
            for origin, record in asked
            if origin != self.own
        ]

    def _settled(self, namespace: str) -> list[tuple[str, Record]]:
        """Records by origin, of the origins that this process owns. It claims what nobody owns, and looks
        again then: until an owner was gone it may have settled some of what was there."""
        found = [(record.key.rpartition("/")[0], record) for record in self._state.list(namespace)]
        origins = dict.fromkeys(origin for origin, _ in found)
        claimed = [origin for origin in origins if origin not in self._held and self.settles(origin)]
        if claimed:
            found = [(record.key.rpartition("/")[0], record) for record in self._state.list(namespace)]
        return [(origin, record) for origin, record in found if origin in self._held]

    def waiting_for(self, origin: str) -> frozenset[str]:
        """Ids of feedback that is not settled: on its way to this owner, or its run is still looked for by
        whatever process. To be asked for after the log was read, since what is settled meanwhile was
        settled by this process; and in this order, since what was found is handed over."""
        records = [*self._state.list(ASKED), *self._state.list(HANDED, prefix=f"{origin}/")]
        return frozenset(r.key.rpartition("/")[2] for r in records)

    def release(self) -> None:
        """This process ends: others may claim what it owned."""
        for origin in self._signed():
            found = self._state.get(OWNER, origin)
            if found is not None and self._is_mine(found):
                self._state.delete(OWNER, origin)

    def _is_mine(self, record: Record) -> bool:
        return record.value.partition(b"\n")[0] == self.own.encode()


def _is_left(record: Record) -> bool:
    """True where the process that signed is gone for certain, though its time is not over."""
    return is_gone(record.value.partition(b"\n")[2].decode("utf-8", "replace"))


def _decoded(record: Record) -> Handed | None:
    try:
        return decoded(record.value, Handed)
    except msgspec.DecodeError:
        return None

"""Notes what people corrected, so that the turn sees what is said again and again.

One small record for each correction, written with the commit that holds its event. It is named
after the feedback (its idempotency key, else its event), so that telling it twice, from whatever
process, writes the same record again, and a later feedback of the same key replaces it. Whose
correction it is, the turn finds out: it has the time to look for the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from hivefeedback.hooks import Record
from hivefeedback.model import CORRECTION, Correction, Event, Feedback, normalised
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.feedback.join import Recent
from hivefeedback.recording.outbox import Outbox

__all__ = ["Corrections"]

_A_DAY: Final = 10_000
"""Records of one process in a day, so that a flood of corrections fills neither store nor turn."""
_DAY_S: Final = 86400.0
_REMEMBERED: Final = 10_000


class Corrections:
    """Writes the records.

    Args:
        outbox: What goes to the store.
        counters: Where what is left out is counted.
        hashed: Hashes a text under the store's own key, since plain hashes of words can be guessed.
    """

    def __init__(self, outbox: Outbox, counters: Counters, hashed: Callable[[str], str]) -> None:
        self._outbox, self._counters, self._hashed = outbox, counters, hashed
        self._noted: Recent[bool] = Recent(_REMEMBERED)
        self._day, self._n_today = -1, 0

    def note(self, event: Event, feedback: Feedback) -> None:
        """Note a correction, or withdraw the one that the same idempotency key gave before."""
        words = normalised(feedback.correction) if feedback.correction else ""
        if words:
            if self._has_room(event.ingest_time_s):
                self._put(event, feedback, self._hashed(words))
        elif feedback.idempotency_key and _name(event, feedback) in self._noted:
            self._put(event, feedback, "")

    def _put(self, event: Event, feedback: Feedback, words: str) -> None:
        name = _name(event, feedback)
        if feedback.idempotency_key:
            self._noted.add(name, True)
        value = msgspec.json.encode(Correction(words, event.event_id, event.event_time_s, feedback.agent_id))
        self._outbox.put(Record(CORRECTION, name, value))

    def _has_room(self, now_s: float) -> bool:
        day = int(now_s // _DAY_S)
        if day != self._day:
            self._day, self._n_today = day, 0
        self._n_today += 1
        if self._n_today > _A_DAY:
            self._counters.note("correction_not_noted", f"more than {_A_DAY} corrections in a day")
        return self._n_today <= _A_DAY


def _name(event: Event, feedback: Feedback) -> str:
    if not feedback.idempotency_key:
        return event.event_id
    return "k" + hashlib.blake2b(feedback.idempotency_key.encode("utf-8", "replace"), digest_size=16).hexdigest()

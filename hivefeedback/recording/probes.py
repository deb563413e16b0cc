"""One probe of a half-open deployment and one alarm of a breaker, however many processes see it.

A probe token is a record that a process claims by compare-and-set. It is claimed by who has calls for it
(else it would lie with a process that serves nothing), and returns when it was not settled in time. Times
are those of the loops' clocks: of processes minutes apart one may probe a little early or late.

Where the store cannot be asked each process probes and speaks for itself.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record, State
from hivefeedback.model import decoded
from hivefeedback.recording.feedback.owners import Owners

__all__ = ["ALARMED", "PROBE", "Probes"]

PROBE: Final = "probe"
"""Namespace of the tokens that are out, by variant."""
ALARMED: Final = "breaker_alarm"
"""Namespace of what was said last of a breaker, by variant."""
_KEPT_S = 30 * 86400.0
"""As long as a breaker is remembered that no run has touched."""


class _Token(Struct):
    origin: str
    at_s: float


class Probes:
    """Asks the store; on the store's thread.

    Args:
        state: The small records.
        owners: Knows who this process is, and the machine's time.
    """

    def __init__(self, state: State, owners: Owners) -> None:
        self._state, self._owners = state, owners

    def claim(self, variant: str, now_s: float, token_s: float) -> bool:
        """Take the token of a variant; False where another process has it.

        Args:
            variant: The half-open variant.
            now_s: By the loop's clock.
            token_s: After so long an unsettled token is anybody's.
        """
        found = self._state.get(PROBE, variant)
        token = _decoded(found)
        is_others = token is not None and token.origin != self._owners.own
        if token is not None and is_others and abs(now_s - token.at_s) < token_s:
            return False  # who asked a moment earlier may be heard a moment later
        return self._put(PROBE, variant, msgspec.json.encode(_Token(self._owners.own, now_s)), found)

    def is_news(self, variant: str, word: str) -> bool:
        """True for the first process that says of a variant's breaker that it opened, or that it closed."""
        found = self._state.get(ALARMED, variant)
        if found is not None and found.value == word.encode():
            return False
        return self._put(ALARMED, variant, word.encode(), found)

    def _put(self, namespace: str, key: str, value: bytes, found: Record | None) -> bool:
        record = Record(namespace, key, value, expires_at_s=self._owners.now() + _KEPT_S)
        try:
            self._state.put(record, expected=found.version if found is not None else 0)
        except ConflictError:
            return False
        return True


def _decoded(record: Record | None) -> _Token | None:
    try:
        return decoded(record.value, _Token) if record is not None else None
    except msgspec.DecodeError:
        return None

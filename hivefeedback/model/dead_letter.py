"""What could not be taken in, with the reason."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

__all__ = ["DEAD_LETTER", "DEAD_LETTER_KEPT_S", "Cause", "DeadLetter"]

DEAD_LETTER: Final = "dead_letter"
"""Namespace of the records in ``State``."""
DEAD_LETTER_KEPT_S: Final = 30 * 86400.0
"""How long one is kept: as long as the events by default, so that what it names is still in the log."""

Cause = Literal["refused", "unmatched", "subscriber", "lost"]


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, or several, that did not get where they should.

    Args:
        letter_id: Its name.
        at_s: When that was found, seconds since 1970 UTC by the loop's clock.
        cause: ``refused`` (it cannot be used), ``unmatched`` (feedback whose run never came),
            ``subscriber`` (a subscriber failed on it again and again), ``lost`` (a full ring or a store
            that is slow, gone or refuses: only how many is known).
        kind: What it was: ``run``, ``feedback``, ``decision`` …
        reason: Why, in a sentence.
        n_events: How many events it stands for.
        event_id: Id of the event in the log, where it is there.
        subscriber: Whose failure it was.
        body: What was told, as far as the log would keep it; None where nothing is left of it.
    """

    letter_id: str
    at_s: float
    cause: Cause
    kind: str
    reason: str
    n_events: int = 1
    event_id: str = ""
    subscriber: str = ""
    body: dict[str, Any] | None = None

"""What other processes told of breakers and of runs that this one owns, read at each poll."""

from __future__ import annotations

from typing import NamedTuple

from hivefeedback.hooks import State
from hivefeedback.recording.breaker import BREAKER, variants_told
from hivefeedback.recording.feedback.owners import Handed, Owners

__all__ = ["News", "Peers"]


class News(NamedTuple):
    """What is new.

    Args:
        handed: Judgements of runs that this process owns, with the origin of the run.
        lost: Origins that another process claimed, since this one gave no sign of life.
        breakers: What is known of variants, where it changed.
        asked: Feedback that processes which are gone had asked the log about, with their origin, and whether
            it was counted already.
    """

    handed: list[tuple[str, Handed]]
    lost: tuple[str, ...]
    breakers: dict[str, bytes]
    asked: list[tuple[str, str, bool]]


class Peers:
    """Reads the others' records; on the store's thread.

    Args:
        state: Where they are.
        owners: Which runs this process owns.
    """

    def __init__(self, state: State, owners: Owners) -> None:
        self._state, self._owners = state, owners
        self._versions: dict[str, int] = {}

    def breakers(self) -> dict[str, bytes]:
        """What is known of variants, where it changed since the last call."""
        found = self._state.list(BREAKER)
        changed = [r for r in found if r.version != self._versions.get(r.key)]
        self._versions = {r.key: r.version for r in found}
        return variants_told(changed)

    def news(self) -> News | None:
        """Everything that is new; None where nothing is.

        Raises:
            StoreError: It could not be read.
        """
        lost = self._owners.renew() if self._owners.is_due else ()
        news = News(self._owners.handed(), lost, self.breakers(), self._owners.asked())
        return news if any(news) else None

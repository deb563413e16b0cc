"""Erasing, as a user of the loop asks for it: events, and all that was kept because of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hivefeedback.engine.clearing import CLEARED
from hivefeedback.engine.dead_letters import erase_letters
from hivefeedback.engine.face import Face
from hivefeedback.engine.identity import stored_user
from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Selector
from hivefeedback.model import OBSERVED

__all__ = ["Erasing"]


class Erasing(Face):
    """Erases."""

    def erase(
        self,
        *,
        deployment: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        user: str | None = None,
        before: float | None = None,
        mutation: str | None = None,
        by: str = "program",
    ) -> int:
        """Remove events, feedback text and exemplars, and take back from the aggregates what is still
        in the log; answers how many events went. All given parts must hold.

        With ``agent`` alone also everything that this agent remembers goes, with the texts. What an
        agent remembers from feedback goes with the last of that feedback.

        With ``mutation`` the reasons that people gave with it go instead; answers how many texts.
        Every process forgets within seconds what it remembers of runs.

        In edge mode the log holds a sample, so what the other runs added stays in the aggregates, without
        ids (counted as ``erased_from_sample``); and what is said later of runs that were in memory alone
        joins them no more.

        Raises:
            InvalidInputError: Nothing was given, ``mutation`` together with something else, or a part that is no
                text (``before``: no number).
        """
        self._check_open()
        parts = {"deployment": deployment, "agent": agent, "session": session, "user": user, "before": before}
        given = [name for name, part in parts.items() if part is not None]
        if bool(given) == (mutation is not None):
            raise InvalidInputError("erase what? give deployment, agent, session, user or before; or mutation alone")
        _check_parts(parts)
        if mutation is not None:
            return self._control.erase_texts(mutation, by=by)
        self.flush()
        hashed = stored_user(self.store, user) if user is not None else None
        selector = Selector(deployment=deployment, agent=agent, session=session, user=hashed, before_s=before)
        n_events = self._erase_events(selector, given)
        if self.settings.event_log == "edge":
            self.counters.note("erased_from_sample", "aggregates keep what runs added that were not in the log")
        if self._engine is not None:
            self._engine.erased(" and ".join(given), n_events)
            self._control.note_erased(by=by)
        return n_events

    def _erase_events(self, selector: Selector, given: Sequence[str]) -> int:
        sources = self._control.sources()
        n_events = self._control.erase_events(selector)
        if given == ["agent"]:
            self._control.erase_memory(str(selector.agent))
        self._control.forget_erased(sources)
        self._memories.forget()
        erase_letters(self.store, selector)
        if given == ["deployment"]:
            self.store.state.delete(OBSERVED, str(selector.deployment))
            self.store.state.delete(CLEARED, str(selector.deployment))
        return n_events


def _check_parts(parts: Mapping[str, object]) -> None:
    for name, part in parts.items():
        is_number = isinstance(part, int | float) and part == part
        if part is not None and not (is_number if name == "before" else isinstance(part, str)):
            expected = "seconds since 1970" if name == "before" else "a text"
            raise InvalidInputError(f"{name} is {part!r:.100}; expected {expected}")

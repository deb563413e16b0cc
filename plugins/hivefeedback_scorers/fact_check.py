"""Scores whether an answer is true, by a function of yours; the score is called ``fact_check``.

No extra is needed::

    def is_true(run: Run) -> bool | float | None:
        return None if run.output is None else lookup(run.output)

    FeedbackLoop(plugins=[FactCheck(is_true)])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hivefeedback.hooks import Scorer, Voice, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted
from hivefeedback_scorers.later import Later
from hivefeedback_scorers.prefixes import by_prefix

__all__ = ["Check", "FactCheck"]

Check = Callable[[Run], bool | float | None]
"""Gets a run with ``input``, ``output``, ``reference``; answers whether it is true, how much of it in
[0, 1], or None for "cannot say"."""


class FactCheck:
    """Asks a function about each counted run with an output.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", output="2 + 2 = 5")
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> FactCheck(lambda run: "= 4" in (run.output or "")).score(event)[0].value
    0.0

    Args:
        check: The function. What it raises is caught, counted and named; after five errors in a row it
            is asked no more.
        operations: Prefixes of the operations that are checked; ``""`` is every operation.
        is_slow: It takes more than a millisecond: it is then called by a thread beside the recorder,
            what it raises is counted as ``fact_check_failed``, and its score comes later.
        max_waiting: Checks that may wait; further ones are counted as ``fact_check_skipped_full``.
    """

    name: str = "fact_check"
    needs_output = True

    def __init__(
        self, check: Check, *, operations: Sequence[str] = ("",), is_slow: bool = False, max_waiting: int = 100
    ) -> None:
        if not callable(check):
            raise TypeError(f"the check is {check!r}; expected a function of a run")
        self._check, self._operations = check, dict.fromkeys(operations, True)
        self._later = Later(self.name, max_waiting=max_waiting) if is_slow else None

    def take_voice(self, voice: Voice) -> None:
        """Speaks where the check is slow."""
        if self._later is not None:
            self._later.voice = voice

    def score(self, event: Event) -> Sequence[Score]:
        """What the function says of a run, or nothing yet where it is slow."""
        run = event.body
        if not isinstance(run, Run) or run.output is None or not is_counted(run.outcome):
            return ()
        if not by_prefix(self._operations, run.operation):
            return ()
        if self._later is not None:
            return self._later.ask(partial(self._score, event.event_id, run)) if self._later.has_room() else ()
        score = self._score(event.event_id, run)
        return () if score is None else (score,)

    def _score(self, run_id: str, run: Run) -> Score | None:
        answer = self._check(run)
        if answer is None:
            return None
        if not isinstance(answer, bool | int | float) or not 0 <= answer <= 1:
            raise ValueError(f"the check answered {answer!r:.100}; expected a bool, a number in [0, 1] or None")
        return Score(run_id=run_id, name=self.name, value=float(answer), source=self.name)

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The plugin is its scorer."""
        return (self,)

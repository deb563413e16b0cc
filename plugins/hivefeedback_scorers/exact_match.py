"""Scores 1 where the answer is the reference, 0 where it is not; silent without a reference.

No extra is needed: ``Run(..., output="Paris", reference="Paris")``. Options::

    options:
      exact_match: {ignore_case: true}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import PluginWithOptions, Scorer, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted

__all__ = ["ExactMatch", "ExactMatchOptions", "ExactMatchPlugin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatchOptions:
    """What counts as the same.

    Args:
        ignore_case: Compare without regard to case.
        ignore_space: Take any run of blanks for one; on, since models differ in line ends only.
    """

    ignore_case: bool = False
    ignore_space: bool = True


class ExactMatch:
    """Compares output and reference, blanks around them aside.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", output=" Paris\\n", reference="Paris")
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> ExactMatch().score(event)[0].value
    1.0
    """

    name = "exact_match"
    needs_output = True

    def __init__(self, options: ExactMatchOptions | None = None) -> None:
        self._options = options or ExactMatchOptions()

    def score(self, event: Event) -> Sequence[Score]:
        """One score of a counted run with output and reference."""
        run = event.body
        if not isinstance(run, Run) or run.reference is None or run.output is None or not is_counted(run.outcome):
            return ()
        value = float(self._plain(run.output) == self._plain(run.reference))
        return (Score(run_id=event.event_id, name=self.name, value=value, source=self.name),)

    def _plain(self, text: str) -> str:
        text = " ".join(text.split()) if self._options.ignore_space else text.strip()
        return text.casefold() if self._options.ignore_case else text


class ExactMatchPlugin(PluginWithOptions[ExactMatchOptions]):
    """Registers the scorer."""

    name = "exact_match"
    Options = ExactMatchOptions

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The scorer."""
        return (ExactMatch(self.options),)

"""Judges an answer by its length."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.model import Event, Run, Score

__all__ = ["BrevityScorer"]


class BrevityScorer:
    """1 for an answer of at most ``max_words`` words, falling to 0 at twice that.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", "x", output="one two three")
    >>> BrevityScorer(max_words=2).score(Event("p", 1, 1, "r", 0.0, 0.0, run))[0].value
    0.5
    """

    name = "brevity"

    def __init__(self, max_words: int = 200) -> None:
        self._max_words = max_words

    def score(self, event: Event) -> Sequence[Score]:
        """The score of a run that has an output; nothing else is judged."""
        run = event.body
        if not isinstance(run, Run) or run.output is None:
            return ()
        over = len(run.output.split()) / self._max_words - 1.0
        return [Score(event.event_id, self.name, min(1.0, max(0.0, 1.0 - over)), source=self.name)]

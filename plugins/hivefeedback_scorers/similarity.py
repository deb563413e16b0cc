"""Scores how near the answer comes to the reference: 1 the same, 0 nothing in common.

By words (the default, no extra is needed) this is the F1 of common words in any order, the measure
of SQuAD (Rajpurkar et al., EMNLP 2016). By characters it is the normalised Indel similarity of
rapidfuzz, extra ``similarity``, for codes and names where a typing error should cost little. What is
compared is never silently another thing where the extra is missing. Off unless switched on::

    options:
      similarity: {operations: [""], by: words}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hivefeedback.errors import MissingExtraError
from hivefeedback.hooks import Plugin, Scorer, hookimpl
from hivefeedback.model import Event, Run, Score, is_counted
from hivefeedback_scorers.prefixes import by_prefix

__all__ = ["Similarity", "SimilarityOptions", "SimilarityPlugin", "by_words"]

MAX_CHARS = 20_000
"""Only so much of either text is compared, since the recorder waits for it."""
MAX_CHARS_INDEL = 10_000
"""By characters the time grows with the product of the lengths."""
_WORD = re.compile(r"\w+")


def by_words(answer: str, reference: str) -> float:
    """F1 of common words, case aside: the harmonic mean of precision and recall.

    >>> by_words("The capital is Paris.", "Paris")
    0.4
    """
    mine, theirs = (Counter(_WORD.findall(text[:MAX_CHARS].casefold())) for text in (answer, reference))
    n = mine.total() + theirs.total()
    return 2 * (mine & theirs).total() / n if n else float(answer.strip() == reference.strip())


def _by_characters() -> Callable[[str, str], float]:
    try:
        from rapidfuzz.distance import Indel
    except ImportError as error:
        raise MissingExtraError("the scorer similarity by characters", "similarity") from error
    return lambda answer, reference: float(
        Indel.normalized_similarity(answer.strip()[:MAX_CHARS_INDEL], reference.strip()[:MAX_CHARS_INDEL])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityOptions:
    """What is compared how.

    Args:
        operations: Prefixes of the operations that are scored; none by default, since a free answer
            need not look like its reference to be right.
        by: ``words`` or ``characters``.
    """

    operations: tuple[str, ...] = ()
    by: Literal["words", "characters"] = "words"


class Similarity:
    """Compares output and reference.

    >>> from hivefeedback.model import Event, Run
    >>> run = Run("a", output="Paris, France", reference="Paris")
    >>> event = Event(producer="p", epoch=1, seq=1, event_id="r", event_time_s=0.0, ingest_time_s=0.0, body=run)
    >>> round(Similarity().score(event)[0].value, 2)
    0.67

    Raises:
        MissingExtraError: By characters, and rapidfuzz is not installed.
    """

    name = "similarity"
    needs_output = True

    def __init__(self, options: SimilarityOptions | None = None) -> None:
        options = options or SimilarityOptions(operations=("",))
        self._operations = dict.fromkeys(options.operations, True)
        self._near = by_words if options.by == "words" else _by_characters()

    def score(self, event: Event) -> Sequence[Score]:
        """One score of a counted run with output and reference."""
        run = event.body
        if not isinstance(run, Run) or run.reference is None or run.output is None or not is_counted(run.outcome):
            return ()
        if not by_prefix(self._operations, run.operation):
            return ()
        value = self._near(run.output, run.reference)
        return (Score(run_id=event.event_id, name=self.name, value=value, source=self.name),)


class SimilarityPlugin(Plugin):
    """Registers the scorer, if there is an operation for it."""

    name = "similarity"
    Options = SimilarityOptions

    def __init__(self) -> None:
        self._scorer: Similarity | None = None

    def configure(self, options: object) -> None:
        """Take the options; a missing extra is told here, at start."""
        assert isinstance(options, SimilarityOptions)
        self._scorer = Similarity(options) if options.operations else None

    @hookimpl
    def hive_scorers(self) -> Sequence[Scorer]:
        """The scorer, or nothing without operations."""
        return (self._scorer,) if self._scorer else ()

"""What the ring carries from the application's threads to the recorder."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from hivefeedback.model.feedback import Feedback
from hivefeedback.model.run import Run

__all__ = ["TEXTS", "Item", "n_chars_of", "without_texts"]

Item = tuple[int, float, object]
"""(seq, event time in seconds since 1970 UTC, what happened)."""
TEXTS: Final = "texts"
"""Name under which texts are counted that were dropped, while the run or feedback was kept."""


def n_chars_of(thing: object) -> int:
    """Length of the free texts of a run or feedback: the only part of it that may be large.

    >>> n_chars_of(Run("a", input="hello")), n_chars_of(Feedback(comment="no")), n_chars_of(None)
    (5, 2, 0)
    """
    if isinstance(thing, Run):
        texts = (thing.input, thing.output, thing.reference)
    elif isinstance(thing, Feedback):
        texts = (thing.comment, thing.correction, None)
    else:
        return 0
    return sum(len(text) for text in texts if isinstance(text, str))


def without_texts(thing: object) -> object:
    """The run or feedback without its free texts."""
    if isinstance(thing, Run):
        return replace(thing, input=None, output=None, reference=None)
    return replace(thing, comment="", correction="") if isinstance(thing, Feedback) else thing

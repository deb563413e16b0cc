"""Hears the tone of comments: a judgement ``sentiment`` in [0, 1] of the run that a comment is about.

0.5 is neutral. The words themselves go nowhere. The tone comes from a list of English words by
TextBlob, extra ``sentiment``: a guess, good enough to see that the tone of many comments changed
(``dissatisfaction`` reports that), not to judge one run, so it enters rewards only where
``judgements`` names it. Off unless switched on::

    options:
      sentiment: {enabled: true}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from hivefeedback.errors import MissingExtraError
from hivefeedback.hooks import Collected, Plugin, Voice, hookimpl
from hivefeedback.model import Event, Feedback

__all__ = ["SentimentOptions", "SentimentPlugin"]

MAX_CHARS = 500
"""Only so much of a comment is read: the recorder waits, and the first sentences hold the tone."""
_SOURCE = "sentiment"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentimentOptions:
    """Whether comments are read.

    Args:
        enabled: Off, since it needs an extra, and the words it knows are English.
    """

    enabled: bool = False


class SentimentPlugin(Plugin):
    """Reads the comment of each feedback and says its tone of the same run.

    Args:
        tone: From a text to −1 (bad) … 1 (good), or None where it cannot say; default: TextBlob's
            polarity, None where it knows no word of it.
    """

    name = "sentiment"
    Options = SentimentOptions

    def __init__(self, tone: Callable[[str], float | None] | None = None) -> None:
        self._tone = tone
        self._voice: Voice | None = None

    def configure(self, options: object) -> None:
        """Take the options; a missing extra is told here, at start."""
        assert isinstance(options, SentimentOptions)
        if options.enabled and self._tone is None:
            self._tone = _textblob()

    def take_voice(self, voice: Voice) -> None:
        """What it says joins whatever the comment joins."""
        self._voice = voice

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> Collected | None:
        """Nothing at once; the tone is said of the run that the feedback is about."""
        if self._tone is None or self._voice is None:
            return None
        for event in events:
            feedback = event.body
            if isinstance(feedback, Feedback) and feedback.comment and feedback.source != _SOURCE:
                tone = self._tone(feedback.comment[:MAX_CHARS])
                if tone is not None:
                    self._voice.say(_said(event.event_id, feedback, tone))
        return None


def _said(feedback_id: str, about: Feedback, tone: float) -> Feedback:
    """The tone, by the same names of a run; one that is said again under a key replaces the first."""
    return replace(
        about,
        name="sentiment",
        value=(min(max(tone, -1.0), 1.0) + 1.0) / 2.0,
        rating=None,
        comment="",
        correction="",
        source=_SOURCE,
        idempotency_key=f"{_SOURCE}:{about.idempotency_key or feedback_id}",
    )


def _textblob() -> Callable[[str], float | None]:
    try:
        from textblob import TextBlob  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise MissingExtraError("the tone of comments", "sentiment") from error

    def tone(text: str) -> float | None:
        found = TextBlob(text).sentiment
        is_known = found.polarity or found.subjectivity
        return float(found.polarity) if is_known else None

    return tone

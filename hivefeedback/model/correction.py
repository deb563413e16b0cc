"""Corrections that people gave, as small records: who was corrected, and a hash of how.

The text itself is in the log's feedback event alone, so that erasing it there erases it everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec
from msgspec import Struct

from hivefeedback.model.decoding import decoded

__all__ = ["CORRECTION", "Correction", "normalised", "read_correction"]

CORRECTION: Final = "correction"
"""Namespace of ``State``."""
_BLANKS = re.compile(r"\s+")
_EDGES: Final = " .!?,;:\"'`«»“”„‘’()[]"


class Correction(Struct, frozen=True):
    """One correction.

    Args:
        words: Keyed hash of the normalised text; alike for the same words. Empty: withdrawn.
        event_id: The feedback event that holds the text.
        at_s: When it was given, seconds since 1970 UTC.
        agent: Who was corrected; empty until the turn has looked for the run that it is about.
    """

    words: str
    event_id: str
    at_s: float
    agent: str = ""


def normalised(text: str) -> str:
    """A text without what does not make it another one: case, width, blanks, marks at its edges.

    >>> normalised('  "Use  the metric SYSTEM." ')
    'use the metric system'
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _BLANKS.sub(" ", plain).strip(_EDGES)


def read_correction(value: bytes) -> Correction | None:
    """A correction from its record; None where it is none."""
    try:
        return decoded(value, Correction)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # written by another version: it counts for nothing
        return None

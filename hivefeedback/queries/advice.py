"""What to do about a judgement that is worse than it should be, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["advice"]

_REMEDIES: Final[Mapping[str, str]] = {
    "relevance": "say in its prompt what belongs into an answer and what does not",
    "accuracy": "give it sources or a fact check, or a stronger model",
    "helpfulness": "say in its prompt what the answer is needed for, and ask for the next step",
    "creativity": "raise its temperature inside declared bounds, or ask for several variants",
    "overall": "read its newest low ratings, and try another version of its prompt",
    "rating": "read its newest low ratings, and try another version of its prompt",
    "helpful": "read what was not helpful, and try another version of its prompt",
    "complaint": "read the newest complaints; a repeated one belongs into the prompt",
    "correction": "let repeated corrections be remembered, or put them into the prompt",
    "loop_back": "widen the candidates of the operation, or verify more strictly",
    "fact_check": "give it sources, or verify more strictly",
    "json_schema": "show the schema in its prompt, or have the provider enforce it",
    "length": "say the wanted length in its prompt, or set max_tokens",
    "sentiment": "read the newest comments",
}
_ANYTHING: Final = "look at its newest runs that were judged low, and try another version of its prompt"


def advice(name: str, *, operation: str, better: str | None, value: float | None) -> str:
    """A suggestion.

    Args:
        name: Of the feedback or score.
        operation: Where.
        better: A deployment that is better there beyond chance, or None.
        value: Its mean.

    >>> advice("relevance", operation="x", better="b", value=0.63)
    "route 'x' to 'b' (0.63), or say in its prompt what belongs into an answer and what does not"
    """
    remedy = _REMEDIES.get(name, _ANYTHING)
    return (
        remedy if better is None or value is None else f"route {operation!r} to {better!r} ({value:.2f}), or {remedy}"
    )

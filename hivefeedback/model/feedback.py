"""Signals about a run: feedback from outside, scores of our own."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

__all__ = ["INVERTED", "KNOWN_NAMES", "UNREWARDED", "Feedback", "Score", "has_value"]

KNOWN_NAMES: Final[tuple[str, ...]] = (
    "success",
    "rating",
    "relevance",
    "accuracy",
    "helpfulness",
    "creativity",
    "overall",
    "helpful",
    "complaint",
    "correction",
    "fact_check",
    "loop_back",
)
INVERTED: Final[frozenset[str]] = frozenset({"complaint", "correction", "loop_back"})
"""Names that speak against the run: they enter the reward as 1 − value."""
UNREWARDED: Final[frozenset[str]] = frozenset({"sentiment"})
"""Guesses: they are counted and analysed, and enter a reward only where ``judgements`` names them."""


class Feedback(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="feedback"):
    """A signal from outside, often late.

    Args:
        name: What is said; see ``KNOWN_NAMES``, other names are allowed.
        value: A bool or a number in [0, 1]; None where ``rating`` is given, where the fact
            alone counts (``complaint``, ``correction``: then 1), or where a comment says it all: that is
            kept as ``comment`` and heard by analyzers, and judges nothing.
        rating: 1–5, stored as (rating − 1) / 4.
        comment: Free text; never enters a prompt except through a person.
        correction: What the answer should have been.
        source: Who says it.
        idempotency_key: The same key replaces, never adds.
        run_id, trace_id, decision_id, response_id: What it joins by, the first that is given.
        session_id: Without any of those it joins the session's latest run.
        agent_id, deployment: Kept for these where nothing joins; then it credits no decision.
        operation: Helps where nothing joins.
    """

    name: str = "rating"
    value: bool | float | None = None
    rating: float | None = None
    comment: str = ""
    correction: str = ""
    source: str = ""
    idempotency_key: str = ""
    run_id: str = ""
    trace_id: str = ""
    decision_id: str = ""
    response_id: str = ""
    session_id: str = ""
    agent_id: str = ""
    deployment: str = ""
    operation: str = ""


def has_value(feedback: Feedback) -> bool:
    """Whether feedback judges something; a comment alone does not.

    >>> has_value(Feedback(rating=4.0)), has_value(Feedback("complaint")), has_value(Feedback(comment="nice"))
    (True, True, False)
    """
    is_given = feedback.value is not None or feedback.rating is not None
    return is_given or feedback.name in INVERTED or bool(feedback.correction)


class Score(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="score"):
    """Our own judgement of a run.

    Args:
        run_id: The run that is judged.
        name: What was judged, such as ``exact_match``.
        value: 0 (bad) … 1 (good).
        source: The scorer that says it.
        explanation: Short reason, without content of prompts or answers.
    """

    run_id: str
    name: str
    value: float
    source: str = ""
    explanation: str = ""

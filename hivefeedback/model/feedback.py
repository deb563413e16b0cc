"""Signals about a run: feedback from outside, scores of our own."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

__all__ = ["INVERTED", "KNOWN_NAMES", "UNREWARDED", "Feedback", "Score"]

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
        value: A bool or a number in [0, 1]; None where ``rating`` is given, or where the fact
            alone counts (``complaint``, ``correction``: then 1).
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

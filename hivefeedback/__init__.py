"""Closes the loop between what LLM agents do in production and the configuration they run with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hivefeedback.hooks import Plugin, hookimpl
    from hivefeedback.loop import FeedbackLoop, Stats, TrackedRun, Turn
    from hivefeedback.model import Decision, Deployment, Feedback, Mutation, MutationKind, Price, Run, Score
    from hivefeedback.queries import (
        Assignments,
        Blacklisted,
        Comparison,
        Evaluations,
        InsightLimits,
        Insights,
        Ranks,
        Recommendation,
        Trend,
    )

__all__ = [
    "Adapter",
    "Assignments",
    "Blacklisted",
    "Comparison",
    "Decision",
    "Deployment",
    "Evaluations",
    "Feedback",
    "FeedbackLoop",
    "InsightLimits",
    "Insights",
    "Mutation",
    "MutationKind",
    "Plugin",
    "Price",
    "Ranks",
    "Recommendation",
    "Run",
    "Score",
    "Stats",
    "TrackedRun",
    "Trend",
    "Turn",
    "hookimpl",
]

_HOMES = {
    "FeedbackLoop": "hivefeedback.loop",
    "Assignments": "hivefeedback.queries",
    "Blacklisted": "hivefeedback.queries",
    "Comparison": "hivefeedback.queries",
    "Evaluations": "hivefeedback.queries",
    "InsightLimits": "hivefeedback.queries",
    "Insights": "hivefeedback.queries",
    "Ranks": "hivefeedback.queries",
    "Recommendation": "hivefeedback.queries",
    "Trend": "hivefeedback.queries",
    "Stats": "hivefeedback.loop",
    "TrackedRun": "hivefeedback.loop",
    "Turn": "hivefeedback.loop",
    "Plugin": "hivefeedback.hooks",
    "hookimpl": "hivefeedback.hooks",
}


def __getattr__(name: str) -> object:
    """Public names are imported when they are first used (PEP 562), so that this import is light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "hivefeedback.model")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

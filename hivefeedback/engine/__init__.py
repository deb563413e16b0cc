"""Puts serving, recording and control together; the loop is its face."""

from hivefeedback.engine.engine import Engine
from hivefeedback.engine.identity import Identity, new_identity
from hivefeedback.engine.outcomes import outcome_of
from hivefeedback.engine.tracked import TrackedRun, Tracking
from hivefeedback.engine.values import EngineValues

__all__ = [
    "Engine",
    "EngineValues",
    "Identity",
    "TrackedRun",
    "Tracking",
    "new_identity",
    "outcome_of",
]

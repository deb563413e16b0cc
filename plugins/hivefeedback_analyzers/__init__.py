"""Analyzers: what got worse, or could be better."""

from hivefeedback_analyzers.degradation import DegradationAnalyzer, DegradationOptions
from hivefeedback_analyzers.dissatisfaction import DissatisfactionAnalyzer, DissatisfactionOptions
from hivefeedback_analyzers.sentiment import SentimentOptions, SentimentPlugin

__all__ = [
    "DegradationAnalyzer",
    "DegradationOptions",
    "DissatisfactionAnalyzer",
    "DissatisfactionOptions",
    "SentimentOptions",
    "SentimentPlugin",
]

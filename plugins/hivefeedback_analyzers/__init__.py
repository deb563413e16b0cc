"""Analyzers: what got worse, or could be better."""

from hivefeedback_analyzers.cost import CostAnalyzer, CostOptions
from hivefeedback_analyzers.degradation import DegradationAnalyzer, DegradationOptions
from hivefeedback_analyzers.dissatisfaction import DissatisfactionAnalyzer, DissatisfactionOptions
from hivefeedback_analyzers.imbalance import ImbalanceAnalyzer, ImbalanceOptions
from hivefeedback_analyzers.sentiment import SentimentOptions, SentimentPlugin
from hivefeedback_analyzers.targets import TargetsAnalyzer, TargetsOptions
from hivefeedback_analyzers.underuse import UnderuseAnalyzer, UnderuseOptions

__all__ = [
    "CostAnalyzer",
    "CostOptions",
    "DegradationAnalyzer",
    "DegradationOptions",
    "DissatisfactionAnalyzer",
    "DissatisfactionOptions",
    "ImbalanceAnalyzer",
    "ImbalanceOptions",
    "SentimentOptions",
    "SentimentPlugin",
    "TargetsAnalyzer",
    "TargetsOptions",
    "UnderuseAnalyzer",
    "UnderuseOptions",
]

"""Analyzers: what got worse, or could be better."""

from hivefeedback_analyzers.degradation import DegradationAnalyzer, DegradationOptions
from hivefeedback_analyzers.dissatisfaction import DissatisfactionAnalyzer, DissatisfactionOptions

__all__ = ["DegradationAnalyzer", "DegradationOptions", "DissatisfactionAnalyzer", "DissatisfactionOptions"]

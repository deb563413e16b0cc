"""Scorers: judge runs in [0, 1]."""

from hivefeedback_scorers.exact_match import ExactMatch, ExactMatchOptions, ExactMatchPlugin
from hivefeedback_scorers.pattern import Pattern, PatternOptions, PatternPlugin

__all__ = ["ExactMatch", "ExactMatchOptions", "ExactMatchPlugin", "Pattern", "PatternOptions", "PatternPlugin"]

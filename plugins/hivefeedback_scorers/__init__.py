"""Scorers: judge runs in [0, 1]."""

from hivefeedback_scorers.exact_match import ExactMatch, ExactMatchOptions, ExactMatchPlugin
from hivefeedback_scorers.fact_check import Check, FactCheck
from hivefeedback_scorers.json_schema import JsonSchema, JsonSchemaOptions, JsonSchemaPlugin
from hivefeedback_scorers.length import Length, LengthBounds, LengthOptions, LengthPlugin
from hivefeedback_scorers.model_judge import Ask, ModelJudge, ModelJudgeOptions
from hivefeedback_scorers.pattern import Pattern, PatternOptions, PatternPlugin
from hivefeedback_scorers.similarity import Similarity, SimilarityOptions, SimilarityPlugin

__all__ = [
    "Ask",
    "Check",
    "ExactMatch",
    "ExactMatchOptions",
    "ExactMatchPlugin",
    "FactCheck",
    "JsonSchema",
    "JsonSchemaOptions",
    "JsonSchemaPlugin",
    "Length",
    "LengthBounds",
    "LengthOptions",
    "LengthPlugin",
    "ModelJudge",
    "ModelJudgeOptions",
    "Pattern",
    "PatternOptions",
    "PatternPlugin",
    "Similarity",
    "SimilarityOptions",
    "SimilarityPlugin",
]

"""Rankers: order deployments in 0–100. One algorithm, one file."""

from hivefeedback_rankers.adaptive import AdaptiveOptions, AdaptivePlugin, AdaptiveRanker
from hivefeedback_rankers.balanced import BalancedOptions, BalancedPlugin, BalancedRanker
from hivefeedback_rankers.contender import Contender
from hivefeedback_rankers.criteria import (
    AccuracyRanker,
    ContinuityRanker,
    CostRanker,
    CreativityRanker,
    CriteriaOptions,
    CriteriaPlugin,
)
from hivefeedback_rankers.latency import latency_score
from hivefeedback_rankers.load import LoadOptions, LoadPlugin, LoadRanker, load_score
from hivefeedback_rankers.performance import Performance, performances
from hivefeedback_rankers.policy import RankedPolicy
from hivefeedback_rankers.quality import QualityOptions, QualityPlugin, QualityRanker
from hivefeedback_rankers.record import DecisionRecord, record_of
from hivefeedback_rankers.reliable import ReliableOptions, ReliablePlugin, ReliableRanker
from hivefeedback_rankers.speed import SpeedOptions, SpeedPlugin, SpeedRanker
from hivefeedback_rankers.thresholds import (
    ThresholdsOptions,
    ThresholdsPlugin,
    ThresholdsRanker,
    ThresholdsSpeedRanker,
)

__all__ = [
    "AccuracyRanker",
    "AdaptiveOptions",
    "AdaptivePlugin",
    "AdaptiveRanker",
    "BalancedOptions",
    "BalancedPlugin",
    "BalancedRanker",
    "Contender",
    "ContinuityRanker",
    "CostRanker",
    "CreativityRanker",
    "CriteriaOptions",
    "CriteriaPlugin",
    "DecisionRecord",
    "LoadOptions",
    "LoadPlugin",
    "LoadRanker",
    "Performance",
    "QualityOptions",
    "QualityPlugin",
    "QualityRanker",
    "RankedPolicy",
    "ReliableOptions",
    "ReliablePlugin",
    "ReliableRanker",
    "SpeedOptions",
    "SpeedPlugin",
    "SpeedRanker",
    "ThresholdsOptions",
    "ThresholdsPlugin",
    "ThresholdsRanker",
    "ThresholdsSpeedRanker",
    "latency_score",
    "load_score",
    "performances",
    "record_of",
]

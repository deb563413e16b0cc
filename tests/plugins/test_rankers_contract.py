"""Every built-in ranker passes the contract that strangers get."""

from __future__ import annotations

from hivefeedback.hooks import Ranker
from hivefeedback.testing import RankerContract
from hivefeedback_rankers import (
    AccuracyRanker,
    AdaptiveOptions,
    AdaptiveRanker,
    BalancedRanker,
    ContinuityRanker,
    CostRanker,
    CreativityRanker,
    LoadRanker,
    QualityRanker,
    ReliableRanker,
    SpeedRanker,
    ThresholdsRanker,
    ThresholdsSpeedRanker,
)


class TestAdaptive(RankerContract):
    def make_ranker(self) -> Ranker:
        return AdaptiveRanker()


class TestSmoothAdaptive(RankerContract):
    def make_ranker(self) -> Ranker:
        return AdaptiveRanker(AdaptiveOptions(mode="smooth", shrinkage=20.0))


class TestBalanced(RankerContract):
    def make_ranker(self) -> Ranker:
        return BalancedRanker()


class TestSpeed(RankerContract):
    def make_ranker(self) -> Ranker:
        return SpeedRanker()


class TestQuality(RankerContract):
    def make_ranker(self) -> Ranker:
        return QualityRanker()


class TestReliable(RankerContract):
    def make_ranker(self) -> Ranker:
        return ReliableRanker()


class TestCost(RankerContract):
    def make_ranker(self) -> Ranker:
        return CostRanker()


class TestAccuracy(RankerContract):
    def make_ranker(self) -> Ranker:
        return AccuracyRanker()


class TestCreativity(RankerContract):
    def make_ranker(self) -> Ranker:
        return CreativityRanker()


class TestContinuity(RankerContract):
    def make_ranker(self) -> Ranker:
        return ContinuityRanker()


class TestThresholds(RankerContract):
    def make_ranker(self) -> Ranker:
        return ThresholdsRanker()


class TestThresholdsSpeed(RankerContract):
    def make_ranker(self) -> Ranker:
        return ThresholdsSpeedRanker()


class TestLoad(RankerContract):
    def make_ranker(self) -> Ranker:
        return LoadRanker().seeing({"good": 3})

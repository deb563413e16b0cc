"""Answers to questions about a window: pure functions of its aggregates and of what is served."""

from hivefeedback.queries.assign import AgentAssignment, Assignments, assign
from hivefeedback.queries.basis import Basis, Shut
from hivefeedback.queries.benefit import CostBenefit
from hivefeedback.queries.blacklist import Blacklisted, blacklist
from hivefeedback.queries.checks import check_operation, check_positive
from hivefeedback.queries.compare import Comparison, ComparisonRow, Ranking, compare
from hivefeedback.queries.evaluations import Evaluation, Evaluations, Judgement, evaluations
from hivefeedback.queries.insight import Insight
from hivefeedback.queries.insights import InsightLimits, Insights, insights
from hivefeedback.queries.llmhive import LoggedQuery, query_runs
from hivefeedback.queries.metrics import METRICS
from hivefeedback.queries.rank import RankRow, Ranks, rank
from hivefeedback.queries.recommend import LeftOut, Recommendation, recommend
from hivefeedback.queries.stats import RATINGS, StatRow, Stats, stats_of
from hivefeedback.queries.trend import Trend, TrendPoint, trend

__all__ = [
    "METRICS",
    "RATINGS",
    "AgentAssignment",
    "Assignments",
    "Basis",
    "Blacklisted",
    "Comparison",
    "ComparisonRow",
    "CostBenefit",
    "Evaluation",
    "Evaluations",
    "Insight",
    "InsightLimits",
    "Insights",
    "Judgement",
    "LeftOut",
    "LoggedQuery",
    "RankRow",
    "Ranking",
    "Ranks",
    "Recommendation",
    "Shut",
    "StatRow",
    "Stats",
    "Trend",
    "TrendPoint",
    "assign",
    "blacklist",
    "check_operation",
    "check_positive",
    "compare",
    "evaluations",
    "insights",
    "query_runs",
    "rank",
    "recommend",
    "stats_of",
    "trend",
]

"""The decision record of the adaptive ranking: why a deployment got its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hivefeedback.hooks import Ranked

__all__ = ["DecisionRecord", "record_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """Capability against performance, all scores 0–100 at full precision.

    Args:
        capability_score: What was declared.
        performance_score: After performance and penalties; the capability where there is no data.
        performance_adjustment: The second minus the first.
        has_performance_data: True where there were enough runs.
        success_rate: In [0, 1], where there is data.
        avg_latency_ms: Mean latency in milliseconds, where there is data.
        final: The score that decides.
    """

    capability_score: float
    performance_score: float
    performance_adjustment: float
    has_performance_data: bool
    success_rate: float | None = None
    avg_latency_ms: float | None = None
    final: float

    def parts(self) -> dict[str, float]:
        """The record as parts of a ``Ranked``: truth as 1 or 0, what is unknown left out."""
        known = {name: getattr(self, name) for name in self.__slots__}
        return {name: float(value) for name, value in known.items() if value is not None}

    def as_json(self, agent_id: str, model_id: str, *, digits: int = 2) -> dict[str, str | float | bool]:
        """One assignment as the S3 API answers it; scores are rounded here and nowhere else.

        >>> r = DecisionRecord(capability_score=85.0, performance_score=88.95, performance_adjustment=3.95,
        ...     has_performance_data=True, success_rate=0.99, avg_latency_ms=120.0, final=88.95)
        >>> r.as_json("agent_gpu_1", "llama3-70b")["performance_adjustment"]
        3.95
        """
        answer: dict[str, str | float | bool] = {
            "agent_id": agent_id,
            "model_id": model_id,
            "capability_score": round(self.capability_score, digits),
            "performance_score": round(self.performance_score, digits),
            "performance_adjustment": round(self.performance_adjustment, digits),
            "has_performance_data": self.has_performance_data,
        }
        if self.success_rate is not None:
            answer["success_rate"] = self.success_rate
        if self.avg_latency_ms is not None:
            answer["avg_latency_ms"] = self.avg_latency_ms
        return answer


def record_of(ranked: Ranked) -> DecisionRecord:
    """The record that is in the parts of a place given by the adaptive ranker.

    Raises:
        KeyError: Another ranker gave it.
    """
    parts: Mapping[str, float] = ranked.parts
    return DecisionRecord(
        capability_score=parts["capability_score"],
        performance_score=parts["performance_score"],
        performance_adjustment=parts["performance_adjustment"],
        has_performance_data=bool(parts["has_performance_data"]),
        success_rate=parts.get("success_rate"),
        avg_latency_ms=parts.get("avg_latency_ms"),
        final=parts["final"],
    )

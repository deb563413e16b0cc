"""The policy file: pipeline, thresholds, targets and limits, as sections of ``hivefeedback.yaml``.

They say in the words of people who run a system what plugins take as options; ``plugin_options``
is the one place where the one becomes the other. Where ``options`` names the same value, it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "STAGES",
    "InsightValues",
    "Limits",
    "Performance",
    "Rating",
    "ResponseTime",
    "Satisfaction",
    "StageEntry",
    "Targets",
    "Thresholds",
    "checked_pipeline",
    "insight_limits",
    "plugin_options",
]

STAGES: Final = ("collect", "analyze", "plan", "validate", "execute", "monitor")
_ALSO_CALLED: Final = {"decide": "plan"}
_NEEDED: Final = ("validate", "monitor")
"""Stages that keep people from harm: nothing is served unjudged, and no canary unwatched."""
_CHOOSES: Final = ("analyze", "plan")
"""Stages whose plugins may be named one by one."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StageEntry(_Section):
    """A stage of the pipeline; a bare name stands for a stage that is on."""

    name: str = Field(description="collect, analyze, plan (or decide), validate, execute, monitor")
    enabled: bool = Field(default=True, description="off: the stage has nothing to say; execute off is advise")
    plugins: list[str] | None = Field(
        default=None, description="only these plugins, for analyze and plan; default: all"
    )
    timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="how long a plugin may take in this stage; default: hook_timeout_s, execute_timeout_s",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _is_possible(self) -> StageEntry:
        self.name = _ALSO_CALLED.get(self.name, self.name)
        if self.name not in STAGES:
            raise ValueError(f"stage {self.name!r} is not known; the stages are {', '.join(STAGES)}")
        if self.name in _NEEDED and not self.enabled:
            raise ValueError(
                f"stage {self.name!r} cannot be switched off: nothing is served unjudged or unwatched; "
                "mode: observe switches all off that changes something"
            )
        if self.plugins is not None and self.name not in _CHOOSES:
            raise ValueError(f"stage {self.name!r} takes no plugins; plugins_deny leaves one out everywhere")
        return self


def checked_pipeline(entries: Sequence[StageEntry]) -> list[StageEntry]:
    """The stages in calling order; a stage that a given list leaves out is off.

    Raises:
        ValueError: A stage is named twice, out of order, or left out though it is needed.
    """
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError(f"a stage is named twice: {', '.join(names)}")
    if names != [name for name in STAGES if name in names]:
        raise ValueError(f"the stages are called in the order {', '.join(STAGES)}; got {', '.join(names)}")
    by_name = {entry.name: entry for entry in entries}
    return [by_name.get(name) or StageEntry(name=name, enabled=False) for name in STAGES]


class ResponseTime(_Section):
    """Mean response time from which it is told."""

    warning_threshold_ms: float = Field(default=1500.0, gt=0, description="from here it is a warning, milliseconds")
    critical_threshold_ms: float = Field(default=3000.0, gt=0, description="from here it is critical, milliseconds")

    @model_validator(mode="after")
    def _grows(self) -> ResponseTime:
        if self.critical_threshold_ms < self.warning_threshold_ms:
            raise ValueError("critical_threshold_ms must not be below warning_threshold_ms")
        return self


class Rating(_Section):
    """Mean rating below which it is told."""

    warning_threshold: float = Field(default=3.5, ge=1, le=5, description="below it is a warning, in stars from 1 to 5")
    critical_threshold: float = Field(default=2.5, ge=1, le=5, description="below it is critical, in stars from 1 to 5")

    @model_validator(mode="after")
    def _falls(self) -> Rating:
        if self.critical_threshold > self.warning_threshold:
            raise ValueError("critical_threshold must not be above warning_threshold")
        return self


class Performance(_Section):
    """Thresholds of performance."""

    response_time: ResponseTime = Field(default_factory=ResponseTime, description="of the mean response time")


class Satisfaction(_Section):
    """Thresholds of satisfaction."""

    rating: Rating = Field(default_factory=Rating, description="of the mean rating")


class Thresholds(_Section):
    """From where on something is told as a warning or as critical."""

    performance: Performance = Field(default_factory=Performance, description="response time")
    satisfaction: Satisfaction = Field(default_factory=Satisfaction, description="ratings")


class Targets(_Section):
    """What is to be reached; a target that is missed is a finding."""

    response_time_change: float | None = Field(
        default=-0.2,
        gt=-1,
        lt=1,
        description="change of the mean response time against the time before, -0.2 is 20 % faster",
    )
    success_rate: float | None = Field(default=0.95, gt=0, le=1, description="share of successful runs")
    rating: float | None = Field(default=4.5, ge=1, le=5, description="mean rating in stars")
    cost_change: float | None = Field(
        default=-0.2, gt=-1, lt=1, description="change of the cost per run, -0.2 is 20 % cheaper"
    )


class Limits(_Section):
    """What may be changed without a person."""

    max_mutations_per_hour: int = Field(
        default=10, ge=0, description="changes that may first reach anyone in a rolling hour"
    )
    min_confidence: float = Field(default=0.7, ge=0, le=1, description="smallest confidence of a planned change")
    require_approval_for_high_risk: bool = Field(
        default=True, description="a change of high risk waits for a person; what contains words of users always does"
    )
    auto_rollback: bool = Field(
        default=True,
        description="off: a harmful canary is served to nobody and waits for a person instead of being taken back",
    )


def plugin_options(
    *,
    thresholds: Thresholds | None,
    targets: Targets | None,
    limits: Limits | None,
    given: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Options of plugins as the sections say them, with what ``options`` says on top.

    Args:
        thresholds, targets, limits: The sections; None where the file has none.
        given: The setting ``options``.
    """
    found: dict[str, dict[str, Any]] = {}
    if limits is not None:
        found["limits"] = {"max_per_hour": limits.max_mutations_per_hour, "min_confidence": limits.min_confidence}
    if thresholds is not None:
        rating, response = thresholds.satisfaction.rating, thresholds.performance.response_time
        found["dissatisfaction"] = {
            "warn_rating": rating.warning_threshold,
            "critical_rating": rating.critical_threshold,
        }
        found["targets"] = {
            "warn_response_ms": response.warning_threshold_ms,
            "critical_response_ms": response.critical_threshold_ms,
        }
    if targets is not None:
        found["targets"] = {**found.get("targets", {}), **targets.model_dump()}
    return {name: {**found.get(name, {}), **given.get(name, {})} for name in {**found, **given}}


class InsightValues(TypedDict, total=False):
    """Limits of ``insights`` by their names there."""

    slow_s: float
    critical_slow_s: float
    low_rating: float
    critical_low_rating: float


def insight_limits(thresholds: Thresholds | None) -> InsightValues:
    """The same thresholds as the limits from where on ``insights`` warns; empty: as they are."""
    if thresholds is None:
        return {}
    rating, response = thresholds.satisfaction.rating, thresholds.performance.response_time
    return {
        "slow_s": response.warning_threshold_ms / 1000.0,
        "critical_slow_s": response.critical_threshold_ms / 1000.0,
        "low_rating": rating.warning_threshold,
        "critical_low_rating": rating.critical_threshold,
    }

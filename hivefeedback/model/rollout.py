"""An open rollout and what its monitor knows of it."""

from __future__ import annotations

from dataclasses import dataclass

from hivefeedback.model.change import Decided, Mutation, Patch

__all__ = ["ArmCounts", "Outlook", "Rollout", "StepCounts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A mutation that is served to a share of the units.

    Args:
        rollout_id: The mutation's id.
        mutation: What is rolled out.
        patch: What the canary arm is served with, on top of the configuration.
        salt: Part of the hash that assigns units; new for each rollout, so that no unit is in
            the canary of every rollout.
        share: The canary's share of units now, in (0, 1].
        step: Index of the share among the steps.
        started_at_s: When the canary began, seconds since 1970 UTC.
        step_started_at_s: When this step began.
        is_paused: True while nobody is assigned and a person has to look.
        limits: Bounds fixed from earlier data, above which a unit fails by the guardrail:
            ``latency`` in seconds, ``cost`` in USD.
    """

    rollout_id: str
    mutation: Mutation
    patch: Patch
    salt: str
    share: float
    step: int
    started_at_s: float
    step_started_at_s: float
    is_paused: bool = False
    limits: dict[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCounts:
    """Units of one arm: how many, and how many of them failed by each guardrail.

    ``units`` and the failures count a unit of assignment (session or request) once.
    """

    units: int = 0
    failures: dict[str, int] | None = None

    def failed(self, guardrail: str) -> int:
        """Units that failed by this guardrail."""
        return (self.failures or {}).get(guardrail, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCounts:
    """Both arms among the units first seen at one share."""

    share: float
    control: ArmCounts
    canary: ArmCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A monitor's answer for one rollout, with the numbers it rests on."""

    rollout_id: str
    decided: Decided
    reason: str
    monitor: str = ""
    numbers: dict[str, float] | None = None

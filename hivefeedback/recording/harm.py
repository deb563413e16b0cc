"""The harm test of each open rollout, updated after every batch: core, and always on.

When it trips, this process stops serving the canary at once; the turn writes the rollback. Units
of assignment (a session, or a request without one) count once per guardrail, in the step in which
they were first seen, with that step's share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import log

import msgspec
from msgspec import Struct

from hivefeedback.hooks import Record
from hivefeedback.model import ArmCounts, Decision, Rollout, StepCounts
from hivefeedback.stats import FAILED_SESSIONS, failed_session, guardrail_alpha, harm_log_e

__all__ = ["HarmTests"]


class _Unit(Struct, gc=False):
    share: float
    is_canary: bool
    failed: tuple[str, ...] = ()


class _Arm(Struct):
    units: int = 0
    failures: dict[str, int] = {}
    session_failures: dict[str, int] = {}
    """Part of ``failures``: handed over session by session, so that a session counts once everywhere."""


class _Step(Struct):
    control: _Arm
    canary: _Arm


class _Test:
    """Units and failures of one rollout, as seen by this process."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.steps: dict[float, _Step] = {}
        self.units: OrderedDict[str, _Unit] = OrderedDict()
        self.is_changed = False

    def counts(self, *, has_sessions: bool = True) -> tuple[StepCounts, ...]:
        """Both arms by share; without the failures of sessions where those are told one by one."""
        return tuple(
            StepCounts(
                share=share, control=_counts(step.control, has_sessions), canary=_counts(step.canary, has_sessions)
            )
            for share, step in sorted(self.steps.items())
        )


def _counts(arm: _Arm, has_sessions: bool) -> ArmCounts:
    told = {} if has_sessions else arm.session_failures
    return ArmCounts(units=arm.units, failures={name: n - told.get(name, 0) for name, n in arm.failures.items()})


class HarmTests:
    """All open rollouts' tests in this process.

    Args:
        alpha: Chance of stopping a harmless rollout.
        unit_memory: Units remembered per rollout; one that is forgotten and comes back counts anew.
    """

    def __init__(self, *, alpha: float, unit_memory: int) -> None:
        self._alpha, self._unit_memory = alpha, unit_memory
        self._tests: dict[str, _Test] = {}
        self.tripped: dict[str, dict[str, float]] = {}
        self._records: list[Record] = []

    def follow(self, rollouts: Mapping[str, Rollout]) -> None:
        """Take in which rollouts are open; what was counted of those that stay is kept."""
        self._tests = {name: self._tests.get(name) or _Test(rollout) for name, rollout in rollouts.items()}
        for name, test in self._tests.items():
            test.rollout = rollouts[name]
        self.tripped = {name: numbers for name, numbers in self.tripped.items() if name in rollouts}

    def settle(
        self,
        decision: Decision,
        *,
        is_blamed: bool,
        reward: float | None,
        duration_s: float | None,
        cost_usd: float | None,
    ) -> list[str]:
        """Count a run whose end is known for the units that it belongs to; answers rollouts that tripped now."""
        unit_id = decision.session_id or decision.decision_id
        tripped = []
        for assignment in decision.assignments:
            test = self._tests.get(assignment.rollout_id)
            if test is None or assignment.rollout_id in self.tripped:
                continue  # proven harm stays proven: what is still in the air must not blur what the turn reads
            limits = test.rollout.limits or {}
            failed = []
            if is_blamed:
                failed.append("error")
            if is_blamed or (reward is not None and reward < 0.5):
                failed.append("quality")
            if duration_s is not None and duration_s > limits.get("latency", float("inf")):
                failed.append("latency")
            if cost_usd is not None and cost_usd > limits.get("cost", float("inf")):
                failed.append("cost")
            unit = self._unit(test, unit_id, assignment.share, assignment.variant == "canary")
            if self._fail(test, unit, failed, decision.session_id or ""):
                tripped.append(assignment.rollout_id)
        return [name for name in tripped if self._trip(name)]

    def _unit(self, test: _Test, unit_id: str, share: float, is_canary: bool) -> _Unit:
        unit = test.units.get(unit_id)
        if unit is None:
            unit = test.units[unit_id] = _Unit(share, is_canary)
            if len(test.units) > self._unit_memory:
                test.units.popitem(last=False)
            step = test.steps.get(share)
            if step is None:
                step = test.steps[share] = _Step(_Arm(), _Arm())
            (step.canary if is_canary else step.control).units += 1
            test.is_changed = True
        return unit

    def _fail(self, test: _Test, unit: _Unit, failed: list[str], session_id: str) -> bool:
        new = [name for name in failed if name not in unit.failed]
        if not new:
            return False
        unit.failed += tuple(new)
        step = test.steps[unit.share]
        arm = step.canary if unit.is_canary else step.control
        for name in new:
            arm.failures[name] = arm.failures.get(name, 0) + 1
            if session_id:
                arm.session_failures[name] = arm.session_failures.get(name, 0) + 1
                rollout_id = test.rollout.rollout_id
                said = failed_session(rollout_id, name, session_id, share=unit.share, is_canary=unit.is_canary)
                self._records.append(Record(FAILED_SESSIONS, *said))
        test.is_changed = True
        return True

    def _trip(self, name: str) -> bool:
        test = self._tests[name]
        rails = ("error", "quality", *sorted(test.rollout.limits or ()))
        counts = test.counts()
        for rail in rails:
            log_e = harm_log_e([(c.share, c.control.failed(rail), c.canary.failed(rail)) for c in counts], rail)
            if log_e >= -log(guardrail_alpha(rail, self._alpha, rails)):
                self.tripped[name] = {"log_e": log_e, f"is_{rail}": 1.0}
                return True
        return False

    def records(self, producer: str, epoch: int) -> list[Record]:
        """What changed since the last call, for the other processes: counts, failed sessions, trips."""
        records, self._records = self._records, []
        for name, test in self._tests.items():
            if test.is_changed:
                test.is_changed = False
                counts = msgspec.json.encode(test.counts(has_sessions=False))
                records.append(Record("rollout", f"{name}/{producer}/{epoch}", counts))
        return records

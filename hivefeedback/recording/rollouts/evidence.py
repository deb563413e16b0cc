"""What a process knows of one open rollout: its own units, and what the others told.

Units of assignment (a session, or a request without one) count once per guardrail, in the step in
which they were first seen, with that step's share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from hivefeedback.hooks import Record
from hivefeedback.model import ArmCounts, Assignment, Decision, Rollout, StepCounts
from hivefeedback.recording.rollouts.heard import Heard
from hivefeedback.recording.rollouts.sessions import SessionLists
from hivefeedback.stats import (
    FAILED_SESSIONS,
    ROLLOUT_COUNTS,
    FailedSession,
    counts_key,
    encode_counts,
    failed_session,
    guardrails_of,
    harm_log_e,
    unit_hash,
)

__all__ = ["Evidence"]


class _Unit(Struct, gc=False):
    """A unit of this process, with the guardrails that it failed by."""

    share: float
    is_canary: bool
    failed: tuple[str, ...] = ()


class _Arm(Struct):
    units: int = 0
    failures: dict[str, int] = {}


class _Step(Struct):
    control: _Arm
    canary: _Arm


class Evidence:
    """One rollout, as this process knows it.

    Args:
        rollout: The rollout.
        unit_memory: Units remembered, and sessions listed per step.
    """

    def __init__(self, rollout: Rollout, unit_memory: int) -> None:
        self.rollout, self._unit_memory = rollout, unit_memory
        self._requests: dict[float, _Step] = {}
        self._is_changed = False
        self._sessions = SessionLists(unit_memory)
        self._records: list[Record] = []
        self._units: OrderedDict[str, _Unit] = OrderedDict()
        self._failed: dict[tuple[str, int], FailedSession] = {}
        self._failing: dict[str, dict[float, list[int]]] = {}

    @property
    def rails(self) -> tuple[str, ...]:
        """What the rollout is judged by."""
        return guardrails_of(self.rollout)

    def settle(self, decision: Decision, assignment: Assignment, failed: Iterable[str]) -> bool:
        """Count a run for its unit; True where that makes the unit fail by something new."""
        session_id = decision.session_id or ""
        unit = self._unit(session_id or decision.decision_id, session_id, assignment)
        if unit is None:
            return False
        new = [name for name in failed if name not in unit.failed]
        for name in new:
            unit.failed += (name,)
            if session_id:
                self._fail_session(session_id, name, unit)
            else:
                self._fail_request(name, unit)
        return bool(new)

    def _unit(self, unit_id: str, session_id: str, assignment: Assignment) -> _Unit | None:
        """The unit; None where it cannot be taken in any more."""
        unit = self._units.get(unit_id)
        if unit is not None:
            self._units.move_to_end(unit_id)
            return unit
        unit = _Unit(assignment.share, assignment.variant == "canary")
        if not session_id:
            step = self._step(unit.share)
            (step.canary if unit.is_canary else step.control).units += 1
            self._is_changed = True
        elif not self._sessions.add(unit_hash(self.rollout.rollout_id, session_id), unit.share, unit.is_canary):
            return None
        self._units[unit_id] = unit
        if len(self._units) > self._unit_memory:
            self._units.popitem(last=False)
        return unit

    def _step(self, share: float) -> _Step:
        step = self._requests.get(share)
        if step is None:
            step = self._requests[share] = _Step(_Arm(), _Arm())
        return step

    def _fail_request(self, guardrail: str, unit: _Unit) -> None:
        step = self._step(unit.share)
        arm = step.canary if unit.is_canary else step.control
        arm.failures[guardrail] = arm.failures.get(guardrail, 0) + 1
        self._is_changed = True
        self._add_failing(guardrail, unit.share, unit.is_canary)

    def _fail_session(self, session_id: str, guardrail: str, unit: _Unit) -> None:
        """A session fails once, here or in another process."""
        rollout_id = self.rollout.rollout_id
        said = FailedSession(guardrail, unit_hash(rollout_id, session_id), unit.share, unit.is_canary)
        if (guardrail, said.unit) in self._failed:
            return
        self._failed[guardrail, said.unit] = said
        self._add_failing(guardrail, unit.share, unit.is_canary)
        key, value = failed_session(rollout_id, guardrail, session_id, share=unit.share, is_canary=unit.is_canary)
        self._records.append(Record(FAILED_SESSIONS, key, value))

    def _add_failing(self, guardrail: str, share: float, is_canary: bool, n: int = 1) -> None:
        self._failing.setdefault(guardrail, {}).setdefault(share, [0, 0])[is_canary] += n

    def hear(self, heard: Heard) -> None:
        """Take in what the others told, in place of what they told before."""
        for said in heard.failed:
            known = self._failed.get((said.guardrail, said.unit))
            if known is None or said.share < known.share:
                self._failed[said.guardrail, said.unit] = said
        self._failing = {}
        for said in self._failed.values():
            self._add_failing(said.guardrail, said.share, said.is_canary)
        for step in (*heard.requests, *self.counts()):
            for arm, is_canary in ((step.control, False), (step.canary, True)):
                for guardrail, n in (arm.failures or {}).items():
                    self._add_failing(guardrail, step.share, is_canary, n)

    def log_e(self, guardrail: str) -> float:
        """Evidence of harm in what is known here."""
        steps = self._failing.get(guardrail, {})
        return harm_log_e([(share, n0, n1) for share, (n0, n1) in sorted(steps.items())], guardrail)

    def counts(self) -> tuple[StepCounts, ...]:
        """This process's requests without a session, by share."""
        return tuple(
            StepCounts(share=share, control=_counts(step.control), canary=_counts(step.canary))
            for share, step in sorted(self._requests.items())
        )

    def records(self, producer: str, epoch: int) -> list[Record]:
        """What changed since the last call, for the other processes: failed sessions, sessions, requests."""
        key = counts_key(self.rollout.rollout_id, producer, epoch)
        records, self._records = [*self._records, *self._sessions.records(key)], []
        if self._is_changed:
            self._is_changed = False
            records.append(Record(ROLLOUT_COUNTS, key, encode_counts(self.counts())))
        return records


def _counts(arm: _Arm) -> ArmCounts:
    return ArmCounts(units=arm.units, failures=dict(arm.failures))

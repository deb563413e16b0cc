"""The harm test of each open rollout, updated after every batch: core, and always on.

When it trips, this process stops serving the canary at once, and says so in the store; every other
process follows within a poll, and so does one that starts later. Units of assignment (a session, or
a request without one) count once per guardrail, in the step in which they were first seen, with
that step's share.

**Who decides.** The rollback rests on the counts of all processes together, read by the turn: there
each failing session is one factor of one e-process, so Ville's inequality bounds false rollbacks by
α however many processes there are. N processes that each test what they alone saw would have N
times that chance. So a local test sees what the others have told too (``hear``), and adds its own
news of the last moments; its stop withholds the canary, which hurts nobody, and never writes to the
journal. Where the turn's counts do not prove what a process thought it saw (in its last moments
others had news that spoke for the canary), the turn pauses the rollout for a person: serving it
again would let one alarm after the other be shopped for, and rolling it back would spend an α that
nobody granted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from math import log

from msgspec import Struct

from hivefeedback.hooks import Record
from hivefeedback.model import ArmCounts, Assignment, Decision, Rollout, StepCounts
from hivefeedback.recording.heard import Heard
from hivefeedback.recording.sessions import SessionLists
from hivefeedback.stats import (
    FAILED_SESSIONS,
    ROLLOUT_COUNTS,
    ROLLOUT_STOPS,
    FailedSession,
    counts_key,
    encode_counts,
    encode_stop,
    failed_session,
    guardrail_alpha,
    harm_log_e,
    unit_hash,
)

__all__ = ["HarmTests"]


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


class _Test:
    """One rollout, as this process knows it."""

    def __init__(self, rollout: Rollout, unit_memory: int) -> None:
        self.rollout, self._unit_memory = rollout, unit_memory
        self.requests: dict[float, _Step] = {}
        self.is_changed = False
        self.sessions = SessionLists(unit_memory)
        self.records: list[Record] = []
        self._units: OrderedDict[str, _Unit] = OrderedDict()
        self._failed: dict[tuple[str, int], FailedSession] = {}
        self._failing: dict[str, dict[float, list[int]]] = {}

    @property
    def rails(self) -> tuple[str, ...]:
        """What the rollout is judged by."""
        return ("error", "quality", *sorted(self.rollout.limits or ()))

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
            self.is_changed = True
        elif not self.sessions.add(unit_hash(self.rollout.rollout_id, session_id), unit.share, unit.is_canary):
            return None
        self._units[unit_id] = unit
        if len(self._units) > self._unit_memory:
            self._units.popitem(last=False)
        return unit

    def _step(self, share: float) -> _Step:
        step = self.requests.get(share)
        if step is None:
            step = self.requests[share] = _Step(_Arm(), _Arm())
        return step

    def _fail_request(self, guardrail: str, unit: _Unit) -> None:
        step = self._step(unit.share)
        arm = step.canary if unit.is_canary else step.control
        arm.failures[guardrail] = arm.failures.get(guardrail, 0) + 1
        self.is_changed = True
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
        self.records.append(Record(FAILED_SESSIONS, key, value))

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
            for share, step in sorted(self.requests.items())
        )


def _counts(arm: _Arm) -> ArmCounts:
    return ArmCounts(units=arm.units, failures=dict(arm.failures))


class HarmTests:
    """All open rollouts' tests in this process.

    Args:
        alpha: Chance of ever taking a harmless rollout back.
        unit_memory: Units remembered per rollout, the least recently used forgotten first; and
            sessions that this process lists per step and arm: later ones are no units any more.
    """

    def __init__(self, *, alpha: float, unit_memory: int) -> None:
        self._alpha, self._unit_memory = alpha, unit_memory
        self._tests: dict[str, _Test] = {}
        self._to_tell: dict[str, dict[str, float]] = {}
        self.tripped: dict[str, dict[str, float]] = {}
        """Rollouts that are not served here any more, with the numbers behind it."""

    def follow(self, rollouts: Mapping[str, Rollout]) -> None:
        """Take in which rollouts are open; what was counted of those that stay is kept."""
        for name, rollout in rollouts.items():
            test = self._tests.get(name)
            if test is None:
                self._tests[name] = _Test(rollout, self._unit_memory)
            else:
                test.rollout = rollout
        self._tests = {name: test for name, test in self._tests.items() if name in rollouts}
        self.tripped = {name: numbers for name, numbers in self.tripped.items() if name in rollouts}

    def hear(self, heard: Mapping[str, Heard]) -> list[str]:
        """Take in what other processes told (and this one's before a restart); answers the rollouts that
        are stopped here by it, since another process stopped them or since all news together trip."""
        stopped = []
        for name, news in heard.items():
            test = self._tests.get(name)
            if test is None or name in self.tripped:
                continue
            test.hear(news)
            if news.stop is not None:
                self.tripped[name] = news.stop
                stopped.append(name)
            elif self._trip(name):
                stopped.append(name)
        return stopped

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
        tripped = []
        for assignment in decision.told:
            name = assignment.rollout_id
            test = self._tests.get(name)
            if test is None or name in self.tripped:
                continue  # proven harm stays proven: what is still in the air must not blur what the turn reads
            failed = _failed_by(test.rollout.limits or {}, is_blamed, reward, duration_s, cost_usd)
            if test.settle(decision, assignment, failed) and self._trip(name):
                tripped.append(name)
        return tripped

    def _trip(self, name: str) -> bool:
        test = self._tests[name]
        rails = test.rails
        for rail in rails:
            log_e = test.log_e(rail)
            if log_e >= -log(guardrail_alpha(rail, self._alpha, rails)):
                self.tripped[name] = self._to_tell[name] = {"log_e": log_e, f"is_{rail}": 1.0}
                return True
        return False

    def records(self, producer: str, epoch: int) -> list[Record]:
        """What changed since the last call, for the other processes: requests, sessions, stops."""
        records: list[Record] = []
        for name, test in self._tests.items():
            key = counts_key(name, producer, epoch)
            records += [*test.records, *test.sessions.records(key)]
            test.records = []
            if test.is_changed:
                test.is_changed = False
                records.append(Record(ROLLOUT_COUNTS, key, encode_counts(test.counts())))
            if name in self._to_tell:
                records.append(Record(ROLLOUT_STOPS, key, encode_stop(self._to_tell.pop(name))))
        return records


def _failed_by(
    limits: Mapping[str, float],
    is_blamed: bool,
    reward: float | None,
    duration_s: float | None,
    cost_usd: float | None,
) -> list[str]:
    """The guardrails that a run fails by."""
    failed = ["error"] if is_blamed else []
    if is_blamed or (reward is not None and reward < 0.5):
        failed.append("quality")
    if duration_s is not None and duration_s > limits.get("latency", float("inf")):
        failed.append("latency")
    if cost_usd is not None and cost_usd > limits.get("cost", float("inf")):
        failed.append("cost")
    return failed

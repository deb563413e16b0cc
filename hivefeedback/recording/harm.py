"""The harm test of each open rollout, updated after every batch: core, and always on.

Units of assignment (a session, or a request without one) count once per guardrail, in the step in
which they were first seen, with that step's share.

**Who decides.** N processes that each test what they alone saw would be wrong N times as often as
one. So evidence has two uses here:

- *Suspicion* is quick and costs nobody anything: what this process knows (its own units up to this
  moment, the others' up to its last look into the store) speaks against the canary, so it is withheld
  from here on in this process. No word of that leaves the process.
- *Proof* rests on the store alone. A suspicious process looks at once at what all processes have
  committed. Commits have one order, so every look of every process is a look at one and the same
  e-process at some time, and by Ville's inequality all looks together are wrong with probability at
  most α, however many processes there are. What is proven is told: every other process withholds the
  canary within a poll, one that starts later from its first decision on, and the turn writes the
  rollback. Where nothing is proven, since the others had news that speaks for the canary, the
  suspicion ends and the canary goes on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
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
    tripped_guardrail,
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
        """Rollouts that are not served here, with the numbers behind it."""
        self.suspected: frozenset[str] = frozenset()
        """Those of them that nothing is proven of: the store has to be looked at."""

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
        self.suspected = self.suspected.intersection(rollouts)

    def hear(self, heard: Mapping[str, Heard]) -> list[tuple[str, str]]:
        """Take in what other processes told (and this one before a restart).

        Returns:
            What changed, and for which rollout: ``harm_told`` (another process has proof),
            ``harm_proven`` (the counts of all prove harm), ``harm`` (suspicion), ``harm_lifted``.
        """
        words = ((name, self._hear(name, news)) for name, news in heard.items() if name in self._tests)
        return [(word, name) for name, word in words if word]

    def _hear(self, name: str, news: Heard) -> str:
        if name in self.tripped and name not in self.suspected:
            return ""
        test = self._tests[name]
        test.hear(news)
        proof = _proof(test, news.counts, self._alpha)
        if news.stop is not None or proof is not None:
            self.suspected -= {name}
            self.tripped[name] = news.stop or proof or {}
            if news.stop is None:
                self._to_tell[name] = self.tripped[name]
            return "harm_told" if news.stop is not None else "harm_proven"
        if self._suspect(name):
            return "" if name in self.suspected else self._withhold(name)
        if name in self.suspected:
            self.suspected -= {name}
            del self.tripped[name]
            return "harm_lifted"
        return ""

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
            if test is None or (name in self.tripped and name not in self.suspected):
                continue  # proven harm stays proven
            failed = _failed_by(test.rollout.limits or {}, is_blamed, reward, duration_s, cost_usd)
            if test.settle(decision, assignment, failed) and name not in self.suspected and self._suspect(name):
                self._withhold(name)
                tripped.append(name)
        return tripped

    def _suspect(self, name: str) -> dict[str, float] | None:
        """The numbers that speak against a canary, as far as this process knows."""
        test = self._tests[name]
        rails = test.rails
        for rail in rails:
            log_e = test.log_e(rail)
            if log_e >= -log(guardrail_alpha(rail, self._alpha, rails)):
                return {"log_e": log_e, f"is_{rail}": 1.0}
        return None

    def _withhold(self, name: str) -> str:
        self.tripped[name] = self._suspect(name) or {}
        self.suspected |= {name}
        return "harm"

    def records(self, producer: str, epoch: int) -> list[Record]:
        """What changed since the last call, for the other processes: requests, sessions, proofs."""
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


def _proof(test: _Test, counts: Sequence[StepCounts] | None, alpha: float) -> dict[str, float] | None:
    """The numbers by which the counts of all processes prove harm; None where they do not."""
    tripped = tripped_guardrail(counts, alpha, test.rails) if counts else None
    if tripped is None or not counts:
        return None
    rail, log_e = tripped
    control, canary = [c.control for c in counts], [c.canary for c in counts]
    return {
        "log_e": log_e,
        f"is_{rail}": 1.0,
        "control_units": float(sum(a.units for a in control)),
        f"control_{rail}": float(sum(a.failed(rail) for a in control)),
        "canary_units": float(sum(a.units for a in canary)),
        f"canary_{rail}": float(sum(a.failed(rail) for a in canary)),
    }


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

"""From a run to cells, breakers and a first reward."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from hivefeedback.hooks import Record
from hivefeedback.model import OBSERVED, Assignment, Decision, Event, Run
from hivefeedback.recording.feedback.join import KnownRun
from hivefeedback.recording.feedback.judge import Judge
from hivefeedback.recording.feedback.kept import Kept
from hivefeedback.recording.incoming.intake import clean_id
from hivefeedback.recording.learning.newest import Newest
from hivefeedback.recording.learning.reward import first_reward
from hivefeedback.recording.parts import Parts, RecorderOptions
from hivefeedback.stats import Cell, CellKey, bucket_of

__all__ = ["POOLED_AGENT", "Learner", "arm_key"]

POOLED_AGENT = "~other"
"""Agents beyond the bound are counted together under this name."""
_KEYS = 4096
"""Keys of cells that are kept ready: making one costs as much as counting a run into it."""
_OBSERVED = 10_000


class Learner:
    """Learns one run at a time; what was said of it is the judge's."""

    def __init__(self, parts: Parts, options: RecorderOptions, judge: Judge, newest: Newest) -> None:
        self._p, self._o, self._judge, self._newest = parts, options, judge, newest
        self._agents: set[str] = set()
        self._total_keys = lru_cache(_KEYS)(_total_keys)
        self.observed: dict[str, set[str]] = {}
        parts.joins.wake_by(self.wake)

    def learn(self, event: Event, run: Run, now_s: float) -> KnownRun:
        """Count a run, settle its breaker, and give it a reward if one is known."""
        self._p.joins.wake_namesakes(run)
        decision = self._p.joins.decision(run.decision_id) if run.decision_id else None
        known = self.known(event, run, decision)
        if run.kind == "llm":
            self._settle_breaker(known, run, decision, now_s)
        reward = known.reward = self._p.rule.of(run.outcome, known.operation, ())
        if reward is None and run.outcome == "ok" and run.kind == "llm":
            known.is_awaiting = self._p.rule.awaits(known.operation)
        self._count(known, run, reward)
        self.remember(known, run)
        self._judge.begin(known, event.seq, now_s)
        return known

    def known(self, event: Event, run: Run, decision: Decision | None, *, is_logged: bool = False) -> KnownRun:
        """What is kept of a run. The one that served a later attempt, or that was not the one
        decided for, saw only the hard cases: it feeds its breaker, not the policy's estimate. While a
        rollout is open nothing is learnt from a run whose decision is not known (unless the log has
        it): it may have been the canary's."""
        operation = run.operation or (clean_id(decision.operation) if decision else "")
        if not operation:
            self._p.counters["run_without_operation"] += 1
        decided = decision.deployment if decision is not None else run.decided_deployment
        if run.prompts and decision is not None:
            decision.ask(run.prompts)
        learner = ""
        if run.kind == "llm" and run.attempt == 1 and decided in ("", run.deployment):
            is_lost = run.decision_id and decision is None and not is_logged
            if not (is_lost and self._p.refresher.snapshot.config.rollouts):
                learner = (decision.learner if decision else None) or run.deployment
        started_at_s, duration_s = event.event_time_s, run.duration_s
        return KnownRun(  # by position: this runs for each run, and names cost as much as the values
            event.event_id,
            run.deployment,
            operation,
            run.outcome,
            run.kind,
            learner,
            bucket_of(started_at_s),
            self._keys(run, operation, decision),
            started_at_s + (duration_s or 0.0),
            run.trace_id,
            started_at_s,
            duration_s,
            run.cost_usd,
            decision.propensity if decision is not None else None,
            decision,
            None,
            False,
            None,
            None if run.parent_id else "",
        )

    def wake(self, kept: Kept) -> KnownRun:
        """A run that was learnt in a group, when somebody asks for it."""
        run = kept.event.body
        assert isinstance(run, Run)
        known = self.known(kept.event, run, kept.decision)
        known.reward = first_reward(run.outcome)
        if run.trace_id:
            self._judge.queries.recall(known)
        return known

    def observe(self, deployment: str, operation: str) -> None:
        """A deployment that serves may be one that nobody declared."""
        if deployment not in self._p.refresher.snapshot.config.deployments:
            self._observe_undeclared(deployment, operation)

    def remember(self, known: KnownRun, run: Run) -> None:
        """Keep it for feedback that comes later."""
        if not (run.trace_id or run.decision_id or run.response_id or run.session_id):
            self._p.joins.keep(known)
            return
        self._p.joins.add(
            known,
            is_root=not run.parent_id,
            decision_id=run.decision_id,
            response_id=run.response_id,
            session_id=run.session_id,
        )

    def _keys(self, run: Run, operation: str, decision: Decision | None) -> tuple[CellKey, ...]:
        """The total's cell, and one per assignment; only llm runs count for deployments."""
        agent = self._agent(run.agent_id) if run.agent_id else ""
        deployment = run.deployment
        if run.kind != "llm":
            deployment, agent = "", agent or deployment
        if decision is None:
            return self._total_keys(deployment, operation, agent, "")
        total = self._total_keys(deployment, operation, agent, _fingerprint(decision, run.deployment))
        return (*total, *(arm_key(total[0], a) for a in decision.told)) if decision.assignments else total

    def _agent(self, agent: str) -> str:
        if agent in self._agents:
            return agent
        if len(self._agents) >= self._o.agents_tracked:
            self._p.counters["agents_pooled"] += 1
            return POOLED_AGENT
        self._agents.add(agent)
        return agent

    def _settle_breaker(self, known: KnownRun, run: Run, decision: Decision | None, now_s: float) -> None:
        self.observe(run.deployment, known.operation)
        is_as_decided = decision is not None and decision.deployment == run.deployment
        learner = (decision.learner or "") if is_as_decided and decision else ""
        variant = self._p.variants.learner(known.learner or learner or run.deployment)
        if variant and self._p.breakers.settle(variant, run.outcome, now_s):
            self._p.signals.is_shut_dirty = True
            if self._p.breakers.standing(variant) is not None:
                self._p.signals.want(variant)

    def _observe_undeclared(self, deployment: str, operation: str) -> None:
        """A deployment that nobody declared is accepted as observed: counted and listed."""
        operations = self.observed.get(deployment)
        if operations is None:
            if len(self.observed) >= _OBSERVED:
                self._p.counters["observed_not_listed"] += 1
                return
            operations = self.observed[deployment] = set()
            value = msgspec.json.encode({"deployment": deployment, "since_s": self._p.clock()})
            self._p.outbox.put(Record(OBSERVED, deployment, value))
        if len(operations) < 100:
            operations.add(operation)

    def _count(self, known: KnownRun, run: Run, reward: float | None) -> None:
        outbox = self._p.outbox
        outbox.count(known.keys, known.bucket, run, reward, self._judge.queries.begin(known, run))
        if known.is_awaiting:
            for key in known.keys:
                outbox.delta.cell(key, known.bucket).n_awaiting += 1
        if run.kind == "llm":
            self._newest.add(known)

    def take_back(self, known: KnownRun, run: Run) -> None:
        """The run turned out to be one that was counted before: it does not count again."""
        counted = Cell()
        counted.add_run(run)
        for key in known.keys:
            self._p.outbox.delta.cell(key, known.bucket).merge(counted.negated())
        self._judge.take_back(known)
        self._p.joins.forget(known.run_id)


def _total_keys(deployment: str, operation: str, agent: str, fingerprint: str) -> tuple[CellKey, ...]:
    return (CellKey(deployment, operation, agent, "", fingerprint),)


def _fingerprint(decision: Decision, deployment: str) -> str:
    """What the deployment was served with; it may be another one than was decided for."""
    offer = decision.offer
    if offer is None:
        return ""
    names = offer.lineup.candidates
    if names[decision.index] == deployment:
        return offer.lineup.fingerprints[decision.index]
    return offer.lineup.fingerprints[names.index(deployment)] if deployment in names else ""


def arm_key(total: CellKey, assignment: Assignment) -> CellKey:
    """The cell of an arm, beside that of the total."""
    return total._replace(arm=f"{assignment.rollout_id}:{assignment.variant}")

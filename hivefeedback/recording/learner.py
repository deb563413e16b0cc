"""From runs and judgements to cells, rewards, breakers, harm tests and observations."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from hivefeedback.hooks import Observation, Record
from hivefeedback.model import (
    BLAMED,
    UNCOUNTED,
    Assignment,
    Decision,
    DecisionRecord,
    Event,
    Feedback,
    Run,
    Score,
    learner_of,
    told_by,
)
from hivefeedback.recording.intake import clean_id
from hivefeedback.recording.join import KnownRun
from hivefeedback.recording.parts import Parts, RecorderOptions
from hivefeedback.stats import MAX_EXEMPLARS, CellKey, Exemplar, bucket_of

__all__ = ["POOLED_AGENT", "Learner"]

POOLED_AGENT = "~other"
"""Agents beyond the bound are counted together under this name."""
_KEYS = 4096
"""Keys of cells that are kept ready: making one costs as much as counting a run into it."""
_OBSERVED = 10_000
_AWAITING = 200_000
"""Runs that await a judgement at a time, in memory; beyond that the oldest stop waiting early."""


class Learner:
    """Learns one run or judgement at a time; ``teach`` hands the batch to the policy.

    ``has_learnt`` is raised when policy or breakers know something new.
    ``is_shut_dirty`` is raised when a breaker changed or a harm test tripped: what may be served
    is then not what the snapshot says.
    """

    def __init__(self, parts: Parts, options: RecorderOptions) -> None:
        self._p, self._o = parts, options
        self._observations: list[Observation] = []
        self._awaiting: OrderedDict[str, tuple[float, KnownRun]] = OrderedDict()
        self._agents: set[str] = set()
        self._total_keys = lru_cache(_KEYS)(_total_keys)
        self._newest: dict[tuple[str, str], deque[KnownRun]] = {}
        self.observed: dict[str, set[str]] = {}
        self.is_shut_dirty = True
        self.has_learnt = False

    # --- runs -----------------------------------------------------------------------------------

    def learn_run(self, event: Event, run: Run, now_s: float) -> KnownRun:
        """Count a run, settle its breaker, and give it a reward if one is known."""
        decision = self._p.joins.decision(run.decision_id) if run.decision_id else None
        known = self.known(event, run, decision)
        if run.kind == "llm":
            self._settle_breaker(known, run, decision, now_s)
        reward = known.reward = self._p.rule.of(run.outcome, known.operation, ())
        if reward is None and run.outcome == "ok" and run.kind == "llm":
            known.is_awaiting = self._p.rule.awaits(known.operation)
        self._count(known, run, reward)
        self.remember(known, run)
        if known.is_awaiting:
            self._awaiting[known.run_id] = (now_s + self._o.judgement_horizon_s, known)
        elif reward is not None and known.learner:
            self._observations.append(_observation(known, reward, None))
        if decision is not None and decision.assignments:
            self._settle_units(known)
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
        )

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

    def recall(self, event: Event, run: Run, record: DecisionRecord | None, said: Sequence[Event]) -> KnownRun:
        """Take a run from the log back into memory, as it was learnt then.

        Args:
            event, run: The run.
            record: The decision behind it.
            said: Feedback and scores that were learnt of it already.
        """
        _, known = self._awaiting.get(event.event_id, (0.0, None))
        if known is None:
            known = self._recalled(event, run, record)
            self._recall_judgements(known, said)
        self.remember(known, run)
        return known

    def _recall_judgements(self, known: KnownRun, said: Sequence[Event]) -> None:
        """What was judged before enters no cell again; it only says what the reward is by now."""
        for event in said:
            body = event.body
            if isinstance(body, Score):
                known.judged = {**(known.judged or {}), f"{body.source}:{body.name}": (body.name, body.value)}
            elif isinstance(body, Feedback):
                key = body.idempotency_key or event.event_id
                known.judged = {**(known.judged or {}), key: (body.name, float(body.value or 0.0))}
        if known.judged:
            reward = self._p.rule.of(known.outcome, known.operation, tuple(known.judged.values()))
            if reward is not None:
                known.reward, known.is_awaiting = reward, False

    def _recalled(self, event: Event, run: Run, record: DecisionRecord | None) -> KnownRun:
        decision = self._p.joins.decision(run.decision_id)
        known = self.known(event, run, decision, is_logged=record is not None)
        if decision is None and record is not None:
            _follow_record(known, run, record)
        known.reward = self._p.rule.earned(run.outcome, known.operation, event.ingest_time_s)
        is_open = known.reward is None and run.outcome == "ok" and run.kind == "llm"
        is_ours = (event.producer, event.epoch) == (self._p.events.producer, self._p.events.epoch)
        is_late = is_ours or self._p.clock() - event.ingest_time_s >= self._o.judgement_horizon_s
        known.is_awaiting = is_open and not is_late
        if is_open and is_late and self._o.unjudged_earns:
            known.reward = 1.0
        return known

    def forget_runs(self) -> None:
        """Runs were erased: exemplars that were not handed over yet may be theirs."""
        self._newest = {}

    def _keys(self, run: Run, operation: str, decision: Decision | None) -> tuple[CellKey, ...]:
        """The total's cell, and one per assignment; only llm runs count for deployments."""
        agent = self._agent(run.agent_id) if run.agent_id else ""
        deployment = run.deployment
        if run.kind != "llm":
            deployment, agent = "", agent or deployment
        if decision is None:
            return self._total_keys(deployment, operation, agent, "")
        total = self._total_keys(deployment, operation, agent, _fingerprint(decision, run.deployment))
        return (*total, *(_of_arm(total[0], a) for a in decision.told)) if decision.assignments else total

    def _agent(self, agent: str) -> str:
        if agent in self._agents:
            return agent
        if len(self._agents) >= self._o.agents_tracked:
            self._p.counters["agents_pooled"] += 1
            return POOLED_AGENT
        self._agents.add(agent)
        return agent

    def _settle_breaker(self, known: KnownRun, run: Run, decision: Decision | None, now_s: float) -> None:
        if run.deployment not in self._p.refresher.snapshot.config.deployments:
            self._observe_undeclared(run.deployment, known.operation)
        is_as_decided = decision is not None and decision.deployment == run.deployment
        learner = (decision.learner or "") if is_as_decided and decision else ""
        variant = self._p.variants.learner(known.learner or learner or run.deployment)
        if variant and self._p.breakers.settle(variant, run.outcome, now_s):
            self.is_shut_dirty = self.has_learnt = True

    def _observe_undeclared(self, deployment: str, operation: str) -> None:
        """A deployment that nobody declared is accepted as observed: counted and listed."""
        operations = self.observed.get(deployment)
        if operations is None:
            if len(self.observed) >= _OBSERVED:
                self._p.counters["observed_not_listed"] += 1
                return
            operations = self.observed[deployment] = set()
            value = msgspec.json.encode({"deployment": deployment, "since_s": self._p.clock()})
            self._p.outbox.put(Record("observed", deployment, value))
        if len(operations) < 100:
            operations.add(operation)

    def _count(self, known: KnownRun, run: Run, reward: float | None) -> None:
        outbox = self._p.outbox
        outbox.count(known.keys, known.bucket, run, reward)
        if known.is_awaiting:
            for key in known.keys:
                outbox.delta.cell(key, known.bucket).n_awaiting += 1
        if run.kind == "llm":
            self._remember_newest(known)

    def _remember_newest(self, known: KnownRun) -> None:
        name = (known.deployment, known.operation)
        newest = self._newest.get(name)
        if newest is None:
            newest = self._newest[name] = deque(maxlen=MAX_EXEMPLARS)
        newest.append(known)

    def put_exemplars(self) -> None:
        """Add the newest runs since the last call, with the rewards that they have by now."""
        delta = self._p.outbox.delta
        for (deployment, operation), newest in self._newest.items():
            delta.add_exemplars(deployment, operation, map(_exemplar, newest))
            self._p.outbox.breathe()
        self._newest = {}

    # --- judgements -------------------------------------------------------------------------------

    def judge(self, known: KnownRun, credited: KnownRun | None, key: str, name: str, value: float) -> None:
        """A judgement of a run: count it, and correct the reward of the run that is credited."""
        self._put_judgement(known, key, name, value)
        if credited is None:
            return
        if credited is not known:
            credited.judged = {**(credited.judged or {}), key: (name, value)}
        rule = self._p.rule
        if rule.enters(credited.operation, name):
            news = rule.observe(credited.operation, self._p.clock())
            if news is not None:
                self._p.outbox.put(news)
        reward = rule.of(credited.outcome, credited.operation, tuple((credited.judged or {}).values()))
        if self._set_reward(credited, reward):
            self._settle_units(credited)

    def _put_judgement(self, known: KnownRun, key: str, name: str, value: float) -> None:
        """Into the run's own cells; the same key replaces, never adds."""
        judged = known.judged
        if judged is None:
            judged = known.judged = {}
        before = judged.get(key)
        judged[key] = (name, value)
        for cell_key in known.keys:
            cell = self._p.outbox.delta.cell(cell_key, known.bucket)
            if before is not None:
                cell.add_judged(before[0], before[1], -1)
            cell.add_judged(name, value)

    def _set_reward(self, known: KnownRun, reward: float | None) -> bool:
        """Correct a reward everywhere; False where it is what it was."""
        before = known.reward
        if reward is None or reward == before:
            return False
        known.reward = reward
        delta = self._p.outbox.delta
        for key in known.keys:
            cell = delta.cell(key, known.bucket)
            if before is not None:
                cell.add_judged("reward", before, -1)
            cell.add_judged("reward", reward)
            if known.is_awaiting:
                cell.n_awaiting -= 1
        if known.is_awaiting:
            known.is_awaiting = False
            self._awaiting.pop(known.run_id, None)
        if known.judged and known.kind == "llm":
            self._remember_newest(known)
        if known.learner:
            self._observations.append(_observation(known, reward, before))
        return True

    def _settle_units(self, known: KnownRun) -> None:
        """Count a run for the rollouts that its decision was assigned to, once its end is known."""
        decision = known.decision
        if decision is None or not decision.assignments or known.is_awaiting or known.outcome in UNCOUNTED:
            return
        tripped = self._p.harm.settle(
            decision,
            is_blamed=known.outcome in BLAMED,
            reward=known.reward,
            duration_s=known.duration_s,
            cost_usd=known.cost_usd,
        )
        for rollout_id in tripped:
            self.is_shut_dirty = True
            self._p.events.alarm("harm", rollout_id, known.operation, self._p.harm.tripped[rollout_id])

    def expire(self, now_s: float) -> None:
        """Runs whose judgement did not come in time stay unlearnt, or earn 1 where that is asked for."""
        while self._awaiting:
            run_id, (due_s, known) = next(iter(self._awaiting.items()))
            is_due = due_s <= now_s or due_s - now_s > self._o.judgement_horizon_s  # the clock went back
            if not is_due and len(self._awaiting) <= _AWAITING:
                return
            del self._awaiting[run_id]
            if not known.is_awaiting:
                continue
            if self._o.unjudged_earns:
                self._set_reward(known, 1.0)
                self._settle_units(known)
                continue
            known.is_awaiting = False
            for key in known.keys:
                self._p.outbox.delta.cell(key, known.bucket).n_awaiting -= 1
            self._settle_units(known)  # nobody complained: a unit that did not fail

    # --- the policy ---------------------------------------------------------------------------------

    def teach(self) -> None:
        """Hand the rewards of the batch to the policy."""
        if not self._observations:
            return
        self.has_learnt = True
        observations, self._observations = self._p.variants.of_now(self._observations), []
        policy = self._p.policy
        try:
            policy.learn(observations)
            alarms = [
                (str(deployment), str(operation), {str(name): float(value) for name, value in numbers.items()})
                for deployment, operation, numbers in policy.alarms()
            ]
        except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
            self._p.counters.note("policy_failed", f"{policy.name}.learn: {type(error).__name__}: {error}")
            return
        for operation in dict.fromkeys([observation.operation for observation in observations]):
            self._p.refresher.touch(operation)
        for deployment, operation, numbers in alarms:
            self._p.events.alarm("change", deployment, operation, numbers)


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


def _of_arm(total: CellKey, assignment: Assignment) -> CellKey:
    return total._replace(arm=f"{assignment.rollout_id}:{assignment.variant}")


def _follow_record(known: KnownRun, run: Run, record: DecisionRecord) -> None:
    """What the log says of the decision: the arm, and who learns from it."""
    known.operation = run.operation or record.operation
    known.propensity = record.propensity
    if record.deployment != run.deployment:
        known.learner = ""
    elif known.learner:
        variant = record.variant or known.learner
        known.learner = learner_of(variant, run.deployment, record.assignments, run.prompts)
    total = known.keys[0]._replace(operation=known.operation)
    known.keys = (total, *(_of_arm(total, assignment) for assignment in told_by(record.assignments, run.prompts)))
    if record.assignments:  # its unit is still to be settled
        known.decision = Decision(
            run.decision_id,
            record.operation,
            None,
            0,
            None,
            record.reason,
            known.started_at_s,
            record.session_id or None,
            assignments=record.assignments,
            asked=set(run.prompts),
        )


def _exemplar(known: KnownRun) -> Exemplar:
    keys = known.keys
    is_canary = len(keys) > 1 and any(key.arm.endswith(":canary") for key in keys)  # the first is the total's
    return Exemplar(
        known.started_at_s,
        known.run_id,
        known.duration_s,
        known.outcome,
        known.trace_id,
        known.reward,
        is_canary,
        known.decision.prompts_used if known.decision else (),
    )


def _observation(known: KnownRun, reward: float, before: float | None) -> Observation:
    return Observation(
        known.operation,
        known.learner,
        reward,
        known.at_s,
        before,
        known.duration_s,
        known.cost_usd,
        known.propensity,
    )

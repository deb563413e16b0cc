"""The recorder: ring → collect hooks → rewards → policy, breakers, harm tests → commit → new snapshot.

One thread (or, with a given clock, the caller under the loop's lock). Works per slice; nothing in
it waits for the store. Every event type is one method.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from hivefeedback.hooks import Observation, Policy, Record
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import (
    BLAMED,
    Alarm,
    Assignment,
    BatchCommitted,
    Body,
    CandidateSetSeen,
    Configuration,
    ConfigurationPublished,
    Control,
    Decision,
    DecisionRecord,
    Event,
    EventsDropped,
    Feedback,
    PutDeployment,
    Rollout,
    Run,
    Score,
    SegmentStarted,
    WeightsRefreshed,
    What,
    variant_id,
)
from hivefeedback.recording.breaker import Breakers
from hivefeedback.recording.counters import Counters
from hivefeedback.recording.harm import HarmTests
from hivefeedback.recording.intake import Intake, clean_id
from hivefeedback.recording.join import Joins, KnownRun, Recent
from hivefeedback.recording.outbox import Outbox
from hivefeedback.recording.refresh import Refresher
from hivefeedback.recording.reward import RewardRule
from hivefeedback.stats import CellKey, Exemplar, bucket_of

__all__ = ["Item", "Parts", "Recorder", "RecorderOptions"]

Item = tuple[int, float, object]
"""What the ring carries: (seq, event time, what happened)."""

POOLED_AGENT = "~other"
"""Agents beyond the bound are counted together under this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """The settings that the recorder needs; see ``Settings`` for their meaning."""

    producer: str
    epoch: int
    judgement_horizon_s: float
    unjudged_earns: bool
    agents_tracked: int
    commit_every_s: float
    refresh_every_s: float
    refresh_budget_s: float | None
    save_every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the recorder works with; the loop puts it together."""

    registry: Registry
    policy: Policy
    breakers: Breakers
    harm: HarmTests
    rule: RewardRule
    intake: Intake
    joins: Joins
    outbox: Outbox
    refresher: Refresher
    counters: Counters
    numbers: Iterator[int]
    clock: Callable[[], float]
    lookup: Callable[[Event], None]
    """Asks for feedback whose run is not in memory to be looked up in the store."""


class Recorder:
    """Learns from items, slice by slice."""

    def __init__(self, parts: Parts, options: RecorderOptions) -> None:
        self._p, self._o = parts, options
        self._prefix = f"{options.producer}-{options.epoch}-"
        self._observations: list[Observation] = []
        self._events: list[Event] = []
        self._orphans: Recent[list[Event]] = Recent(10_000)
        self._sets: Recent[bool] = Recent(10_000)
        self._agents: set[str] = set()
        self._awaiting: deque[tuple[float, KnownRun]] = deque()
        self._probes: dict[str, deque[str]] = {}
        self._observed: dict[str, set[str]] = {}
        self._is_shut_dirty = True
        self._breaker_due_s: float | None = None
        self._refreshed_at_s = self._handed_at_s = self._saved_at_s = -1e18
        self._n_dropped = 0

    @property
    def observed(self) -> dict[str, set[str]]:
        """Deployments that served runs without being declared → their operations."""
        return self._observed

    def begin(self, segment: SegmentStarted) -> None:
        """Log the checkpoint that a log segment begins with."""
        now_s = self._p.clock()
        self._control(segment, now_s)
        self.tick(now_s)

    # --- a slice ------------------------------------------------------------------------------

    def process(self, items: Sequence[Item]) -> None:
        """Learn a slice of items; at most ``slice_runs`` of them, so that other threads get their turn."""
        now_s = self._p.clock()
        events: list[Event] = []
        for seq, at_s, thing in items:
            if thing.__class__ is Decision:
                self._take_decision(seq, at_s, now_s, thing, events)
            elif thing.__class__ is Run:
                self._take_run(seq, at_s, now_s, thing, events)
            elif thing.__class__ is Feedback:
                self._take_feedback(seq, at_s, now_s, thing, events)
            else:
                self._p.counters.note("bad_item", f"{type(thing).__name__} was recorded; expected Run or Feedback")
        scores = self._collect(events, now_s) if events and self._p.registry.has_collectors else {}
        for event in events:
            body = event.body
            if body.__class__ is Run:
                known = self._learn_run(event, body, now_s)
                for score_event in scores.get(known.run_id, ()):
                    self._learn_score(score_event, now_s)
            elif body.__class__ is Feedback:
                self._learn_feedback(event, body, now_s)
        self._events += events
        for found in scores.values():
            self._events += found
        self._finish(len(items), now_s)

    def _finish(self, n_items: int, now_s: float) -> None:
        """Teach the policy, count the end of the batch, refresh and hand over what is due."""
        if self._observations:
            self._teach()
        if n_items:
            last = self._events[-1].seq if self._events else 0
            self._control(BatchCommitted(last_seq=last, n_events=n_items), now_s)
        self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """What time alone brings: horizons, breakers, stale weights, commits."""
        self._expire_judgements(now_s)
        self._refresh(now_s)
        outbox = self._p.outbox
        if self._events:
            outbox.add(self._events)
            self._events = []
        if now_s - self._handed_at_s >= self._o.commit_every_s or now_s < self._handed_at_s:
            self.hand_over(now_s)

    def hand_over(self, now_s: float, *, is_final: bool = False) -> None:
        """Send what waits to the store, with the learnt state where that is due."""
        outbox = self._p.outbox
        if self._events:
            outbox.add(self._events)
            self._events = []
        for rollout_id, counts in self._p.harm.changed().items():
            key = f"{rollout_id}/{self._o.producer}/{self._o.epoch}"
            outbox.put(Record("rollout", key, msgspec.json.encode(counts)))
        is_due = now_s - self._saved_at_s >= self._o.save_every_s or now_s < self._saved_at_s
        if is_final or (is_due and not outbox.is_empty):
            self._saved_at_s = now_s
            self._save()
        self._handed_at_s = now_s
        outbox.hand_over()

    def _save(self) -> None:
        outbox, policy = self._p.outbox, self._p.policy
        try:
            outbox.put(Record("policy", policy.name, policy.dump()))
        except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
            self._p.counters.note("policy_failed", f"{policy.name}.dump: {type(error).__name__}: {error}")
        outbox.put(Record("breaker", "all", self._p.breakers.dump()))

    def idle_s(self, now_s: float) -> float:
        """How long the recorder may sleep when nothing comes, in seconds."""
        if not self._p.outbox.is_empty:
            return max(0.0, self._handed_at_s + self._o.commit_every_s - now_s)
        if self._p.refresher.is_dirty:
            return max(0.0, self._refreshed_at_s + self._o.refresh_every_s - now_s)
        return 1.0

    # --- taking in ------------------------------------------------------------------------------

    def _event(self, seq: int, event_id: str, at_s: float, now_s: float, body: Body) -> Event:
        return Event(self._o.producer, self._o.epoch, seq, event_id, at_s, now_s, body)

    def _take_decision(self, seq: int, at_s: float, now_s: float, decision: Decision, events: list[Event]) -> None:
        self._p.joins.decisions.add(decision.decision_id, decision)
        offer = decision.offer
        if offer is not None and offer.lineup.key not in self._sets:
            self._sets.add(offer.lineup.key, True)
            names = tuple(clean_id(c) for c in offer.lineup.candidates)
            self._control(CandidateSetSeen(key=offer.lineup.key, candidates=names), now_s)
        events.append(self._event(seq, decision.decision_id, at_s, now_s, _record_of(decision)))

    def _take_run(self, seq: int, at_s: float, now_s: float, run: Run, events: list[Event]) -> None:
        clean = self._p.intake.run(run, now_s)
        if clean is None:
            return
        run_id = clean.run_id or f"r{self._prefix}{seq}"
        if run_id in self._p.joins:
            self._p.counters.note("duplicate_run", f"run_id {run_id!r} was recorded already; the first one counts")
            return
        started = clean.started_at_s if clean.started_at_s is not None else at_s - (clean.duration_s or 0.0)
        events.append(self._event(seq, run_id, started, now_s, clean))

    def _take_feedback(self, seq: int, at_s: float, now_s: float, feedback: Feedback, events: list[Event]) -> None:
        clean = self._p.intake.feedback(feedback)
        if clean is not None:
            events.append(self._event(seq, f"f{self._prefix}{seq}", at_s, now_s, clean))

    def _control(self, what: What, now_s: float) -> None:
        seq = next(self._p.numbers)
        body = Control(what)
        self._events.append(self._event(seq, f"c{self._prefix}{seq}", now_s, now_s, body))

    def _collect(self, events: list[Event], now_s: float) -> dict[str, list[Event]]:
        """Call the collect hooks; scrub and tag the events in place, answer score events by run."""
        scores: dict[str, list[Event]] = {}
        for collected in self._p.registry.collect(tuple(events)):
            scrubbed = {e.event_id: e for e in collected.scrubbed if isinstance(e, Event)}
            tags: dict[str, dict[str, str | int | float | bool]] = {}
            for tag in collected.tags:
                tags.setdefault(tag.run_id, {})[clean_id(tag.name)] = tag.value
            if scrubbed or tags:
                events[:] = [_tagged(scrubbed.get(e.event_id, e), tags.get(e.event_id)) for e in events]
            for score in collected.scores:
                if not 0.0 <= score.value <= 1.0:
                    self._p.counters.note("bad_score", f"{score.name!r} is {score.value!r}; expected [0, 1]")
                    continue
                seq = next(self._p.numbers)
                event = self._event(seq, f"s{self._prefix}{seq}", now_s, now_s, score)
                scores.setdefault(score.run_id, []).append(event)
        return scores

    # --- learning ---------------------------------------------------------------------------------

    def _learn_run(self, event: Event, run: Run, now_s: float) -> KnownRun:
        p = self._p
        decision = p.joins.decisions.get(run.decision_id) if run.decision_id else None
        known = self._known(event, run, decision)
        learner = known.learner
        if run.kind == "llm" and decision is None and run.deployment not in p.refresher.snapshot.config.deployments:
            self._observe_undeclared(run.deployment, known.operation)
        if run.kind == "llm":
            served = learner or (decision.variant if decision and decision.deployment == run.deployment else "")
            if p.breakers.settle(served or run.deployment, run.outcome, now_s):
                self._is_shut_dirty = True
        reward = p.rule.of(run.outcome, known.operation, ())
        known.is_awaiting = reward is None and run.outcome == "ok" and p.rule.awaits(known.operation)
        delta = p.outbox.delta
        for key in known.keys:
            cell = delta.cell(key, known.bucket)
            cell.add_run(run)
            if known.is_awaiting:
                cell.n_awaiting += 1
        delta.add_exemplar(run.deployment, known.operation, self._exemplar(known))
        p.joins.add(
            known,
            is_root=not run.parent_id,
            decision_id=run.decision_id,
            response_id=run.response_id,
            session_id=run.session_id,
        )
        if known.is_awaiting:
            self._awaiting.append((now_s + self._o.judgement_horizon_s, known))
        self._set_reward(known, reward)
        self._settle(known)
        if len(self._orphans):
            self._adopt_orphans(known, run, now_s)
        return known

    def _known(self, event: Event, run: Run, decision: Decision | None) -> KnownRun:
        operation = run.operation or (clean_id(decision.operation) if decision else "")
        if not operation:
            self._p.counters["run_without_operation"] += 1
        is_as_decided = decision is None or decision.deployment == run.deployment
        learner = ""
        if run.kind == "llm" and run.attempt == 1 and is_as_decided:
            learner = (decision.variant if decision else None) or run.deployment
        agent = run.agent_id
        if agent and agent not in self._agents:
            if len(self._agents) >= self._o.agents_tracked:
                self._p.counters["agents_pooled"] += 1
                agent = POOLED_AGENT
            else:
                self._agents.add(agent)
        return KnownRun(
            run_id=event.event_id,
            deployment=run.deployment,
            operation=operation,
            outcome=run.outcome,
            kind=run.kind,
            learner=learner,
            bucket=bucket_of(event.event_time_s),
            keys=_keys(run, operation, agent, decision),
            at_s=event.event_time_s + (run.duration_s or 0.0),
            trace_id=run.trace_id,
            started_at_s=event.event_time_s,
            duration_s=run.duration_s,
            cost_usd=run.cost_usd,
            propensity=decision.propensity if decision else None,
            decision=decision,
        )

    def _observe_undeclared(self, deployment: str, operation: str) -> None:
        """A deployment that nobody declared is accepted as observed: counted and listed."""
        operations = self._observed.get(deployment)
        if operations is None:
            if len(self._observed) >= 10_000:
                self._p.counters["observed_not_listed"] += 1
                return
            operations = self._observed[deployment] = set()
            record = msgspec.json.encode({"deployment": deployment, "since_s": self._p.clock()})
            self._p.outbox.put(Record("observed", deployment, record))
        if len(operations) < 100:
            operations.add(operation)

    def _learn_score(self, event: Event, now_s: float) -> None:
        score = event.body
        assert isinstance(score, Score)
        known = self._p.joins.run(score.run_id)
        if known is not None:
            self._judge(known, known, f"{score.source}:{score.name}", score.name, score.value)

    def _learn_feedback(self, event: Event, feedback: Feedback, now_s: float, *, is_last_try: bool = False) -> None:
        known, credited = self._p.joins.find(feedback)
        if known is not None:
            value = float(feedback.value or 0.0)
            key = feedback.idempotency_key or event.event_id
            self._judge(known, credited, key, feedback.name, value)
            return
        named = _names(feedback)
        if named and not is_last_try:
            for name in named:
                waiting = self._orphans.get(name)
                if waiting is None:
                    self._orphans.add(name, [event])
                else:
                    waiting.append(event)
            self._p.lookup(event)
            return
        self._p.counters["feedback_unjoined"] += 1
        if feedback.deployment or feedback.agent_id:
            cell_key = CellKey(feedback.deployment, feedback.operation, feedback.agent_id)
            self._p.outbox.delta.cell(cell_key, bucket_of(event.event_time_s)).add_judged(
                feedback.name, float(feedback.value or 0.0)
            )

    def resolve(self, feedback_event: Event, run_event: Event | None) -> None:
        """The store's answer to a lookup: the run that the feedback is about, or None."""
        now_s = self._p.clock()
        feedback = feedback_event.body
        assert isinstance(feedback, Feedback)
        if run_event is None or not isinstance(run_event.body, Run):
            if self._p.joins.find(feedback)[0] is None:
                self._learn_unjoined(feedback_event, feedback)
            return
        self._forget_orphan(feedback_event, feedback)
        if run_event.event_id not in self._p.joins:
            self._recall(run_event, run_event.body)
        known = self._p.joins.run(run_event.event_id)
        if known is not None:
            credited = known if known.kind == "llm" else None
            key = feedback.idempotency_key or feedback_event.event_id
            self._judge(known, credited, key, feedback.name, float(feedback.value or 0.0))
        self._finish(0, now_s)

    def _learn_unjoined(self, event: Event, feedback: Feedback) -> None:
        """Nothing is known of its run yet: kept for deployment or agent; it still waits for the run."""
        self._p.counters["feedback_unjoined"] += 1

    def _recall(self, event: Event, run: Run) -> None:
        """Take a run from the log back into memory, as it was learnt then."""
        decision = self._p.joins.decisions.get(run.decision_id) if run.decision_id else None
        known = self._known(event, run, decision)
        reward = self._p.rule.of(run.outcome, known.operation, ())
        known.is_awaiting = reward is None and run.outcome == "ok"
        known.reward = reward
        self._p.joins.add(
            known,
            is_root=not run.parent_id,
            decision_id=run.decision_id,
            response_id=run.response_id,
            session_id=run.session_id,
        )

    def _adopt_orphans(self, known: KnownRun, run: Run, now_s: float) -> None:
        """Feedback that came before its run."""
        names = (
            f"run/{known.run_id}",
            f"trace/{run.trace_id}",
            f"decision/{run.decision_id}",
            f"response/{run.response_id}",
        )
        for name in names:
            for event in self._orphans.pop(name) or ():
                body = event.body
                assert isinstance(body, Feedback)
                self._learn_feedback(event, body, now_s, is_last_try=True)

    def _forget_orphan(self, event: Event, feedback: Feedback) -> None:
        for name in _names(feedback):
            waiting = self._orphans.get(name)
            if waiting and event in waiting:
                waiting.remove(event)

    # --- judging ----------------------------------------------------------------------------------

    def _judge(self, known: KnownRun, credited: KnownRun | None, key: str, name: str, value: float) -> None:
        """A judgement of a run: count it, and correct the reward of the run that is credited."""
        self._put_judgement(known, key, name, value)
        if credited is None:
            return
        if credited is not known:
            credited.judged = {**(credited.judged or {}), key: (name, value)}
        rule = self._p.rule
        if rule.enters(credited.operation, name):
            rule.observe(credited.operation)
        reward = rule.of(credited.outcome, credited.operation, tuple((credited.judged or {}).values()))
        is_first = credited.reward is None
        self._set_reward(credited, reward)
        if is_first and reward is not None:
            self._settle(credited)

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

    def _set_reward(self, known: KnownRun, reward: float | None) -> None:
        before = known.reward
        if reward is None or reward == before:
            return
        known.reward = reward
        delta = self._p.outbox.delta
        for key in known.keys:
            cell = delta.cell(key, known.bucket)
            if before is not None:
                cell.add_judged("reward", before, -1)
            cell.add_judged("reward", reward)
            if known.is_awaiting:
                cell.n_awaiting -= 1
        known.is_awaiting = False
        if known.judged:
            delta.add_exemplar(known.deployment, known.operation, self._exemplar(known))
        if known.learner:
            self._observations.append(
                Observation(
                    known.operation,
                    known.learner,
                    reward,
                    known.at_s,
                    before,
                    known.duration_s,
                    known.cost_usd,
                    known.propensity,
                )
            )

    def _exemplar(self, known: KnownRun) -> Exemplar:
        return Exemplar(known.started_at_s, known.run_id, known.duration_s, known.outcome, known.trace_id, known.reward)

    def _settle(self, known: KnownRun) -> None:
        """Count a run for the rollouts that its decision was assigned to, once its end is known."""
        decision = known.decision
        if decision is None or not decision.assignments or known.is_awaiting:
            return
        tripped = self._p.harm.settle(
            decision,
            is_blamed=known.outcome in BLAMED,
            reward=known.reward,
            duration_s=known.duration_s,
            cost_usd=known.cost_usd,
        )
        for rollout_id in tripped:
            self._is_shut_dirty = True
            self._alarm("harm", rollout_id, known.operation, self._p.harm.tripped[rollout_id])

    def _alarm(self, name: str, subject: str, operation: str, numbers: dict[str, float]) -> None:
        self._control(Alarm(name=name, subject=subject, operation=operation, numbers=numbers), self._p.clock())

    def _teach(self) -> None:
        observations, self._observations = self._observations, []
        policy = self._p.policy
        try:
            policy.learn(observations)
            alarms = policy.alarms()
        except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
            self._p.counters.note("policy_failed", f"{policy.name}.learn: {type(error).__name__}: {error}")
            return
        for observation in observations:
            self._p.refresher.touch(observation.operation)
        for deployment, operation, numbers in alarms:
            self._alarm("change", deployment, operation, numbers)

    def _expire_judgements(self, now_s: float) -> None:
        """Runs whose judgement did not come in time stay unlearnt, or earn 1 where that is asked for."""
        while self._awaiting and self._awaiting[0][0] <= now_s:
            _, known = self._awaiting.popleft()
            if not known.is_awaiting:
                continue
            if self._o.unjudged_earns:
                self._set_reward(known, 1.0)
                self._settle(known)
                continue
            known.is_awaiting = False
            for key in known.keys:
                self._p.outbox.delta.cell(key, known.bucket).n_awaiting -= 1
        if self._observations:
            self._teach()

    # --- serving ------------------------------------------------------------------------------------

    def _refresh(self, now_s: float) -> None:
        p = self._p
        if self._is_shut_dirty or (self._breaker_due_s is not None and now_s >= self._breaker_due_s):
            self._is_shut_dirty = False
            self._reopen(now_s)
            self._breaker_due_s = p.breakers.next_due_s(now_s)
        if 0 <= now_s - self._refreshed_at_s < self._o.refresh_every_s:
            return
        self._refreshed_at_s = now_s
        try:
            due = p.policy.due(now_s)
        except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
            p.counters.note("policy_failed", f"{p.policy.name}.due: {type(error).__name__}: {error}")
            due = ()
        if not due and not p.refresher.is_dirty:
            return
        rows = p.refresher.refresh(tuple(due), budget_s=self._o.refresh_budget_s)
        if rows:
            version = p.refresher.snapshot.weights_version
            self._control(WeightsRefreshed(weights_version=version, rows=rows), now_s)

    def _reopen(self, now_s: float) -> None:
        """Serve the breakers of now: open ones out, one probe token for each half-open one."""
        p = self._p
        half_open = p.breakers.half_open(now_s)
        for variant in half_open:
            if p.breakers.take(variant, now_s):
                self._probes[variant] = deque((variant,))
        shut = p.breakers.open_at(now_s)
        self._probes = {v: tokens for v, tokens in self._probes.items() if v in shut}
        before = p.refresher.snapshot.open_breakers
        if p.refresher.reopen(shut, self._probes, frozenset(p.harm.tripped)):
            for variant in shut ^ before:
                self._alarm("breaker_open" if variant in shut else "breaker_closed", variant, "", {})

    def configure(self, config: Configuration, bodies: dict[str, str], promoted: frozenset[str]) -> None:
        """Serve another configuration.

        Args:
            config: The new one.
            bodies: Texts of its prompts by hash.
            promoted: Rollouts that ended well: what their variants learnt goes to the deployments.
        """
        old = self._p.refresher.snapshot.config
        for rollout_id, rollout in old.rollouts.items():
            if rollout_id not in config.rollouts:
                self._end(rollout, is_promoted=rollout_id in promoted)
        self._p.harm.follow(config.rollouts)
        self._p.refresher.configure(config, bodies)
        self._is_shut_dirty = True
        now_s = self._p.clock()
        self._control(ConfigurationPublished(config_version=config.version), now_s)
        self.tick(now_s)

    def _end(self, rollout: Rollout, *, is_promoted: bool) -> None:
        policy = self._p.policy
        changed = {op.deployment.id for op in rollout.patch if isinstance(op, PutDeployment)}
        for deployment in changed:
            variant = variant_id(deployment, rollout.rollout_id)
            try:
                if is_promoted:
                    policy.adopt(deployment, variant)
                policy.forget(variant)
            except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
                self._p.counters.note("policy_failed", f"{policy.name}: {type(error).__name__}: {error}")

    def note_dropped(self, n_dropped: int) -> None:
        """Log how many events a full ring lost since the last call."""
        if n_dropped > self._n_dropped:
            lost, self._n_dropped = n_dropped - self._n_dropped, n_dropped
            self._p.counters["events_dropped"] += lost
            self._control(EventsDropped(counts={"ring_full": lost}), self._p.clock())


def _record_of(decision: Decision) -> DecisionRecord:
    offer = decision.offer
    has_shadow = decision.shadow is not None and offer is not None
    return DecisionRecord(
        operation=clean_id(decision.operation),
        candidate_set=offer.lineup.key if offer else "",
        deployment=clean_id(decision.deployment) if offer else None,
        variant=clean_id(decision.variant) if offer else None,
        excluded=decision.excluded,
        weights_version=offer.weights_version if offer else 0,
        draw=decision.draw,
        propensity=decision.propensity,
        unit="session" if decision.session_id else "request",
        is_first_of_unit=decision.is_first_of_unit,
        assignments=decision.assignments,
        config_version=decision.config_version,
        reason=decision.reason,
        session_id=clean_id(decision.session_id),
        shadow=offer.lineup.candidates[decision.shadow]
        if has_shadow and offer and decision.shadow is not None
        else None,
        shadow_propensity=offer.propensity(decision.shadow)
        if has_shadow and offer and decision.shadow is not None
        else None,
    )


def _tagged(event: Event, tags: dict[str, str | int | float | bool] | None) -> Event:
    body = event.body
    if not tags or not isinstance(body, Run):
        return event
    return replace(event, body=replace(body, attributes={**body.attributes, **tags}))


def _keys(run: Run, operation: str, agent: str, decision: Decision | None) -> tuple[CellKey, ...]:
    """The total's cell, and one per assignment; only llm runs count for deployments."""
    deployment = run.deployment if run.kind == "llm" else ""
    agent = agent if deployment else agent or run.deployment
    print_ = decision.offer.lineup.fingerprint if decision and decision.offer else ""
    assignments: tuple[Assignment, ...] = decision.assignments if decision else ()
    return (
        CellKey(deployment, operation, agent, "", print_),
        *(CellKey(deployment, operation, agent, f"{a.rollout_id}:{a.variant}", print_) for a in assignments),
    )


def _names(feedback: Feedback) -> tuple[str, ...]:
    """What feedback names its run by, most exact first; only that one counts."""
    if feedback.run_id:
        return (f"run/{feedback.run_id}",)
    if feedback.trace_id:
        return (f"trace/{feedback.trace_id}",)
    if feedback.decision_id:
        return (f"decision/{feedback.decision_id}",)
    if feedback.response_id:
        return (f"response/{feedback.response_id}",)
    return ()

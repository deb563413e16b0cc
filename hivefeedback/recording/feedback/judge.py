"""Judgements become rewards: in cells, for the policy, and for the units of rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hivefeedback.hooks import LearnsAlike, LearnsShared, Observation, Policy
from hivefeedback.model import BLAMED, UNCOUNTED, Event, Run, SharedRow
from hivefeedback.recording.feedback.join import KnownRun
from hivefeedback.recording.learning.newest import Newest
from hivefeedback.recording.learning.queries import Queries
from hivefeedback.recording.parts import Parts
from hivefeedback.recording.telling import TROUBLES, tell_trouble
from hivefeedback.stats import ENOUGH, REWARD

__all__ = ["Judge"]

_ONE_CHANGE_S = 300.0
"""Alarms of one deployment and operation within so long are about one change."""


class Judge:
    """Counts judgements of runs that this process settles, and corrects their rewards.

    ``teach`` hands the rewards of a batch to the policy.
    """

    def __init__(self, parts: Parts, newest: Newest, *, enough: float = ENOUGH) -> None:
        self._p, self._newest = parts, newest
        self._observations: list[Observation] = []
        self._alike: list[tuple[str, str, float, Sequence[Event]]] = []
        self.queries = Queries(parts.outbox, parts.joins, parts.rule, size=parts.joins.size, enough=enough)

    @property
    def is_full(self) -> bool:
        """True where single rewards wait for the policy."""
        return bool(self._observations)

    # --- rewards ------------------------------------------------------------------------------------

    def begin(self, known: KnownRun, seq: int, now_s: float) -> None:
        """What follows from the end of a run: it waits for its judgement, or its reward is learnt."""
        if known.reward is None and known.outcome == "ok":
            self._p.awaiting.note(known.operation, seq)
        if known.is_awaiting:
            self._p.awaiting.add(known, now_s)
        elif known.reward is not None and known.learner:
            self._observations.append(_observation(known, known.reward, None))
        decision = known.decision
        if decision is not None and decision.assignments:
            self.settle_units(known)

    def reward_all(self, operation: str, deployment: str, reward: float, events: Sequence[Event]) -> None:
        """First rewards of runs that are alike."""
        self._alike.append((operation, deployment, reward, events))

    def judge(
        self,
        known: KnownRun,
        credited: KnownRun | None,
        key: str,
        name: str,
        value: float,
        *,
        is_of_trace: bool = False,
    ) -> None:
        """A judgement of a run: count it, and correct the reward of the run that is credited. It may be of
        the whole trace, for which that run stands."""
        if name in TROUBLES:
            tell_trouble(name, value, known.operation)
        if is_of_trace:
            self.queries.hear(known)
        query = self.queries.of(known)
        success = self.queries.success(query) if query is not None else None
        self._put_judgement(known, key, name, value)
        if credited is not None and credited is not known:
            credited.judged = {**(credited.judged or {}), key: (name, value)}
        if query is not None:
            self.queries.correct(query, success)
        if credited is None:
            return
        self.note_judged(credited.operation, name)
        if self._set_reward(credited, self.earned(credited)):
            self.settle_units(credited)

    def note_judged(self, operation: str, name: str) -> None:
        """Somebody judges that operation: its further runs await that."""
        rule = self._p.rule
        if rule.enters(operation, name):
            news = rule.observe(operation, self._p.clock())
            if news is not None:
                self._p.outbox.put(news)

    def earned(self, known: KnownRun) -> float | None:
        """The reward by all that was said of the run."""
        return self._p.rule.of(known.outcome, known.operation, tuple((known.judged or {}).values()))

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
        for key in known.keys:
            cell = self._p.outbox.delta.cell(key, known.bucket)
            if before is not None:
                cell.add_judged(REWARD, before, -1)
            cell.add_judged(REWARD, reward)
        self._stop_waiting(known)
        if known.judged and known.kind == "llm":
            self._newest.add(known)
        if known.learner:
            self._observations.append(_observation(known, reward, before))
        return True

    def _stop_waiting(self, known: KnownRun) -> None:
        if not known.is_awaiting:
            return
        known.is_awaiting = False
        self._p.awaiting.drop(known.run_id)
        for key in known.keys:
            self._p.outbox.delta.cell(key, known.bucket).n_awaiting -= 1

    def give_up(self, known: KnownRun, *, earns: bool) -> None:
        """The judgement did not come in time: the run stays unlearnt, or earns 1 where that is asked for."""
        if not known.is_awaiting:
            return
        if earns:
            self._set_reward(known, 1.0)
        self._stop_waiting(known)
        self.settle_units(known)  # nobody complained: a unit that did not fail

    def take_back(self, known: KnownRun) -> None:
        """The run does not count: neither its reward nor what was said of it."""
        self.queries.take_back(known)
        for key in known.keys:
            cell = self._p.outbox.delta.cell(key, known.bucket)
            for name, value in (known.judged or {}).values():
                cell.add_judged(name, value, -1)
            if known.reward is not None:
                cell.add_judged(REWARD, known.reward, -1)
        self._stop_waiting(known)

    # --- rollouts -----------------------------------------------------------------------------------

    def settle_units(self, known: KnownRun) -> None:
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
            self._p.signals.is_shut_dirty = True
            self._p.events.alarm("harm", rollout_id, known.operation, self._p.harm.tripped[rollout_id])

    # --- the policy -----------------------------------------------------------------------------------

    def teach(self) -> None:
        """Hand the rewards of the batch to the policy."""
        if not self._observations and not self._alike:
            return
        observations, self._observations = self._p.variants.of_now(self._observations), []
        alike, self._alike = self._alike, []
        signals, policy = self._p.signals, self._p.policy
        signals.has_learnt = True
        signals.n_learnt += len(observations) + sum([len(events) for _, _, _, events in alike])
        try:
            if alike:
                self._learn_alike(policy, alike)
            if observations:  # after those that came before them
                policy.learn(observations)
            alarms = [
                (str(deployment), str(operation), {str(name): float(value) for name, value in numbers.items()})
                for deployment, operation, numbers in policy.alarms()
            ]
        except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
            self._p.counters.note("policy_failed", f"{policy.name}.learn: {type(error).__name__}: {error}")
            return
        if self._p.evidence is not None:
            self._p.evidence.note(observations, alike)
        for operation in dict.fromkeys([seen.operation for seen in observations] + [group[0] for group in alike]):
            self._p.refresher.touch(operation)
        for alarm in alarms:
            self._tell_change(*alarm)

    def _tell_change(self, deployment: str, operation: str, numbers: dict[str, float]) -> None:
        """All processes see a change sooner or later; the first one speaks of it."""
        tell = partial(self._p.events.alarm, "change", deployment, operation, numbers)
        name, now_s = f"change/{deployment}/{operation}", self._p.clock()
        claim = partial(self._p.probes.claim, name, now_s, _ONE_CHANGE_S)
        self._p.ask(claim, lambda is_first: tell() if is_first else None, tell)

    def learn_shared(self, rows: Sequence[SharedRow]) -> None:
        """Hand the policy what another process learnt, where it takes that."""
        policy = self._p.policy
        if not isinstance(policy, LearnsShared):
            return
        for row in rows:
            learner = self._p.variants.learner(row.deployment)
            if not learner or row.n < 0:
                continue
            self._p.signals.n_learnt += row.n
            try:
                policy.learn_shared(row.operation, learner, row.n, row.total + row.moved)
            except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
                self._p.counters.note("policy_failed", f"{policy.name}.learn_shared: {type(error).__name__}: {error}")
                return
            self._p.refresher.touch(row.operation)
            self._p.outbox.breathe()

    def _learn_alike(self, policy: Policy, alike: Sequence[tuple[str, str, float, Sequence[Event]]]) -> None:
        """Rewards of runs that are alike, group by group; one by one for a policy that knows no groups."""
        if isinstance(policy, LearnsAlike):
            for operation, deployment, reward, events in alike:
                policy.learn_alike(operation, deployment, reward, len(events))
        else:
            policy.learn(
                [
                    self._of_event(event, operation, deployment, reward)
                    for operation, deployment, reward, events in alike
                    for event in events
                ]
            )

    def _of_event(self, event: Event, operation: str, deployment: str, reward: float) -> Observation:
        run = event.body
        assert isinstance(run, Run)
        decision = self._p.joins.decision(run.decision_id)
        at_s = event.event_time_s + (run.duration_s or 0.0)
        propensity = decision.propensity if decision is not None else None
        return Observation(operation, deployment, reward, at_s, None, run.duration_s, run.cost_usd, propensity)


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

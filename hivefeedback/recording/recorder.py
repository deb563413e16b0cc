"""The recorder: ring → collect hooks → rewards → policy, breakers, harm tests → commit → new snapshot.

One thread (or, with a given clock, the caller under the loop's lock). Works per slice; nothing in
it waits for the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import is_
from typing import TypeVar

from hivefeedback.model import (
    BatchCommitted,
    Configuration,
    ConfigurationPublished,
    Erased,
    Event,
    EventsDropped,
    Feedback,
    PutDeployment,
    Rollout,
    Run,
    Score,
    SegmentStarted,
    UsePrompt,
    WeightsRefreshed,
    variant_id,
)
from hivefeedback.model.item import TEXTS, Item
from hivefeedback.recording.feedback.awaiting import Legacy
from hivefeedback.recording.feedback.judge import Judge
from hivefeedback.recording.feedback.late import LateFeedback
from hivefeedback.recording.feedback.lookup import Found
from hivefeedback.recording.feedback.owners import Handed
from hivefeedback.recording.feedback.recall import Recall
from hivefeedback.recording.incoming.collect import Collector
from hivefeedback.recording.incoming.corrections import Corrections
from hivefeedback.recording.incoming.taking import Taker
from hivefeedback.recording.learning.learner import Learner
from hivefeedback.recording.learning.newest import Newest
from hivefeedback.recording.learning.plain import PlainRuns
from hivefeedback.recording.learning.shared import Told
from hivefeedback.recording.learning.sharing import Sharing
from hivefeedback.recording.parts import Parts, RecorderOptions
from hivefeedback.recording.rollouts.heard import Heard
from hivefeedback.recording.rollouts.variants import together
from hivefeedback.recording.shutters import Shutters

__all__ = ["Recorder"]

T = TypeVar("T")
_HELD_BACK = 1000
"""What a process that records nothing tells of itself is held back up to so many events."""
_FEW = 4
"""Fewer runs are learnt one by one."""
_PRIME_S = 0.1
"""How long a start may take for it."""
_FLUSH_SAVES_S = 5.0
"""Flushes that follow faster save what was learnt once: who reads it has a minute's worth before him."""
_ASKED = 100
"""Runs that the store is asked about at once."""


class Recorder:
    """Learns from items, slice by slice."""

    def __init__(self, parts: Parts, options: RecorderOptions) -> None:
        self._p, self._o = parts, options
        self._collector = Collector(parts)
        self._newest = Newest(parts.joins.decision)
        self._judge = Judge(parts, self._newest, enough=options.query_success_from)
        self._sharing = Sharing(parts, self._judge)
        self._learner = Learner(parts, options, self._judge, self._newest)
        self._late = LateFeedback(
            parts, self._learner, self._judge, Recall(parts, options, self._learner), ask_after_s=options.ask_after_s
        )
        self._plain = PlainRuns(parts, self._learner, self._judge, self._newest, self._late)
        self._corrections = Corrections(parts.outbox, parts.counters, parts.intake.hash_user)
        self._shutters = Shutters(parts)
        self._taker = Taker(parts)
        self._refreshed_at_s = self._handed_at_s = self._saved_at_s = self._shown_at_s = -1e18
        self._dropped: dict[str, int] = {}
        self._has_begun = self._has_runs = self._is_checkpoint_old = self._is_save_wanted = False

    @property
    def observed(self) -> Mapping[str, set[str]]:
        """Deployments that served runs without being declared → their operations."""
        return self._learner.observed

    @property
    def judged(self) -> tuple[str, ...]:
        """Operations whose judgement is awaited since one was seen."""
        return self._p.rule.observed

    def begin(self, checkpoint: Callable[[], SegmentStarted]) -> None:
        """Tell the checkpoint that a log segment begins with; it is written with the first thing that
        is recorded, so that a process that only looks or changes something leaves no trace in the log."""
        now_s = self._p.clock()
        self._checkpoint = checkpoint
        self._p.events.tell(checkpoint(), now_s)
        self.tick(now_s)

    def prime(self) -> None:
        """Before the threads begin: what was learnt before this start is drawn by from the first decision on."""
        self._p.refresher.prime(budget_s=_PRIME_S)

    # --- a slice ----------------------------------------------------------------------------------

    def process(self, items: Sequence[Item]) -> None:
        """Learn a slice of items; small ones, so that other threads get their turn."""
        now_s = self._p.clock()
        if not self._has_begun:
            self._begin_recording()
        if not self._learn_plain(items, now_s):
            self._learn_any(items, now_s)
        self.tick(now_s)

    def _learn_plain(self, items: Sequence[Item], now_s: float) -> bool:
        """Learn a slice that holds nothing but plain runs; False for every other one."""
        found = self._plain.sort(items, now_s) if len(items) >= _FEW else None
        if found is None:
            return False
        events, groups = found
        before = events.copy()
        scores = self._collector.collect(events, now_s)
        self._sign()
        if scores or not all(map(is_, events, before)):  # hooks had something to say of single runs
            self._learn_events(events, scores, now_s)
            return True
        self._plain.learn(events, groups, now_s)
        self._p.outbox.add_plain(events)
        self._p.events.tell(BatchCommitted(last_seq=events[-1].seq, n_events=len(events)), now_s)
        return True

    def _learn_any(self, items: Sequence[Item], now_s: float) -> None:
        """Learn a slice run by run."""
        events = self._taker.take_in(items, now_s)
        self._learn_events(events, self._collector.collect(events, now_s), now_s)

    def _sign(self) -> None:
        """With its first run a process becomes an owner."""
        if not self._has_runs:
            self._has_runs = True
            self._p.outbox.put(self._p.owners.sign(self._p.owners.own))

    def _learn_events(self, events: list[Event], scores: Mapping[str, Sequence[Event]], now_s: float) -> None:
        for event in events:
            try:
                self._learn(event, scores, now_s)
            except Exception as error:  # noqa: BLE001  # background thread: one bad item must not cost the others
                self._p.counters.note("bad_item", f"{event.event_id}: {type(error).__name__}: {error}")
        self._teach()
        outbox = self._p.outbox
        outbox.add(events)
        for found in scores.values():
            outbox.add(found)
        self._p.events.tell(BatchCommitted(last_seq=events[-1].seq if events else 0, n_events=len(events)), now_s)

    def _begin_recording(self) -> None:
        """The first thing is recorded: write the checkpoint, and take over what others left."""
        self._has_begun = True
        if self._is_checkpoint_old:
            self._p.events.take_own()
            self._p.events.tell(self._checkpoint())
        self._p.outbox.add(self._p.events.take_own())  # the checkpoint comes first
        self.take_over()

    def take_over(self) -> None:
        """Wait for what processes that are gone waited for, and remove what nobody needs of what they left."""
        p = self._p
        p.ask(p.lookup.left, self._inherit)
        p.ask(partial(p.lookup.tidy, p.policy.name, p.clock()), lambda _: None)

    def _inherit(self, left: Sequence[tuple[str, Legacy]]) -> None:
        for origin, legacy in left:
            self._has_begun = True  # what it will say of them goes into the log
            self._p.awaiting.inherit(origin, legacy)

    def _learn(self, event: Event, scores: Mapping[str, Sequence[Event]], now_s: float) -> None:
        body = event.body
        if isinstance(body, Run):
            self._sign()
            if event.event_id not in scores and self._plain.take(event, body, now_s):
                return
            self._plain.count()  # what came before it
            known = self._learner.learn(event, body, now_s)
            for judged in scores.get(known.run_id, ()):
                if isinstance(score := judged.body, Score):
                    self._judge.judge(known, known, f"{score.source}:{score.name}", score.name, score.value)
            self._late.adopt(known, body)
        elif isinstance(body, Feedback):
            self._plain.count()
            self._corrections.note(event, body)
            self._late.learn(event, body)

    def _teach(self) -> None:
        """Hand rewards to the policy, those that came before first."""
        if self._judge.is_full:
            self._plain.teach()
        self._judge.teach()

    # --- other processes --------------------------------------------------------------------------

    def answered(self, take: Callable[[], object]) -> None:
        """The store's answer to what was asked; in a thread it comes between two slices."""
        self._plain.count()
        try:
            take()
        finally:
            self._teach()
            self.tick(self._p.clock())

    def repeated(self, events: Iterable[Event]) -> None:
        """Runs with ids that the log held already: they were counted twice."""
        for event in events:
            known = self._p.joins.run(event.event_id)
            if known is not None and isinstance(event.body, Run):
                self._learner.take_back(known, event.body)
                self._late.judge_first(known)

    def take(
        self,
        handed: Sequence[tuple[str, Handed]],
        lost: Sequence[str],
        breakers: Mapping[str, bytes],
        asked: Sequence[tuple[str, str, bool]] = (),
    ) -> None:
        """What other processes told.

        Args:
            handed: Judgements of runs that this process owns, with their origin.
            lost: Origins that another process claimed, since this one gave no sign of life.
            breakers: What they know of variants.
            asked: Feedback that they had asked the log about when they ended, with their origin.
        """
        self._plain.count()
        self._has_begun = self._has_begun or bool(handed or asked)  # what is learnt of it goes into the log
        if lost:
            self._p.awaiting.lose(lost)
            self._late.lose(lost)
            self.forget_runs()
        for variant, data in breakers.items():
            if self._p.breakers.merge(variant, data):
                self._p.signals.is_shut_dirty = True
        self._late.take(handed)
        self._late.ask_for(asked)
        self._teach()
        self.tick(self._p.clock())

    def learn_shared(self, told: Sequence[Told], gone: Sequence[str] = ()) -> None:
        """Take in what other processes learnt; of those that are ``gone`` nothing more need be known."""
        self._teach()
        self._sharing.take(told, gone, is_logged=self._has_begun)
        self._is_checkpoint_old = not self._has_begun
        self.tick(self._p.clock())

    def clear_breaker(self, variant: str) -> None:
        """A person closed a breaker: serve the variant again, and tell the other processes."""
        now_s = self._p.clock()
        if self._p.breakers.clear(variant, now_s):
            self._has_begun = self._p.signals.is_shut_dirty = True
            self._p.events.alarm("breaker_cleared", variant)
            self.tick(now_s)

    def erased(self, selector: str, n_events: int) -> None:
        """Something was erased by this process: say so in the log, and forget runs."""
        self._has_begun = True
        self.forget_runs()
        self._p.events.tell(Erased(selector=selector, n_events=n_events))

    def forget_runs(self) -> None:
        """Something was erased: nothing in memory may be judged any more without asking the log."""
        self._p.joins.forget_runs()
        if self._p.edge is not None:
            self._p.edge.forget()
        self._judge.queries.forget()
        self._p.awaiting.doubt()
        self._newest.forget()
        self.hand_over(self._p.clock())
        self._late.forget()

    # --- time ---------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """What time alone brings: horizons, breakers, stale weights, commits."""
        self._expire(now_s)
        self._late.ask_again(now_s)
        self._teach()
        if self._p.signals.is_shut_dirty or self._shutters.is_due(now_s):
            self._p.signals.is_shut_dirty = False
            self._plain.teach()  # new weights come with it
            self._judge.teach()
            self._shutters.set(now_s)
        self._refresh(now_s)
        if not 0 <= now_s - self._handed_at_s < self._o.commit_every_s:
            self.hand_over(now_s)

    def _expire(self, now_s: float) -> None:
        """Runs whose judgement did not come in time; of some the log has to say whether they still are there."""
        absent = []
        for run_id, known in self._p.awaiting.due(now_s):
            if known is None:
                absent.append(run_id)
            else:
                self._judge.give_up(known, earns=self._o.unjudged_earns)
        for start in range(0, len(absent), _ASKED):
            asked = absent[start : start + _ASKED]
            self._p.ask(partial(self._p.lookup.of_runs, asked), partial(self._give_up, asked))

    def _give_up(self, run_ids: Sequence[str], found: Sequence[Found]) -> None:
        recalled = [self._late.recall(answer) for answer in found]
        self._p.awaiting.give_up(run_ids)
        for known in recalled:
            if known is not None:
                self._judge.give_up(known, earns=self._o.unjudged_earns)

    def _refresh(self, now_s: float) -> None:
        p = self._p
        if 0 <= now_s - self._refreshed_at_s < self._o.refresh_every_s:
            return
        self._refreshed_at_s = now_s
        self._plain.teach()
        self._judge.teach()
        nothing: tuple[str, ...] = ()
        due = self._ask_policy(lambda: tuple(str(operation) for operation in p.policy.due(now_s)), nothing)
        if due or p.refresher.is_dirty:
            rows = p.refresher.refresh(due, budget_s=self._o.refresh_budget_s)
            if rows:
                version = p.refresher.snapshot.weights_version
                p.events.tell(WeightsRefreshed(weights_version=version, rows=rows), now_s)

    def idle_s(self, now_s: float) -> float:
        """How long the recorder may sleep when nothing comes, in seconds."""
        due_s = min(now_s + 1.0, self._late.next_s())
        if self._p.refresher.is_dirty or self._plain.is_untaught:
            due_s = min(due_s, self._refreshed_at_s + self._o.refresh_every_s)
        elif self._plain.is_uncounted or not self._p.outbox.is_empty:
            due_s = min(due_s, self._handed_at_s + self._o.commit_every_s)
        return max(0.0, due_s - now_s)

    # --- the store ----------------------------------------------------------------------------------

    def hand_over(self, now_s: float, *, is_flush: bool = False, is_final: bool = False, asks: bool = True) -> None:
        """Send what waits to the store; exemplars and the learnt state only where they are due."""
        outbox, events = self._p.outbox, self._p.events
        self._plain.count()
        self._late.note_asked()
        self._judge.teach()
        if self._has_begun or events.n_own > _HELD_BACK:
            outbox.add(events.take_own())
        if is_flush or is_final or not 0 <= now_s - self._shown_at_s < self._o.exemplars_every_s:
            self._shown_at_s = now_s
            self._newest.put(outbox)
        if self._has_begun:
            self._tell_state(now_s, is_final=is_final)
        for record in self._p.harm.records(events.producer, events.epoch):
            outbox.put(record)
        signals = self._p.signals
        self._is_save_wanted = signals.has_learnt and (is_flush or self._is_save_wanted)
        every_s = min(_FLUSH_SAVES_S, self._o.save_every_s) if self._is_save_wanted else self._o.save_every_s
        is_due = not 0 <= now_s - self._saved_at_s < every_s
        if signals.has_learnt and (is_final or is_due):  # who learnt nothing has nothing to tell
            self._saved_at_s, signals.has_learnt, self._is_save_wanted = now_s, False, False
            dump = self._ask_policy(lambda: bytes(memoryview(self._p.policy.dump())), b"")
            if dump:
                self._sharing.tell(dump)
        self._handed_at_s = now_s
        edge = self._p.edge
        outbox.hand_over(has_more=edge is not None and edge.settle(now_s, is_final=is_final))
        if is_flush and asks:
            self._late.ask_now()

    def _tell_state(self, now_s: float, *, is_final: bool) -> None:
        """What other processes have to know: breakers that changed, and runs that wait."""
        p = self._p
        for record in p.breakers.records():
            p.outbox.put(record)
        if is_final:
            self._late.end()
            records = p.awaiting.will(now_s)
        else:
            records = p.awaiting.news(now_s)
        for record in records:
            if self._has_runs or record.key != p.owners.own:
                p.outbox.put(record)

    def note_dropped(self, dropped: Mapping[str, int]) -> None:
        """Count and log what a full ring lost since the last call, by what it was (decision, run, feedback)."""
        self._p.drops.count()
        now = dict(dropped)  # other threads go on counting
        now.pop(TEXTS, 0)
        lost = {name: n - self._dropped.get(name, 0) for name, n in now.items() if n > self._dropped.get(name, 0)}
        if lost:
            self._dropped = now
            self._p.events.tell(EventsDropped(counts=lost))

    # --- the configuration ------------------------------------------------------------------------------

    def configure(self, config: Configuration, bodies: Mapping[str, str], promoted: frozenset[str]) -> None:
        """Serve another configuration.

        Args:
            config: The new one.
            bodies: Texts of its prompts by hash.
            promoted: Rollouts that ended well: what their variants learnt goes to the deployments.
        """
        old = self._p.refresher.snapshot.config
        for rollout_id, rollout in old.rollouts.items():
            if rollout_id not in config.rollouts:
                self._end(rollout, tuple(old.rollouts), is_promoted=rollout_id in promoted)
        self._p.variants.follow(promoted)
        self._p.harm.follow(config.rollouts)
        self._p.refresher.configure(config, bodies)
        self._p.signals.is_shut_dirty = True
        now_s = self._p.clock()
        version = self._p.refresher.snapshot.weights_version
        self._p.events.tell(ConfigurationPublished(config.version, version), now_s)
        self.tick(now_s)

    def _end(self, rollout: Rollout, others: Sequence[str], *, is_promoted: bool) -> None:
        """A rollout is over: what its variants learnt goes to the deployments, or to nobody.

        Args:
            rollout: The rollout.
            others: Ids of those that were open with it, in their order: a unit may have been in several.
            is_promoted: How it ended.
        """
        p = self._p
        p.variants.end(rollout.rollout_id, is_promoted=is_promoted)
        for deployment in self._changed_by(rollout):
            variant = variant_id(deployment, rollout.rollout_id)
            if is_promoted:
                self._ask_policy(partial(p.policy.adopt, deployment, variant), None)
            for gone in (variant, *together(deployment, rollout.rollout_id, others)):
                self._ask_policy(partial(p.policy.forget, gone), None)
                p.breakers.forget(gone)

    def _changed_by(self, rollout: Rollout) -> list[str]:
        changed = [op.deployment.id for op in rollout.patch if isinstance(op, PutDeployment)]
        if any(isinstance(op, UsePrompt) for op in rollout.patch):  # all that are served with it are variants
            changed += [*self._p.refresher.snapshot.config.deployments, *sorted(self.observed)]
        return list(dict.fromkeys(changed))

    def recall_ended(self, ended: Iterable[tuple[Rollout, bool]]) -> None:
        """Rollouts that were over before this start, and whether they were promoted: what was learnt of
        their variants may still be in the policy's state, and their last runs may still come in."""
        for rollout, is_promoted in ended:
            self._p.variants.end(rollout.rollout_id, is_promoted=is_promoted)
            for deployment in self._changed_by(rollout):
                variant = variant_id(deployment, rollout.rollout_id)
                self._ask_policy(partial(self._p.policy.forget, variant), None)
                self._p.breakers.forget(variant)

    def hear(self, heard: Mapping[str, Heard]) -> None:
        """Take in what other processes told of the open rollouts: what is proven harmful is served
        nowhere, and a suspicion that the counts of all do not share ends."""
        harm = self._p.harm
        changed = harm.hear(heard)
        for word, rollout_id in changed:
            self._p.signals.is_shut_dirty = True
            self._p.events.alarm(word, rollout_id, "", harm.tripped.get(rollout_id))
        if changed:
            self.tick(self._p.clock())

    @property
    def suspected(self) -> frozenset[str]:
        """Rollouts of which the counts of all processes are wanted; safe to ask from any thread."""
        return self._p.harm.suspected

    def _ask_policy(self, call: Callable[[], T], otherwise: T) -> T:
        """A policy is a plugin: where it fails, the loop goes on without its answer."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # the plugin guard
            self._p.counters.note("policy_failed", f"{self._p.policy.name}: {type(error).__name__}: {error}")
            return otherwise

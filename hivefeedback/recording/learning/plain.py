"""Runs are learnt group by group where they can be: most of what is done for a run is alike for its group.

Runs are sorted by deployment, operation, outcome and what the deployment was served with; what is the same
for all runs of a group is done once for all of them, a moment later: the policy hears of their rewards
when weights are refreshed, and their cells when something is committed; both when anything else has to be
learnt. The runs themselves are kept as events, until somebody judges one of them.

There are two ways in:

- A run is plain where it says what it served, how it ended and what it cost, and nothing else: no ids,
  no decision, no texts. Slices that hold nothing but plain runs are sorted at once (``sort``). What is
  said of such a run cannot have come before it, since nobody knew its id.
- Of other slices each run is looked at (``take``): it may have a decision, if it did what was decided and
  no rollout is concerned, a session, a response, and a trace that it is alone in. Another run of that
  trace finds it again.

What depends on the order of runs keeps it: breakers are settled at once, and so is everything about a
deployment when one of its runs earned less than 1.

Every other run is learnt by itself (``Learner.learn``); both ways count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from hivefeedback.model import OUTCOMES, Decision, Event, Run
from hivefeedback.model.ids import MAX_ID
from hivefeedback.model.item import Item
from hivefeedback.recording.feedback.judge import Judge
from hivefeedback.recording.feedback.late import LateFeedback
from hivefeedback.recording.incoming.intake import MAX_AHEAD_S, MAX_COST_USD, MAX_COUNT, MAX_DURATION_S
from hivefeedback.recording.learning.learner import Learner
from hivefeedback.recording.learning.newest import Newest
from hivefeedback.recording.learning.prices import ListPrices
from hivefeedback.recording.learning.reward import first_reward
from hivefeedback.recording.parts import Parts
from hivefeedback.stats import BUCKET_S, CellKey, outcome_success

__all__ = ["Group", "PlainRuns"]

_GROUPS = 4096
_MOST = 4096
"""Runs that wait in groups; beyond that they are learnt before their time."""
_NONE: Final = ""
_NO_ATTRIBUTES: Final[dict[str, object]] = {}
_NO_PROMPTS: Final = ()
_FIRST: Final = 1
_TIME, _RUN = attrgetter("event_time_s"), attrgetter("body")


class Group:
    """Runs of one deployment, operation and outcome that wait to be learnt."""

    __slots__ = ("deployment", "events", "key", "n_taught", "operation", "outcome", "query", "reward")

    def __init__(self, deployment: str, operation: str, outcome: str, fingerprint: str) -> None:
        self.deployment, self.operation, self.outcome = deployment, operation, outcome
        self.key = CellKey(deployment, operation, fingerprint=fingerprint)
        self.reward, self.query = first_reward(outcome), outcome_success(outcome)
        self.events: list[Event] = []
        self.n_taught = 0
        """So many of these the policy knows of."""


class PlainRuns:
    """Learns runs in groups."""

    def __init__(self, parts: Parts, learner: Learner, judge: Judge, newest: Newest, late: LateFeedback) -> None:
        self._p, self._learner, self._judge, self._newest, self._late = parts, learner, judge, newest, late
        self._groups: dict[tuple[str, str, str, str], Group] = {}
        self._prices = ListPrices(parts.refresher)
        self._untaught: list[Group] = []
        self._uncounted: list[Group] = []
        self._n_waiting = 0

    @property
    def is_untaught(self) -> bool:
        """True where the policy does not know of some rewards."""
        return bool(self._untaught)

    @property
    def is_uncounted(self) -> bool:
        """True where runs wait in groups."""
        return self._n_waiting > 0

    # --- sorting ------------------------------------------------------------------------------------

    def sort(self, items: Sequence[Item], now_s: float) -> tuple[list[Event], list[Group]] | None:
        """The events of a slice with the group of each; None where it is not plain. Changes nothing."""
        events: list[Event] = []
        of_events: list[Group] = []
        known, maker, has_prices = self._groups, self._p.events, bool(self._prices.of_now)
        producer, epoch, prefix = maker.producer, maker.epoch, maker.name("r", 0)[:-1]
        for seq, at_s, run in items:
            if not isinstance(run, Run) or not _is_plain(run):
                return None
            try:
                group = known[run.deployment, run.operation, run.outcome, ""]
            except (KeyError, TypeError):
                made = self._new_group(run, run.operation, "")
                if made is None:
                    return None
                group = made
            if has_prices and run.cost_usd is None:
                run = self._prices.priced(run)
            started_at_s = run.started_at_s
            if started_at_s is None:
                started_at_s = at_s if run.duration_s is None else at_s - run.duration_s
            elif not (started_at_s.__class__ is float and 0.0 < started_at_s < now_s + MAX_AHEAD_S):
                return None
            events.append(Event(producer, epoch, seq, f"{prefix}{seq}", started_at_s, now_s, run))
            of_events.append(group)
        return None if self._is_awaited(of_events) else (events, of_events)

    def _new_group(self, run: Run, operation: str, fingerprint: str) -> Group | None:
        """A group for the runs that are like this one; None where its names are to be looked at closely."""
        names = (run.deployment, operation)
        if not all(isinstance(name, str) and name and name.isascii() and len(name) <= MAX_ID for name in names):
            return None
        if "@" in run.deployment or not isinstance(run.outcome, str) or run.outcome not in OUTCOMES:
            return None
        if len(self._groups) >= _GROUPS:
            self._groups = {}
        group = Group(*names, run.outcome, fingerprint)
        self._groups[*names, run.outcome, fingerprint] = group
        return group

    def _is_awaited(self, groups: Sequence[Group]) -> bool:
        """True where one of them earns nothing before its judgement."""
        rule = self._p.rule
        return rule.is_any_awaited and any(rule.awaits(g.operation) for g in groups if g.outcome == "ok")

    # --- learning -----------------------------------------------------------------------------------

    def learn(self, events: Sequence[Event], groups: Sequence[Group], now_s: float) -> None:
        """Take in what was sorted."""
        self._p.joins.keep_all(events)
        self._n_waiting += len(events)
        for event, group in zip(events, groups, strict=True):
            self._add(event, group, now_s)
        if self._n_waiting >= _MOST:
            self.count()

    def _add(self, event: Event, group: Group, now_s: float) -> None:
        """Have a run wait in its group, once what came before it and depends on the order is done."""
        waiting, breakers = group.events, self._p.breakers
        if group.reward == 0.0:
            self.teach(group.deployment)
        if group.n_taught == len(waiting):
            self._untaught.append(group)
        waiting.append(event)
        if group.reward == 0.0 or (breakers.is_any_unclean and breakers.is_unclean(group.deployment)):
            self._settle(group, now_s)

    def _settle(self, group: Group, now_s: float) -> None:
        if self._p.breakers.settle(group.deployment, group.outcome, now_s):
            if self._p.breakers.standing(group.deployment) is not None:
                self._p.signals.want(group.deployment)
            self._p.signals.is_shut_dirty = True

    # --- one by one -----------------------------------------------------------------------------------

    def take(self, event: Event, run: Run, now_s: float) -> bool:
        """Have a run wait in its group; False where it is one that has to be learnt by itself."""
        if run.kind != "llm" or run.attempt != 1 or run.parent_id or run.agent_id or run.prompts or not _is_bare(run):
            return False
        decision = self._p.joins.decision(run.decision_id)
        served = _plainly_served(run, decision)
        if served is None:
            return False
        operation, fingerprint = served
        group = self._groups.get((run.deployment, operation, run.outcome, fingerprint))
        group = group or self._new_group(run, operation, fingerprint)
        if group is None or self._is_concerned(event, run, group):
            return False
        if self._judge.is_full:  # what came before it and was learnt by itself
            self._judge.teach()
        self._p.joins.keep_event(event, run, decision)
        self._n_waiting += 1
        self._add(event, group, now_s)
        if self._n_waiting >= _MOST:
            self.count()
        return True

    def _is_concerned(self, event: Event, run: Run, group: Group) -> bool:
        """True where other runs, or what is said or to be said of this one, have to be looked at."""
        trace_id, rule = run.trace_id, self._p.rule
        if trace_id and (self._p.joins.has_trace(trace_id) or self._judge.queries.holds(trace_id)):
            return True
        if rule.is_any_awaited and group.outcome == "ok" and rule.awaits(group.operation):
            return True
        return self._late.awaits(event.event_id, run)

    # --- later ----------------------------------------------------------------------------------------

    def teach(self, deployment: str | None = None) -> None:
        """Hand rewards that wait to the judge, of one deployment or of all."""
        if not self._untaught:
            return
        taught = [g for g in self._untaught if deployment is None or g.deployment == deployment]
        self._untaught = [] if deployment is None else [g for g in self._untaught if g.deployment != deployment]
        for group in taught:
            if not group.n_taught:
                self._uncounted.append(group)
                self._learner.observe(group.deployment, group.operation)
            if group.reward is not None:
                events = group.events[group.n_taught :] if group.n_taught else group.events.copy()
                self._judge.reward_all(group.operation, group.deployment, group.reward, events)
            group.n_taught = len(group.events)

    def count(self) -> None:
        """Do all that is left to do for the runs that wait."""
        self.teach()
        groups, self._uncounted, self._n_waiting = self._uncounted, [], 0
        for group in groups:
            events, group.events, group.n_taught = group.events, [], 0
            self._count(group, events)
            self._p.outbox.breathe()

    def _count(self, group: Group, events: Sequence[Event]) -> None:
        times = list(map(_TIME, events))
        first, last = int(min(times) // BUCKET_S), int(max(times) // BUCKET_S)
        runs: list[Run] = list(map(_RUN, events))
        if first == last:
            self._p.outbox.count_all(group.key, first * BUCKET_S, runs, group.reward, group.query)
        else:
            for bucket, some in _by_minute(times, runs).items():
                self._p.outbox.count_all(group.key, bucket * BUCKET_S, some, group.reward, group.query)
        self._newest.add_all((group.deployment, group.operation), events)


def _is_bare(run: Run) -> bool:
    """True where it has no texts, which are too large to be kept."""
    return run.input is run.output is run.reference is None


def _plainly_served(run: Run, decision: Decision | None) -> tuple[str, str] | None:
    """Operation and fingerprint of a run that did what was decided, and of which a deployment learns and
    no rollout; else None."""
    if decision is None:
        is_plain = not run.decision_id and run.decided_deployment in ("", run.deployment)
        return (run.operation, "") if is_plain else None
    offer, index = decision.offer, decision.index
    if offer is None or decision.assignments:
        return None
    lineup, name = offer.lineup, run.deployment
    if lineup.candidates[index] != name or lineup.variants[index] != name:
        return None
    return run.operation or decision.operation, lineup.fingerprints[index]


def _by_minute(times: Sequence[float], runs: Sequence[Run]) -> dict[int, list[Run]]:
    found: dict[int, list[Run]] = {}
    for time_s, run in zip(times, runs, strict=True):
        found.setdefault(int(time_s // BUCKET_S), []).append(run)
    return found


def _is_plain(run: Run) -> bool:
    """True where the run holds nothing but names, outcome, numbers and a start, and the numbers can be
    believed. There is one empty text, and who uses another class is no plain text."""
    if not (
        run.run_id is _NONE
        and run.decision_id is _NONE
        and run.trace_id is _NONE
        and run.session_id is _NONE
        and run.agent_id is _NONE
        and run.user_id is _NONE
        and run.response_id is _NONE
        and run.span_id is _NONE
        and run.parent_id is _NONE
        and run.decided_deployment is _NONE
        and run.retry_of is _NONE
        and run.error is _NONE
        and run.attempt is _FIRST
        and run.kind == "llm"
        and run.input is run.output is run.reference is None
        and run.memory_mb is None
        and run.prompts is _NO_PROMPTS
        and run.attributes == _NO_ATTRIBUTES
    ):
        return False
    value = run.duration_s
    if value is not None and not (value.__class__ is float and 0.0 <= value <= MAX_DURATION_S):
        return False
    n = run.tokens_in
    if n is not None and not (n.__class__ is int and 0 <= n <= MAX_COUNT):
        return False
    n = run.tokens_out
    if n is not None and not (n.__class__ is int and 0 <= n <= MAX_COUNT):
        return False
    value = run.cost_usd
    if value is not None and not (value.__class__ is float and 0.0 <= value <= MAX_COST_USD):
        return False
    value = run.ttft_s
    return value is None or (value.__class__ is float and 0.0 <= value <= MAX_DURATION_S)

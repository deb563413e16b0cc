"""A run from the log back into memory, as it was learnt when it came in."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.model import Decision, DecisionRecord, Event, Feedback, Run, Score, has_value, learner_of, told_by
from hivefeedback.recording.feedback.join import KnownRun
from hivefeedback.recording.feedback.lookup import Found
from hivefeedback.recording.learning.learner import Learner, arm_key
from hivefeedback.recording.parts import Parts, RecorderOptions

__all__ = ["Recall"]


class Recall:
    """Works out from what the log says what a run had earned, and whether it still awaits a judgement."""

    def __init__(self, parts: Parts, options: RecorderOptions, learner: Learner) -> None:
        self._p, self._o, self._learner = parts, options, learner

    def run(self, found: Found, event: Event, run: Run, said: Sequence[Event]) -> KnownRun:
        """The run of a lookup.

        Args:
            found: What the log knows.
            event, run: The run.
            said: What was said of it and settled already.
        """
        known = self._unjudged(found, event, run)
        self._judge(known, said)
        return known

    def _unjudged(self, found: Found, event: Event, run: Run) -> KnownRun:
        record = found.decision
        decision = self._p.joins.decision(run.decision_id)
        known = self._learner.known(event, run, decision, is_logged=record is not None)
        if decision is None and record is not None:
            _follow_record(known, run, record)
        known.reward = self._earned(found, event, known)
        if known.reward is None and run.outcome == "ok" and run.kind == "llm":
            known.is_awaiting = self._is_awaited(found, event)
            if not known.is_awaiting and self._o.unjudged_earns:
                known.reward = 1.0
        return known

    def _earned(self, found: Found, event: Event, known: KnownRun) -> float | None:
        """What the run earned when it came in, before anybody judged it."""
        rule = self._p.rule
        legacy = self._p.awaiting.legacy(found.origin) or found.legacy
        if legacy is None or known.outcome != "ok":
            return rule.earned(known.outcome, known.operation, event.ingest_time_s)
        return None if legacy.was_awaited(known.operation, event.seq) else 1.0

    def _is_awaited(self, found: Found, event: Event) -> bool:
        awaiting = self._p.awaiting
        if event.event_id in awaiting:
            return True
        is_known = found.origin == awaiting.own or (found.legacy is not None and found.legacy.left is not None)
        return not is_known and self._p.clock() - event.ingest_time_s < self._o.judgement_horizon_s

    def _judge(self, known: KnownRun, said: Sequence[Event]) -> None:
        """What was judged before enters no cell again; it only says what the reward is by now."""
        for event in said:
            body = event.body
            if isinstance(body, Score):
                known.judged = {**(known.judged or {}), f"{body.source}:{body.name}": (body.name, body.value)}
            elif isinstance(body, Feedback) and has_value(body):
                key = body.idempotency_key or event.event_id
                known.judged = {**(known.judged or {}), key: (body.name, float(body.value or 0.0))}
        if known.judged:
            reward = self._p.rule.of(known.outcome, known.operation, tuple(known.judged.values()))
            if reward is not None:
                known.reward, known.is_awaiting = reward, False


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
    known.keys = (total, *(arm_key(total, assignment) for assignment in told_by(record.assignments, run.prompts)))
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

"""Feedback finds its run: in memory, later, or in the log."""

from __future__ import annotations

from hivefeedback.model import Event, Feedback, Run
from hivefeedback.recording.join import KnownRun, Recent
from hivefeedback.recording.learner import Learner
from hivefeedback.recording.parts import Parts
from hivefeedback.stats import CellKey, bucket_of

__all__ = ["LateFeedback"]

_ORPHANS = 10_000


class LateFeedback:
    """Joins feedback with runs.

    Feedback whose run is not in memory waits for it and is looked up in the log meanwhile. What
    names no run is kept for its agent or deployment: it counts in analysis and credits nobody.
    """

    def __init__(self, parts: Parts, learner: Learner) -> None:
        self._p, self._learner = parts, learner
        self._orphans: Recent[list[Event]] = Recent(_ORPHANS)

    def learn(self, event: Event, feedback: Feedback) -> None:
        """Feedback as it comes in."""
        known, credited = self._p.joins.find(feedback)
        if known is not None:
            self._judge(event, feedback, known, credited)
            return
        name = _name_of(feedback)
        if not name:
            self._keep_unjoined(event, feedback)
            return
        waiting = self._orphans.get(name)
        if waiting is None:
            self._orphans.add(name, [event])
        else:
            waiting.append(event)
        self._p.lookup(event)

    def resolve(self, event: Event, run_event: Event | None) -> None:
        """The log's answer: the run that the feedback is about, or None; then it goes on waiting."""
        feedback = event.body
        if not isinstance(feedback, Feedback):
            return
        if run_event is None or not isinstance(run_event.body, Run):
            if event in (self._orphans.get(_name_of(feedback)) or ()):
                self._keep_unjoined(event, feedback)
            return
        waiting = self._orphans.get(_name_of(feedback))
        if not waiting or event not in waiting:
            return  # its run came in meanwhile
        waiting.remove(event)
        known = self._p.joins.run(run_event.event_id) or self._learner.recall(run_event, run_event.body)
        self._judge(event, feedback, known, known if known.kind == "llm" else None)

    def adopt(self, known: KnownRun, run: Run) -> None:
        """A run came in: feedback that was waiting for it joins now."""
        if not len(self._orphans):
            return
        for kind, name in (
            ("run", known.run_id),
            ("trace", run.trace_id),
            ("decision", run.decision_id),
            ("response", run.response_id),
        ):
            for event in (self._orphans.pop(f"{kind}/{name}") if name else None) or ():
                body = event.body
                if isinstance(body, Feedback):
                    found, credited = self._p.joins.find(body)
                    self._judge(event, body, found or known, credited)

    def _judge(self, event: Event, feedback: Feedback, known: KnownRun, credited: KnownRun | None) -> None:
        key = feedback.idempotency_key or event.event_id
        self._learner.judge(known, credited, key, feedback.name, float(feedback.value or 0.0))

    def _keep_unjoined(self, event: Event, feedback: Feedback) -> None:
        self._p.counters["feedback_unjoined"] += 1
        if feedback.deployment or feedback.agent_id:
            key = CellKey(feedback.deployment, feedback.operation, feedback.agent_id)
            cell = self._p.outbox.delta.cell(key, bucket_of(event.event_time_s))
            cell.add_judged(feedback.name, float(feedback.value or 0.0))


def _name_of(feedback: Feedback) -> str:
    """What feedback names its run by, the most exact first; only that one counts."""
    for kind, name in (
        ("run", feedback.run_id),
        ("trace", feedback.trace_id),
        ("decision", feedback.decision_id),
        ("response", feedback.response_id),
    ):
        if name:
            return f"{kind}/{name}"
    return ""

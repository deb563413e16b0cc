"""Feedback finds its run: in memory, later, or in the log."""

from __future__ import annotations

from hivefeedback.model import Event, Feedback, FeedbackFound, Run
from hivefeedback.recording.join import KnownRun, Recent
from hivefeedback.recording.learner import Learner
from hivefeedback.recording.lookup import Found
from hivefeedback.recording.parts import Parts
from hivefeedback.stats import CellKey, bucket_of

__all__ = ["LateFeedback"]

_ORPHANS = 10_000
_WAITING = 1000
"""Feedback that waits for one run; a flood about a run that never comes must not fill the memory."""


class LateFeedback:
    """Joins feedback with runs.

    Feedback whose run is not in memory waits for it and is looked up in the log meanwhile. What
    names no run is kept for its agent or deployment: it counts in analysis and credits nobody.
    """

    def __init__(self, parts: Parts, learner: Learner) -> None:
        self._p, self._learner = parts, learner
        self._orphans: Recent[list[Event]] = Recent(_ORPHANS)
        self._unjoined: Recent[bool] = Recent(_ORPHANS)

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
        elif len(waiting) < _WAITING:
            waiting.append(event)
        else:
            self._keep_unjoined(event, feedback)
            return
        self._p.lookup(event)

    def resolve(self, event: Event, found: Found) -> None:
        """The log's answer: the run that the feedback is about, or None; then it goes on waiting."""
        feedback = event.body
        if not isinstance(feedback, Feedback):
            return
        name = _name_of(feedback)
        waiting = self._orphans.get(name)
        if not waiting or event not in waiting:
            return  # its run came in meanwhile
        if found.run is None or not isinstance(found.run.body, Run):
            self._keep_unjoined(event, feedback)
            if feedback.session_id and name.startswith("session/"):
                self._stop_waiting(name, event)  # a later run of the session is not what it was about
            else:
                self._unjoined.add(event.event_id, True)
            return
        self._stop_waiting(name, event)
        known = self._p.joins.run(found.run.event_id)
        if known is None:
            said = [e for e in found.said if e.event_id != event.event_id and not self._is_waiting(e)]
            known = self._learner.recall(found.run, found.run.body, found.decision, said)
        self._p.events.tell(FeedbackFound(feedback_id=event.event_id, run_id=known.run_id))
        self._judge(event, feedback, known, known if known.kind == "llm" else None)

    def _is_waiting(self, event: Event) -> bool:
        """Whether what the log holds was not learnt yet, since it waits here."""
        body = event.body
        return isinstance(body, Feedback) and event in (self._orphans.get(_name_of(body)) or ())

    def _stop_waiting(self, name: str, event: Event) -> None:
        waiting = self._orphans.get(name) or []
        waiting.remove(event)
        if not waiting:
            self._orphans.pop(name)

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
                    if self._unjoined.pop(event.event_id):
                        self._keep_unjoined(event, body, -1)
                    self._judge(event, body, found or known, credited)

    def _judge(self, event: Event, feedback: Feedback, known: KnownRun, credited: KnownRun | None) -> None:
        key, value = feedback.idempotency_key or event.event_id, float(feedback.value or 0.0)
        self._learner.judge(known, credited, key, feedback.name, value)

    def _keep_unjoined(self, event: Event, feedback: Feedback, sign: int = 1) -> None:
        self._p.counters["feedback_unjoined"] += sign
        if feedback.deployment or feedback.agent_id:
            key = CellKey(feedback.deployment, feedback.operation, feedback.agent_id)
            cell = self._p.outbox.delta.cell(key, bucket_of(event.event_time_s))
            cell.add_judged(feedback.name, float(feedback.value or 0.0), sign)


def _name_of(feedback: Feedback) -> str:
    """What feedback names its run by, the most exact first; only that one counts."""
    for kind, name in (
        ("run", feedback.run_id),
        ("trace", feedback.trace_id),
        ("decision", feedback.decision_id),
        ("response", feedback.response_id),
        ("session", feedback.session_id),
    ):
        if name:
            return f"{kind}/{name}"
    return ""

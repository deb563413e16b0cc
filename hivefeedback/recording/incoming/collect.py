"""The stage ``collect``: hooks judge, tag and scrub the events of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from hivefeedback import telemetry
from hivefeedback.hooks import Collected
from hivefeedback.hooks.tracing import span
from hivefeedback.model import Body, Event, Feedback, Run
from hivefeedback.recording.parts import Parts

__all__ = ["Collector"]


class Collector:
    """Calls ``hive_collect`` once per batch and applies what it answers."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts

    def collect(self, events: list[Event], now_s: float) -> dict[str, list[Event]]:
        """Scrub and tag the events in place; answer the score events by the run that they judge."""
        if not events or not self._p.registry.has_collectors:
            return {}
        attributes: dict[str, str | int] = {telemetry.STAGE_NAME: "collect", telemetry.EVENTS_COUNT: len(events)}
        with span(f"{telemetry.SPAN_STAGE} collect", attributes):
            answers = self._p.registry.collect(tuple(events))
        scores: dict[str, list[Event]] = {}
        self._apply(answers, events, now_s)
        for collected in answers:
            for score in collected.scores:
                scores.setdefault(score.run_id, []).append(self._p.events.next("s", now_s, score))
        if scores:  # for those that only look on, such as an exporter; what they answer to scores is not asked for
            self._p.registry.collect(tuple(event for found in scores.values() for event in found))
        return scores

    def _apply(self, answers: Sequence[Collected], events: list[Event], now_s: float) -> None:
        """Scrub first, whoever asked for it, then tag: a scrubbed run lacks the tags of the others."""
        scrubbed = {event.event_id: event for collected in answers for event in collected.scrubbed}
        tags: dict[str, dict[str, object]] = {}
        for tag in (tag for collected in answers for tag in collected.tags):
            tags.setdefault(tag.run_id, {})[tag.name] = tag.value
        for i, event in enumerate(events if scrubbed or tags else ()):
            other, facts = scrubbed.get(event.event_id), tags.get(event.event_id)
            if other is not None:
                event = self._scrubbed(event, other.body, now_s)
            if facts and isinstance(event.body, Run):
                kept = self._p.intake.attributes({**event.body.attributes, **facts})
                event = replace(event, body=replace(event.body, attributes=kept))
            events[i] = event

    def _scrubbed(self, event: Event, body: Body, now_s: float) -> Event:
        """The event with what a hook made of its body, checked like anything that comes in."""
        old, new = event.body, body
        if isinstance(old, Run) and isinstance(body, Run):
            user_id = old.user_id if body.user_id else ""  # hashed already
            mended = self._p.intake.run(replace(body, user_id=""), now_s)
            new = replace(mended, user_id=user_id) if mended is not None else body
            is_good = mended is not None
        elif isinstance(old, Feedback) and isinstance(body, Feedback):
            told = self._p.intake.feedback(body)
            is_good, new = told is not None, told or body
        else:
            is_good = type(old) is type(body)
        if is_good:
            return replace(event, body=new)
        self._p.counters.note("bad_scrubbed", f"{type(body).__name__} in place of {type(old).__name__}")
        return replace(event, body=_emptied(old))


def _emptied(body: Body) -> Body:
    """What is left where a hook wanted to scrub and failed: no free text."""
    if isinstance(body, Run):
        return replace(body, input=None, output=None, reference=None, attributes={})
    return replace(body, comment="", correction="") if isinstance(body, Feedback) else body

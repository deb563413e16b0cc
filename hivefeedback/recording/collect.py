"""The stage ``collect``: hooks judge, tag and scrub the events of a batch."""

from __future__ import annotations

from msgspec.structs import replace

from hivefeedback import telemetry
from hivefeedback.hooks import Collected
from hivefeedback.hooks.tracing import span
from hivefeedback.model import Event, Run, Score
from hivefeedback.recording.intake import clean_id
from hivefeedback.recording.parts import Parts

__all__ = ["Collector"]

Tags = dict[str, str | int | float | bool]


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
        for collected in answers:
            _apply(collected, events)
            for score in collected.scores:
                if self._is_good(score):
                    scores.setdefault(score.run_id, []).append(self._p.events.next("s", now_s, score))
        if scores:  # for those that only look on, such as an exporter; what they answer to scores is not asked for
            self._p.registry.collect(tuple(event for found in scores.values() for event in found))
        return scores

    def _is_good(self, score: Score) -> bool:
        if 0.0 <= score.value <= 1.0:
            return True
        self._p.counters.note("bad_score", f"{score.name!r} is {score.value!r}; expected [0, 1]")
        return False


def _apply(collected: Collected, events: list[Event]) -> None:
    scrubbed = {e.event_id: e for e in collected.scrubbed if isinstance(e, Event)}
    tags: dict[str, Tags] = {}
    for tag in collected.tags:
        tags.setdefault(tag.run_id, {})[clean_id(tag.name)] = tag.value
    if scrubbed or tags:
        events[:] = [_tagged(scrubbed.get(e.event_id, e), tags.get(e.event_id)) for e in events]


def _tagged(event: Event, tags: Tags | None) -> Event:
    body = event.body
    if not tags or not isinstance(body, Run):
        return event
    return replace(event, body=replace(body, attributes={**body.attributes, **tags}))

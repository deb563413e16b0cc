"""What the ring holds becomes events: checked, named, and joined with what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec.structs import replace

from hivefeedback.model import CandidateSetSeen, Decision, DecisionRecord, Event, Feedback, Lineup, Offer, Run
from hivefeedback.model.ids import MAX_ID, clean_id
from hivefeedback.model.item import Item
from hivefeedback.recording.feedback.join import Recent
from hivefeedback.recording.learning.prices import ListPrices
from hivefeedback.recording.parts import Parts

__all__ = ["Taker"]

_clean_id = lru_cache(4096)(clean_id)
"""For names that come again and again."""


class Taker:
    """Makes the events of a slice."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self._sets: Recent[bool] = Recent(10_000)
        self._prices = ListPrices(parts.refresher)

    def take_in(self, items: Sequence[Item], now_s: float) -> list[Event]:
        """Checked items as events; what cannot be used is counted and named."""
        events = []
        for seq, at_s, thing in items:
            try:
                event = self._event_of(seq, at_s, now_s, thing)
            except Exception as error:  # noqa: BLE001  # background thread: one bad item must not cost the others
                self._p.counters.note("bad_item", f"{type(thing).__name__}: {type(error).__name__}: {error}")
                continue
            if event is not None:
                events.append(event)
        return events

    def _event_of(self, seq: int, at_s: float, now_s: float, thing: object) -> Event | None:
        if isinstance(thing, Run):
            return self._run_event(seq, at_s, now_s, thing)
        if isinstance(thing, Decision):
            return self._decision_event(seq, at_s, now_s, thing)
        if isinstance(thing, Feedback):
            return self._feedback_event(seq, at_s, now_s, thing)
        self._p.counters.note("bad_item", f"{type(thing).__name__} was recorded; expected Run or Feedback")
        return None

    def _decision_event(self, seq: int, at_s: float, now_s: float, decision: Decision) -> Event:
        if len(decision.operation) > MAX_ID:
            decision = replace(decision, operation=clean_id(decision.operation))
        self._p.joins.decide(decision)
        if decision.offer is not None:
            self._see_set(decision.operation, decision.offer.lineup, now_s)
            if decision.offer.excluded:
                self._note_shut_out(decision.offer)
        return self._p.events.make(seq, decision.decision_id, at_s, now_s, _record_of(decision))

    def _note_shut_out(self, offer: Offer) -> None:
        """What is half open is probed where calls come for it."""
        names, variants = offer.lineup.candidates, offer.lineup.variants
        for exclusion in offer.excluded:
            if exclusion.reason == "breaker_open":
                self._p.signals.want(variants[names.index(exclusion.deployment)])

    def _see_set(self, operation: str, lineup: Lineup, now_s: float) -> None:
        self._p.refresher.use(operation, lineup.key)
        if lineup.key not in self._sets:
            self._sets.add(lineup.key, True)
            names = tuple(clean_id(c) for c in lineup.candidates)
            self._p.events.tell(CandidateSetSeen(key=lineup.key, candidates=names), now_s)

    def _run_event(self, seq: int, at_s: float, now_s: float, run: Run) -> Event | None:
        clean = self._p.intake.run(run, now_s)
        if clean is None:
            return None
        run_id = clean.run_id
        if not run_id:
            run_id = self._p.events.name("r", seq)
        elif not self._p.joins.claim(run_id):
            self._p.counters.note("duplicate_run", f"run_id {run_id!r} was recorded already; the first one counts")
            return None
        elif not self._p.events.is_own_name("r", run_id):
            self._p.outbox.note_given(run_id)
        if self._p.refresher.snapshot.config.rollouts:
            clean = self._with_prompts(clean)
        if clean.cost_usd is None:
            clean = self._prices.priced(clean, self._p.joins.decision(clean.decision_id))
        started = clean.started_at_s if clean.started_at_s is not None else at_s - (clean.duration_s or 0.0)
        return self._p.events.make(seq, run_id, started, now_s, clean)

    def _with_prompts(self, run: Run) -> Run:
        """The run with the prompts that its decision was asked for, so that the log knows them too."""
        decision = self._p.joins.decision(run.decision_id)
        if decision is None or not decision.asked or decision.asked <= set(run.prompts):
            return run
        return replace(run, prompts=tuple(sorted({*run.prompts, *decision.asked})))

    def _feedback_event(self, seq: int, at_s: float, now_s: float, feedback: Feedback) -> Event | None:
        clean = self._p.intake.feedback(feedback)
        if clean is None:
            return None
        if clean.comment or clean.correction:
            self._p.outbox.note_text(clean)
        return self._p.events.make(seq, self._p.events.name("f", seq), at_s, now_s, clean)


def _record_of(decision: Decision) -> DecisionRecord:
    offer, shadow = decision.offer, decision.shadow
    if offer is None:
        return DecisionRecord(operation=clean_id(decision.operation), reason=decision.reason)
    lineup, index = offer.lineup, decision.index
    names, session_id = lineup.candidates, decision.session_id
    return DecisionRecord(  # by position: this runs for each decision, and names cost as much as the values
        _clean_id(decision.operation),
        lineup.key,
        _clean_id(names[index]),
        _clean_id(lineup.variants[index]),
        offer.excluded,
        offer.weights_version,
        decision.draw,
        decision.propensity,
        decision.unit,
        decision.is_first_of_unit,
        decision.assignments,
        lineup.config_version,
        decision.reason,
        clean_id(session_id) if session_id else "",
        _clean_id(names[shadow]) if shadow is not None else None,
        offer.propensity(shadow) if shadow is not None else None,
    )

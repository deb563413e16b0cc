"""``decide()``: a lookup, a draw, a bisect. No I/O, no waiting lock, nothing raised.

The order: assignments → candidates and parameters of that arm → open breakers out → weights →
draw. Offers are prepared by the recorder; one that is missing is built here once per snapshot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from hivefeedback.model import Assignment, Decision, Offer, Snapshot
from hivefeedback.model.ids import MAX_ID, clean_id
from hivefeedback.model.item import Item
from hivefeedback.serving.draws import Draws, fraction_of
from hivefeedback.serving.live import Live
from hivefeedback.serving.ring import Ring
from hivefeedback.serving.sessions import Sessions

__all__ = ["Decider", "as_given"]

_CLOCK_SLACK_S = 1.0
"""So much a clock may go back between two looks; more, and nobody knows how old the configuration is."""


def as_given(candidates: Iterable[str]) -> tuple[str, ...]:
    """The host's own candidates, read the same wherever something is decided: a text is one candidate.

    >>> as_given("abc"), as_given(["b", "a"])
    (('abc',), ('b', 'a'))
    """
    return (candidates,) if isinstance(candidates, str) else tuple(candidates)


class Decider:
    """Answers decisions from the live snapshot.

    Args:
        live: Holds the snapshot.
        ring: Takes each decision to the recorder.
        numbers: The producer's sequence; each decision takes one number.
        draws: The draw of each number.
        prefix: Beginning of decision ids, unique to (producer, epoch).
        clock: Seconds since 1970 UTC.
        session_memory: Sessions remembered.
        max_stale_s: Age of the configuration beyond which no canary is served.
    """

    def __init__(
        self,
        live: Live,
        ring: Ring[Item],
        numbers: Iterator[int],
        draws: Draws,
        *,
        prefix: str,
        clock: Callable[[], float],
        session_memory: int,
        max_stale_s: float,
    ) -> None:
        self._live, self._ring, self._numbers, self._draws = live, ring, numbers, draws
        self._prefix, self._clock, self._max_stale_s = prefix, clock, max_stale_s
        self._sessions = Sessions(session_memory)

    def decide(
        self,
        operation: str,
        candidates: Sequence[str] | None = None,
        session_id: str | None = None,
        sticky: bool = True,
    ) -> Decision:
        """Pick a deployment for one request; see ``FeedbackLoop.decide``."""
        seq = next(self._numbers)
        snapshot = self._live.snapshot
        if candidates is None:
            offer = snapshot.offers.get(operation) or snapshot.offer(operation, operation, None, ())
        elif type(candidates) is tuple:
            known = snapshot.same.get((operation, id(candidates)))
            is_same = known is not None and known[0] is candidates  # an id alone may be that of another tuple by now
            offer = known[1] if known is not None and is_same else snapshot.offer_of(operation, candidates)
        else:  # a list is another tuple each time: to remember that would only fill the memory
            candidates = as_given(candidates)
            key = (operation, candidates)
            offer = snapshot.offers.get(key) or snapshot.offer(key, operation, candidates, ())
        if session_id is not None or not offer.is_plain:
            return self._carefully(seq, snapshot, offer, operation, candidates, session_id, sticky)
        draw = self._draws.at(seq) * offer.total >> 64
        index = bisect_right(offer.cumulative, draw)
        at_s = self._clock()
        decision = Decision(f"{self._prefix}{seq}", operation, offer, index, draw, offer.reason, at_s)
        self._ring.put((seq, at_s, decision))
        return decision

    def _carefully(
        self,
        seq: int,
        snapshot: Snapshot,
        offer: Offer,
        operation: str,
        candidates: tuple[str, ...] | None,
        session_id: str | None,
        sticky: bool,
    ) -> Decision:
        """The same with sessions, rollouts, probes, other modes, or nothing to choose from."""
        at_s = self._clock()
        if session_id.__class__ is not str or len(session_id) > MAX_ID:
            session_id = clean_id(session_id)  # it is remembered: a flood of long ones must not fill the memory
        session_id = session_id or None  # an empty one is no session: it would be one for everybody
        assignments: tuple[Assignment, ...] = ()
        if offer.lineup.rollouts and snapshot.mode == "act":
            assignments = self._assign(snapshot, offer, session_id, seq, at_s)
            canaries = tuple(a.rollout_id for a in assignments if a.variant == "canary")
            if canaries:
                key = (operation, candidates, canaries)
                offer = snapshot.offers.get(key) or snapshot.offer(key, operation, candidates, canaries)
        decision = self._pick(seq, snapshot, offer, operation, session_id if sticky else None, at_s, assignments)
        if session_id is not None and decision.session_id is None:
            decision = decision.of_session(session_id)
        if snapshot.mode != "off":
            self._ring.put((seq, at_s, decision))
        return decision

    def _assign(
        self, snapshot: Snapshot, offer: Offer, session_id: str | None, seq: int, at_s: float
    ) -> tuple[Assignment, ...]:
        """The arm of each rollout; a missing session is drawn per request, never hashed into one bucket."""
        if not -_CLOCK_SLACK_S <= at_s - self._live.refreshed_at_s <= self._max_stale_s:
            return ()  # the rollout may have been taken back meanwhile: control only
        unit = session_id if session_id is not None else f"{self._prefix}{seq}"
        assigned = []
        for rollout_id, prompts in zip(offer.lineup.rollouts, offer.lineup.rollout_prompts, strict=True):
            if rollout_id not in snapshot.stopped:
                rollout = snapshot.config.rollouts[rollout_id]
                arm = "canary" if fraction_of(rollout.salt, unit) < rollout.share else "control"
                assigned.append(Assignment(rollout_id, arm, rollout.share, prompts))
        return tuple(assigned)

    def _pick(
        self,
        seq: int,
        snapshot: Snapshot,
        offer: Offer,
        operation: str,
        sticky_to: str | None,
        at_s: float,
        assignments: tuple[Assignment, ...],
    ) -> Decision:
        name = f"{self._prefix}{seq}"
        if not offer.lineup.candidates:
            return Decision(name, operation, None, 0, None, "no_candidates", at_s)
        if snapshot.mode != "act":
            return self._host_choice(name, seq, snapshot, offer, operation, at_s)
        asked: set[str] | None = set() if any(a.prompts for a in assignments) else None
        probe = _take_probe(snapshot, offer) if snapshot.probes else None
        if probe is not None:
            return Decision(name, operation, offer, probe, None, "probe", at_s, assignments=assignments, asked=asked)
        known = self._sessions.recall(sticky_to, operation) if sticky_to is not None else None
        repeated = _index_of(offer, known[0]) if known else None
        if known and repeated is not None:
            again = (None, "session", at_s, sticky_to, False, assignments, known[1], None, "session", asked)
            return Decision(name, operation, offer, repeated, *again)
        draw = self._draws.at(seq) * offer.total >> 64
        index = offer.pick(draw)
        unit = "request" if sticky_to is None else "session"
        drawn = (draw, offer.reason, at_s, sticky_to, True, assignments, None, None, unit, asked)
        first = Decision(name, operation, offer, index, *drawn)
        if sticky_to is not None:
            self._sessions.remember(sticky_to, operation, offer.lineup.candidates[index], first.propensity)
        return first

    def _host_choice(
        self, name: str, seq: int, snapshot: Snapshot, offer: Offer, operation: str, at_s: float
    ) -> Decision:
        """Modes that only look: the first candidate; ``advise`` logs what it would have drawn."""
        shadow = offer.pick(self._draws.at(seq) * offer.total >> 64) if snapshot.mode == "advise" else None
        return Decision(name, operation, offer, 0, None, snapshot.mode, at_s, shadow=shadow)


def _take_probe(snapshot: Snapshot, offer: Offer) -> int | None:
    """Index of a half-open candidate whose one probe token this decision got."""
    for index, variant in enumerate(offer.lineup.variants):
        tokens = snapshot.probes.get(variant)
        if tokens:
            try:
                tokens.popleft()
            except IndexError:
                continue  # another thread was faster
            return index
    return None


def _index_of(offer: Offer, deployment: str) -> int | None:
    """Where a deployment stands, if it can be drawn."""
    try:
        index = offer.lineup.candidates.index(deployment)
    except ValueError:
        return None
    return index if offer.weights[index] else None

"""What goes into the log in edge mode: everything that failed, and a random sample of the rest.

Sums, rewards, weights and counts of rollouts are made from all events before anything is left out, so
they are exact. The draw looks at a name and at nothing that is known only after the call, so the sample
says the same of successes and failures alike. ``sample_rate`` of an event tells the two apart: the chance
of its draw where it is part of the sample, 0 where it is in the log for another reason; who estimates from
the log uses the events above 0, each with the weight 1 / ``sample_rate``.

A unit of the draw is a trace, else a decision with its attempts, else a run; a decision goes with its run, and
is drawn by its own name where none came within a minute: none was made, or another process records it.
What the log holds of a unit it holds in full, with what was said of it: so a run that late feedback names is
found or not found, never another one in its place, and a reward that is worked out again from the log is the
one that was learnt. Words that people gave are kept in any case, with their unit, by which an erasure finds them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from msgspec.structs import replace

from hivefeedback.model import (
    BatchCommitted,
    Control,
    DecisionRecord,
    Event,
    Feedback,
    LearningShared,
    LearntElsewhere,
    Run,
    Score,
    WeightsRefreshed,
)
from hivefeedback.recording.feedback.join import Recent

__all__ = ["Edge", "EdgeOptions"]

_ALL = 2**64
_WELL = frozenset({"ok", "cache_hit", "control_flow"})
"""Outcomes of runs that did not fail in whatever way; all others are logged in full."""
_OF_REPLAY = (BatchCommitted, LearningShared, LearntElsewhere, WeightsRefreshed)
"""Only a replay needs them, which a sample cannot have."""
_AWAITED_S = 60.0
"""How long a decision waits for its run before it is drawn by its own name."""
_SLICE = 256
"""Events between two breaths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """How edge mode draws.

    Args:
        rate: Share of the units in the sample, in (0, 1].
        seed: Of the draws. Processes of one seed draw alike, so that a trace that several of them record is
            in the sample as a whole.
        size: Events that are held back, in case that their unit fails or something is said of it.
    """

    rate: float
    seed: int
    size: int


class Edge:
    """Sorts the events of a process; on the thread that learns.

    >>> edge = Edge(EdgeOptions(rate=0.5, seed=0, size=100))
    >>> [edge.is_drawn(f"d{n}") for n in range(6)]
    [False, False, False, False, True, True]
    """

    def __init__(self, options: EdgeOptions) -> None:
        self._rate, self._size = options.rate, options.size
        self._below, self._key = round(options.rate * _ALL), str(options.seed).encode()[:64]
        self._held: OrderedDict[str, list[Event]] = OrderedDict()
        self._n_held = 0
        self._units: Recent[str] = Recent(options.size)
        self._decisions: OrderedDict[str, Event] = OrderedDict()
        self._undrawn: Recent[Event] = Recent(options.size)
        self._homes: Recent[str] = Recent(options.size)
        self._drawn: list[Event] = []
        self._logged: Recent[bool] = Recent(options.size)
        self._about: dict[str, str] = {}
        self._wanted: dict[str, None] = {}

    def is_drawn(self, unit: str) -> bool:
        """Whether a unit is in the sample: a function of its name and the seed."""
        digest = blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big") < self._below

    def join(self, feedback_id: str, run_id: str) -> None:
        """Feedback of the present commit is about a run that is in memory."""
        self._about[feedback_id] = run_id

    def want(self, run_id: str) -> None:
        """Something in the log is about that run, so it is to be there too."""
        self._wanted[run_id] = None

    def forget(self) -> None:
        """Something was erased: nothing that is held back may come into the log any more."""
        self._held.clear()
        self._n_held = 0
        self._decisions.clear()
        self._undrawn.clear()
        self._drawn.clear()
        self._wanted.clear()

    def settle(self, now_s: float, *, is_final: bool = False) -> bool:
        """Draw the decisions whose run did not come in time; True where some wait to go with the next commit.

        Args:
            now_s: Time.
            is_final: No run will come any more.
        """
        while self._decisions:
            first = next(iter(self._decisions.values()))
            if not is_final and 0 <= now_s - first.event_time_s < _AWAITED_S:
                break
            del self._decisions[first.event_id]
            if not self._draw(first, self._drawn):
                self._undrawn.add(first.event_id, first)  # its run may still fail
        return bool(self._drawn)

    def kept(self, events: Sequence[Event], breathe: Callable[[], object]) -> list[Event]:
        """Those of a commit that go into the log, with some that were held back before, in order of ``seq``."""
        kept, self._drawn = self._drawn, []
        for start in range(0, len(events), _SLICE):
            for event in events[start : start + _SLICE]:
                self._sort(event, kept)
            breathe()
        for run_id in self._wanted:
            self._release(self._units.get(run_id) or run_id, kept)
        self._wanted.clear()
        self._about.clear()
        kept.sort(key=_seq)
        return kept

    def _sort(self, event: Event, kept: list[Event]) -> None:
        body = event.body
        if isinstance(body, Run):
            self._sort_run(event, body, kept)
        elif isinstance(body, DecisionRecord):
            self._hold_decision(event, kept)
        elif isinstance(body, Feedback):
            self._sort_feedback(event, body, kept)
        elif isinstance(body, Score):
            self._sort_of(self._units.get(body.run_id) or body.run_id, event, kept)
        elif not (isinstance(body, Control) and isinstance(body.what, _OF_REPLAY)):
            kept.append(event)

    def _hold_decision(self, event: Event, kept: list[Event]) -> None:
        self._decisions[event.event_id] = event
        if len(self._decisions) > self._size:
            self._draw(self._decisions.popitem(last=False)[1], kept)

    def _draw(self, decision: Event, kept: list[Event]) -> bool:
        """Draw a decision that no run came of by its own name; False where it is not in the sample."""
        is_drawn = self.is_drawn(decision.event_id)
        if is_drawn:
            kept.append(replace(decision, sample_rate=self._rate))
        return is_drawn

    def _sort_run(self, event: Event, run: Run, kept: list[Event]) -> None:
        unit = run.trace_id or run.decision_id or event.event_id
        self._units.add(event.event_id, unit)
        if run.outcome not in _WELL:
            self._release(unit, kept)
        self._sort_of(unit, event, kept)

    def _sort_feedback(self, event: Event, feedback: Feedback, kept: list[Event]) -> None:
        """What is about a run that is not in memory is asked for in the log, and goes there."""
        run_id = self._about.get(event.event_id)
        if run_id is None:
            kept.append(event)
            return
        unit = self._units.get(run_id) or run_id
        if feedback.comment or feedback.correction:
            self._release(unit, kept)
        self._sort_of(unit, event, kept)

    def _sort_of(self, unit: str, event: Event, kept: list[Event]) -> None:
        """It goes where its unit is."""
        if self.is_drawn(unit):
            self._keep(event, self._rate, kept)
        elif unit in self._logged:
            self._keep(event, 0.0, kept)
        else:
            self._hold(unit, event)

    def _keep(self, event: Event, rate: float, kept: list[Event]) -> None:
        kept.append(replace(event, sample_rate=rate))
        if isinstance(event.body, Run) and (decision_id := event.body.decision_id):
            decision = self._decisions.pop(decision_id, None)
            if decision is not None:
                kept.append(replace(decision, sample_rate=rate))
            elif (drawn_before := self._undrawn.pop(decision_id) or self._from_home(decision_id)) is not None:
                kept.append(replace(drawn_before, sample_rate=0.0))

    def _from_home(self, decision_id: str) -> Event | None:
        """Take out a decision that is held back with the first of its runs, which is of another unit."""
        home = self._held.get(self._homes.pop(decision_id) or "", [])
        for event in home:
            if event.event_id == decision_id and isinstance(event.body, DecisionRecord):
                home.remove(event)
                self._n_held -= 1
                return event
        return None

    def _hold(self, unit: str, event: Event) -> None:
        held = self._held.setdefault(unit, [])
        decision_id = event.body.decision_id if isinstance(event.body, Run) else ""
        decision = self._decisions.pop(decision_id, None) or self._undrawn.pop(decision_id)
        if decision is not None:
            self._homes.add(decision_id, unit)
            held.append(decision)
        held.append(_without_texts(event))
        self._n_held += 1 + (decision is not None)
        while self._n_held > self._size:
            self._n_held -= len(self._held.popitem(last=False)[1])

    def _release(self, unit: str, kept: list[Event]) -> None:
        """A unit that was not drawn goes into the log all the same, with what is still to come of it."""
        if self.is_drawn(unit):
            return
        self._logged.add(unit, True)
        held = self._held.pop(unit, [])
        self._n_held -= len(held)
        for event in held:
            self._keep(event, 0.0, kept)


def _without_texts(event: Event) -> Event:
    """What is held back for long holds no prompts and answers, which may be large."""
    run = event.body
    if not isinstance(run, Run) or run.input is run.output is run.reference is None:
        return event
    return replace(event, body=replace(run, input=None, output=None, reference=None))


def _seq(event: Event) -> int:
    return event.seq

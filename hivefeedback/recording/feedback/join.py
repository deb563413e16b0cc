"""Late feedback finds its run: a bounded memory of recent runs and decisions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from hivefeedback.model import Decision, Event, Feedback, Run
from hivefeedback.recording.feedback.kept import Kept, KeptEvents
from hivefeedback.stats import CellKey

__all__ = ["Joins", "KnownRun", "Recent"]

V = TypeVar("V")
_LONGER = 4
"""So many times more decisions are remembered that are in a rollout."""


class KnownRun(Struct, gc=False):
    """What is kept of a run after it was learnt, until it falls out of memory.

    Args:
        run_id, deployment, operation, outcome, kind: Of the run.
        learner: Id that learns from it; empty where nothing is learnt (a retry, not an llm run).
        bucket: Minute of its aggregates.
        keys: Cells that it was counted under.
        at_s: When it ended.
        trace_id, started_at_s, duration_s, cost_usd: Of the run.
        propensity: Of the draw behind it, where there was one.
        decision: The decision behind it, where known.
        reward: What was learnt, or None.
        is_awaiting: True while its judgement is expected.
        judged: Judgements by key: (name, value).
        group: What its query is remembered by; empty: it is one of its own; None: it belongs to one that
            is not known.
    """

    run_id: str
    deployment: str
    operation: str
    outcome: str
    kind: str
    learner: str
    bucket: int
    keys: tuple[CellKey, ...]
    at_s: float
    trace_id: str = ""
    started_at_s: float = 0.0
    duration_s: float | None = None
    cost_usd: float | None = None
    propensity: float | None = None
    decision: Decision | None = None
    reward: float | None = None
    is_awaiting: bool = False
    judged: dict[str, tuple[str, float]] | None = None
    group: str | None = ""


class Recent(Generic[V]):
    """A bounded map that forgets what was added first.

    >>> r = Recent(2)
    >>> [r.add(k, k) for k in "abc"]  # what had to go
    [None, None, 'a']
    >>> r.get("a"), r.get("c")
    (None, 'c')
    """

    __slots__ = ("_items", "_size")

    def __init__(self, size: int) -> None:
        self._items: OrderedDict[str, V] = OrderedDict()
        self._size = size

    def __len__(self) -> int:
        return len(self._items)

    def add(self, key: str, value: V) -> V | None:
        """Remember a value under a key; answers the one that is forgotten for it, if any."""
        items = self._items
        items[key] = value
        return items.popitem(last=False)[1] if len(items) > self._size else None

    def get(self, key: str) -> V | None:
        """The value, or None where it was never there or is forgotten."""
        return self._items.get(key)

    def pop(self, key: str) -> V | None:
        """Take a value out."""
        return self._items.pop(key, None)

    def values(self) -> list[V]:
        """What is remembered, the oldest first."""
        return list(self._items.values())

    def pop_oldest(self) -> V | None:
        """Take out what was added first."""
        return self._items.popitem(last=False)[1] if self._items else None

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()

    def __contains__(self, key: str) -> bool:
        return key in self._items


class _Trace(Struct, gc=False):
    """The runs of one trace: its root (or first) run, and the one llm run that may be credited."""

    root: KnownRun
    has_true_root: bool
    served: KnownRun | None
    is_shared: bool = False


class Joins:
    """Recent runs by everything that feedback may name."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._runs: Recent[KnownRun] = Recent(size)
        self._decided: Recent[KnownRun] = Recent(size)
        self._responses: Recent[KnownRun] = Recent(size)
        self._sessions: Recent[KnownRun] = Recent(size)
        self._traces: Recent[_Trace] = Recent(size)
        self._decisions: Recent[Decision] = Recent(size)
        self._assigned: Recent[Decision] = Recent(_LONGER * size)

        self._plain = KeptEvents(size)
        self._wake: Callable[[Kept], KnownRun] | None = None
        self._claimed: Recent[bool] = Recent(size)

    def decide(self, decision: Decision) -> None:
        """Remember a decision; longer where it is in a rollout, since calls that hang are its harm."""
        (self._assigned if decision.assignments else self._decisions).add(decision.decision_id, decision)

    def decision(self, decision_id: str) -> Decision | None:
        """A recent decision by its id."""
        return (self._decisions.get(decision_id) or self._assigned.get(decision_id)) if decision_id else None

    def decided(self, decision_id: str) -> KnownRun | None:
        """The newest run of a decision, of a model where there is one."""
        self._wake_newest("decision", decision_id)
        return self._decided.get(decision_id)

    def _is_answered(self, decision_id: str) -> bool:
        """True where a model answered by that decision: an agent's run around it is not what was decided."""
        known = self._decided.get(decision_id)
        return known is not None and known.kind == "llm"

    def claim(self, run_id: str) -> bool:
        """True the first time that a run of this id comes in (ids that we made are unique anyway)."""
        if run_id in self._claimed or run_id in self._runs or run_id in self._plain:
            return False
        self._claimed.add(run_id, True)
        return True

    def keep(self, run: KnownRun) -> None:
        """Remember a run by its id alone."""
        self._runs.add(run.run_id, run)

    def keep_all(self, events: Sequence[Event]) -> None:
        """Remember runs that have no other name than their ids."""
        self._plain.add_all(events)

    def keep_event(self, event: Event, run: Run, decision: Decision | None) -> None:
        """Remember a run by all its names, as its event; its trace must be new."""
        self._plain.add(event, run, decision)

    def has_trace(self, trace_id: str) -> bool:
        """True where a run of that trace is remembered."""
        return trace_id in self._traces or self._plain.has_trace(trace_id)

    def wake_by(self, wake: Callable[[Kept], KnownRun]) -> None:
        """How a run that is kept as its event is made known, when somebody asks for it."""
        self._wake = wake

    def wake_namesakes(self, run: Run) -> None:
        """Another run of the same names came in: what is kept of them is to be known first."""
        self._wake_newest("trace", run.trace_id)
        self._wake_newest("decision", run.decision_id)
        self._wake_newest("response", run.response_id)
        self._wake_newest("session", run.session_id)

    def _wake_newest(self, kind: str, name: str) -> None:
        run_id = self._plain.newest(kind, name) if name else None
        if run_id is not None:
            self._woken(run_id)

    def _woken(self, run_id: str) -> KnownRun | None:
        kept = self._plain.pop(run_id)
        if kept is None or self._wake is None:
            return None
        known, names = self._wake(kept), dict(kept.newest_of)
        self.add(
            known,
            is_root=True,
            decision_id=names.get("decision", ""),
            response_id=names.get("response", ""),
            session_id=names.get("session", ""),
        )
        return known

    def add(self, run: KnownRun, *, is_root: bool, decision_id: str, response_id: str, session_id: str) -> None:
        """Remember a run by all that it has."""
        self.keep(run)
        if decision_id and (run.kind == "llm" or not self._is_answered(decision_id)):
            self._decided.add(decision_id, run)
        if response_id:
            self._responses.add(response_id, run)
        if session_id:
            self._sessions.add(session_id, run)
        if run.trace_id:
            self._add_to_trace(run, is_root)

    def _add_to_trace(self, run: KnownRun, is_root: bool) -> None:
        served = run if run.kind == "llm" else None
        trace = self._traces.get(run.trace_id)
        if trace is None:
            self._traces.add(run.trace_id, _Trace(run, is_root, served))
            return
        if is_root and not trace.has_true_root:
            trace.root, trace.has_true_root = run, True
        if served is not None:
            other = trace.served
            trace.is_shared = trace.is_shared or (other is not None and other.deployment != served.deployment)
            trace.served = served

    def forget(self, run_id: str) -> None:
        """Forget the run of an id: it does not count."""
        self._runs.pop(run_id)

    def forget_runs(self) -> None:
        """Forget all runs; decisions stay, since their runs are still to come."""
        for recent in (self._runs, self._decided, self._responses, self._sessions):
            recent.clear()
        self._traces.clear()
        self._plain.clear()

    def run(self, run_id: str) -> KnownRun | None:
        """A recent run by its id."""
        return self._runs.get(run_id) or self._woken(run_id)

    def find(self, feedback: Feedback) -> tuple[KnownRun | None, KnownRun | None]:
        """The run that feedback is about, and the llm run whose deployment learns from it.

        Feedback by trace belongs to the root run; a deployment is credited only if it alone
        served the trace, or if the feedback names its run.
        """
        if feedback.run_id:
            run = self.run(feedback.run_id)
        elif feedback.trace_id:
            self._wake_newest("trace", feedback.trace_id)
            trace = self._traces.get(feedback.trace_id)
            run = trace.root if trace else None
            if run is not None and trace is not None and trace.is_shared:
                return run, None
        elif feedback.decision_id:
            run = self.decided(feedback.decision_id)
        elif feedback.response_id:
            self._wake_newest("response", feedback.response_id)
            run = self._responses.get(feedback.response_id)
        elif feedback.session_id:
            self._wake_newest("session", feedback.session_id)
            run = self._sessions.get(feedback.session_id)
        else:
            run = None
        if run is None or run.kind == "llm":
            return run, run
        return run, self._served_alone(run)

    def _served_alone(self, run: KnownRun) -> KnownRun | None:
        trace = self._traces.get(run.trace_id) if run.trace_id else None
        return trace.served if trace is not None and not trace.is_shared else None

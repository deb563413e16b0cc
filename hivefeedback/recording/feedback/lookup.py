"""What the store knows of a run that is not in memory: for late feedback, horizons and given ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
from msgspec import Struct

from hivefeedback.hooks import EventLog, Store
from hivefeedback.hooks.named import run_named
from hivefeedback.model import DecisionRecord, Event, Feedback, Run
from hivefeedback.recording.feedback.awaiting import AWAITING, Legacy, read_legacy
from hivefeedback.recording.feedback.owners import Owners, origin_in, origin_of
from hivefeedback.recording.tidy import tidy

__all__ = ["Found", "Lookup", "recorded", "runs_of"]


class Found(Struct, frozen=True):
    """The answer to a lookup.

    Args:
        run: The run's event, or None.
        decision: The decision behind it, where it is logged.
        said: Feedback and scores that the log holds of the run and that were settled, in its order.
        origin: Who recorded the run.
        is_ours: True where this process settles it.
        legacy: What the process that recorded it left, where that is gone.
        group: The runs of its trace, else of its decision, that were recorded with it, in the order of
            the log, where there are several; for each what was said of it.
    """

    run: Event | None = None
    decision: DecisionRecord | None = None
    said: tuple[Event, ...] = ()
    origin: str = ""
    is_ours: bool = True
    legacy: Legacy | None = None
    group: tuple[Found, ...] = ()


class Lookup:
    """Asks the store; on the store's thread.

    Args:
        store: Who is asked.
        owners: Who settles a run.
        is_sampled: The log holds a sample. Then a session's newest run in it need not be the one that is
            meant, and a run that is not in it may be in the memory of the process that its id names.
    """

    def __init__(self, store: Store, owners: Owners, *, is_sampled: bool = False) -> None:
        self._store, self._owners, self._is_sampled = store, owners, is_sampled

    def about(self, feedback: Feedback) -> Found:
        """Everything that the store knows of the run that feedback is about."""
        if not self._is_sampled:
            return self._found(run_named(self._store.log, feedback))
        if not (feedback.run_id or feedback.trace_id or feedback.decision_id or feedback.response_id):
            return Found()
        found = self._found(run_named(self._store.log, feedback))
        origin = origin_in(feedback.run_id) if found.run is None else ""
        if origin and origin != self._owners.own and self._owners.is_owned(origin):
            return Found(origin=origin, is_ours=False)
        return found

    def about_all(self, feedback: Sequence[Feedback]) -> list[Found]:
        """The same for several."""
        return [self.about(said) for said in feedback]

    def of_run(self, run_id: str) -> Found:
        """The same for the run of an id."""
        return self._found(self._store.log.find(run_id))

    def feedback(self, feedback_id: str) -> Event | None:
        """The feedback of an id, or None where it was erased."""
        event = self._store.log.find(feedback_id)
        return event if event is not None and isinstance(event.body, Feedback) else None

    def of_runs(self, run_ids: Sequence[str]) -> list[Found]:
        """The same for several."""
        return [self.of_run(run_id) for run_id in run_ids]

    def recorded(self, ids: Collection[str]) -> frozenset[str]:
        """Which of these events the log holds."""
        return recorded(self._store.log, ids)

    def _found(self, run: Event | None) -> Found:
        if run is None or not isinstance(run.body, Run):
            return Found()
        log, owners = self._store.log, self._owners
        made = log.find(run.body.decision_id) if run.body.decision_id else None
        origin = origin_of(run.producer, run.epoch)
        is_ours = owners.settles(origin)
        is_inherited = is_ours and origin != owners.own
        said, group = log.said_of(run), self._group(run, run.body, origin) if is_ours else ()
        waiting = owners.waiting_for(origin) if is_ours else frozenset[str]()  # the last of all: see there
        return Found(
            run,
            made.body if made is not None and isinstance(made.body, DecisionRecord) else None,
            _without(said, waiting),
            origin,
            is_ours,
            self.legacy(origin) if is_inherited else None,
            tuple(msgspec.structs.replace(member, said=_without(member.said, waiting)) for member in group),
        )

    def _group(self, run: Event, body: Run, origin: str) -> tuple[Found, ...]:
        """The runs that may be one query with it; those of other processes are no part of it here."""
        log = self._store.log
        events = [e for e in runs_of(log, body) if (e.producer, e.epoch) == (run.producer, run.epoch)]
        return tuple(self._member(e, origin) for e in events) if len(events) > 1 else ()

    def _member(self, run: Event, origin: str) -> Found:
        assert isinstance(run.body, Run)
        log, decision_id = self._store.log, run.body.decision_id
        made = log.find(decision_id) if decision_id else None
        return Found(
            run,
            made.body if made is not None and isinstance(made.body, DecisionRecord) else None,
            tuple(log.said_of(run)),
            origin,
        )

    def legacy(self, origin: str) -> Legacy | None:
        """What the process that recorded the runs of an origin left."""
        return read_legacy(self._store.state.get(AWAITING, origin))

    def left(self) -> list[tuple[str, Legacy]]:
        """What processes left that ended and have no heir yet; this one is it now."""
        found = [(record.key, read_legacy(record)) for record in self._store.state.list(AWAITING)]
        return [(origin, legacy) for origin, legacy in found if legacy and legacy.left and self._owners.settles(origin)]

    def tidy(self, policy: str, now_s: float) -> int:
        """Remove what processes that are gone left behind."""
        return tidy(self._store.state, self._owners, policy, now_s)


def _without(said: Sequence[Event], waiting: Collection[str]) -> tuple[Event, ...]:
    """What was settled of it."""
    return tuple(event for event in said if event.event_id not in waiting)


def runs_of(log: EventLog, run: Run) -> Sequence[Event]:
    """The runs of a run's trace, else of its decision, in the order of the log; stores that can tell do
    (``runs_by``), with others what is said late of a query corrects its root alone."""
    runs_by: Callable[..., Sequence[Event]] | None = getattr(log, "runs_by", None)
    if runs_by is None or not (run.trace_id or run.decision_id):
        return ()
    if run.trace_id:
        return runs_by(trace_id=run.trace_id)
    return runs_by(decision_id=run.decision_id)


def recorded(log: EventLog, ids: Collection[str]) -> frozenset[str]:
    """Which of these ids the log holds; stores that can tell of many at once do (``among``)."""
    among: Callable[[Collection[str]], Iterable[str]] | None = getattr(log, "among", None)
    if among is not None:
        return frozenset(among(ids))
    return frozenset(run_id for run_id in ids if log.find(run_id) is not None)

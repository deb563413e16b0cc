"""Aggregates against a plain model: the runs that were committed, counted anew at every look."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from hivefeedback.hooks import Commit, Selector, Store
from hivefeedback.model import Event, Run
from hivefeedback.stats import Cell, CellKey, Delta, View, bucket_of
from hivefeedback.testing._machine_base import StoreMachine
from hivefeedback.testing.store_samples import T0, commit_of, delta_of, feedback_event, run_event

__all__ = ["AggregatesMachine"]

MINUTE, HOUR, DAY = 60, 3600, 86_400
TIMES = (T0, T0 + 1, T0 + MINUTE, T0 + HOUR, T0 + 5 * HOUR, T0 + 2 * DAY)
_RUN = st.fixed_dictionaries(
    {
        "deployment": st.sampled_from("ab"),
        "operation": st.sampled_from(["x", "x/y"]),
        "session_id": st.sampled_from(["", "s1", "s2"]),
        "outcome": st.sampled_from(["ok", "timeout", "cancelled"]),
        "duration_s": st.none() | st.integers(0, 10_000).map(lambda ms: ms / 1000),
        "at_s": st.sampled_from(TIMES),
    }
)


@dataclass
class _Known:
    """A run of the model, and what was said of it: key → value."""

    event: Event
    said: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> tuple[CellKey, int]:
        run = self.event.body
        assert isinstance(run, Run)
        return CellKey(run.deployment, run.operation, "", "", "fp"), bucket_of(self.event.event_time_s)


class AggregatesMachine(StoreMachine):
    """Runs, late corrections, repeats and reordering, compaction, erasure, a restart: in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.folders.next()
        self.store: Store = self.contract.make_store(self.folder)
        self.runs: dict[str, _Known] = {}
        self.sent: list[Commit] = []
        self.held: list[tuple[Commit, list[_Known]]] = []
        self.number = self.seq = self.after_s = 0

    def _commit(self, events: list[Event], delta: Delta) -> Commit:
        self.number += 1
        return commit_of(self.number, events, delta=delta)

    def _new(self, runs: list[dict[str, object]]) -> tuple[Commit, list[_Known]]:
        events = []
        for fields in runs:
            self.seq += 1
            events.append(run_event(self.seq, **fields))  # type: ignore[arg-type]  # fields of a run
        return self._commit(events, delta_of(events)), [_Known(event) for event in events]

    def _apply(self, commit: Commit, known: list[_Known]) -> None:
        self.store.commit(commit)
        self.sent.append(commit)
        self.runs.update((one.event.event_id, one) for one in known)

    @initialize(runs=st.lists(_RUN, min_size=1, max_size=4))
    def begin(self, runs: list[dict[str, object]]) -> None:
        self._apply(*self._new(runs))

    @rule(runs=st.lists(_RUN, min_size=1, max_size=6))
    def record(self, runs: list[dict[str, object]]) -> None:
        self._apply(*self._new(runs))

    @rule(runs=st.lists(_RUN, min_size=1, max_size=3))
    def hold_back(self, runs: list[dict[str, object]]) -> None:
        """A commit that comes after later ones."""
        self.held.append(self._new(runs))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self._apply(*self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        self.store.commit(data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), key=st.sampled_from(["k", "l"]), value=st.sampled_from([0.0, 0.25, 1.0]))
    def correct(self, data: st.DataObject, key: str, value: float) -> None:
        """Somebody judges a run late, or changes his mind."""
        run_id = data.draw(st.sampled_from(sorted(self.runs)))
        known, delta = self.runs[run_id], Delta()
        cell = delta.cell(*known.place)
        if key in known.said:
            cell.add_judged("rating", known.said[key], -1)
        cell.add_judged("rating", value)
        self.seq += 1
        name = f"{key}-{run_id}"
        said = feedback_event(self.seq, name="rating", value=value, run_id=run_id, idempotency_key=name)
        self._apply(self._commit([said], delta), [])
        known.said[key] = value

    @rule(after_s=st.sampled_from([0, 3 * HOUR, 3 * HOUR, 9 * DAY]))
    def compact(self, after_s: int) -> None:
        """Time goes on; what a clock does that goes back is told by the contract."""
        self.after_s = max(self.after_s, after_s)
        self.store.aggregates.compact(now_s=T0 + self.after_s)

    @rule(session=st.sampled_from(["s1", "s2"]))
    def erase(self, session: str) -> None:
        self.store.log.erase(Selector(session=session))
        gone = [name for name, one in self.runs.items() if _session(one) == session]
        for name in gone:
            del self.runs[name]

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.contract.make_store(self.folder)

    @rule(from_s=st.sampled_from(TIMES), width_s=st.sampled_from([MINUTE, HOUR, DAY]))
    def look_at_a_window(self, from_s: float, width_s: int) -> None:
        self._check(self.store.aggregates.read(from_s=from_s, to_s=from_s + width_s))

    @invariant()
    def everything_is_counted_once(self) -> None:
        self._check(self.store.aggregates.read(from_s=T0 - 400 * DAY, to_s=T0 + 400 * DAY))

    def _check(self, view: View) -> None:
        spans: dict[CellKey, set[tuple[int, int]]] = {}
        found: dict[CellKey, Cell] = {}
        for piece in view.slices:
            spans.setdefault(piece.key, set()).add((piece.start_s, piece.start_s + piece.width_s))
            found.setdefault(piece.key, Cell()).merge(piece.cell)
        expected: dict[CellKey, Cell] = {}
        for known in self.runs.values():
            key, minute = known.place
            is_seen = any(begin <= minute < end for begin, end in spans.get(key, ()))
            assert is_seen or not view.asked_from_s <= minute < view.asked_to_s, f"{key} at {minute} is missing"
            if is_seen:
                _count(known, expected.setdefault(key, Cell()))
        assert {k: c for k, c in found.items() if c != Cell()} == expected

    def teardown(self) -> None:
        self.store.close()


def _session(known: _Known) -> str:
    run = known.event.body
    assert isinstance(run, Run)
    return run.session_id


def _count(known: _Known, cell: Cell) -> None:
    run = known.event.body
    assert isinstance(run, Run)
    cell.add_run(run)
    for value in known.said.values():
        cell.add_judged("rating", value)

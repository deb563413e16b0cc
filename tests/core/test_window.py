"""A running window answers what the store answers, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from hivefeedback.control.views import Views
from hivefeedback.hooks import Commit, Selector, Store
from hivefeedback.model import Event, Run
from hivefeedback.stats import Cell, CellKey, Delta, Exemplar, View, bucket_of, newest_runs, samples
from hivefeedback.stats.running import RunningView
from hivefeedback.testing import FakeClock
from hivefeedback_stores.json import JsonStore
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.sqlite import SqliteStore

HOUR, DAY = 3600.0, 86400.0
OUTCOMES = ("ok", "ok", "ok", "timeout", "model_error", "refused", "cancelled")
BY: tuple[tuple[str, ...], ...] = ((), ("deployment",), ("deployment", "operation"), ("agent", "fingerprint"))


def _tidy(cell: Cell) -> Cell:
    """Without what is zero, which a running window leaves out."""
    tidy = Cell(n_awaiting=cell.n_awaiting)
    tidy.outcomes = {k: n for k, n in cell.outcomes.items() if n}
    tidy.ns = {k: n for k, n in cell.ns.items() if n}
    tidy.sums = {k: n for k, n in cell.sums.items() if n or cell.ns.get(k)}
    tidy.bins = {m: b for m, b in ((m, {k: n for k, n in b.items() if n}) for m, b in cell.bins.items()) if b}
    tidy.judged = {k: j for k, j in cell.judged.items() if j.n or j.total or j.squares}
    return tidy


def _light(cell: Cell) -> Cell:
    tidy = _tidy(cell)
    tidy.bins = {}
    return tidy


def assert_same(ours: View, theirs: View) -> None:
    """Every answer of two views is the same."""
    assert (ours.asked_from_s, ours.asked_to_s) == (theirs.asked_from_s, theirs.asked_to_s)
    assert ours.coverage == theirs.coverage
    assert ours.buckets() == theirs.buckets()
    assert dict(ours.exemplars) == dict(theirs.exemplars)
    place = [(s.start_s, s.width_s, s.key, _tidy(s.cell)) for s in ours.slices]
    assert place == [(s.start_s, s.width_s, s.key, _tidy(s.cell)) for s in theirs.slices]
    assert {k: _tidy(c) for k, c in ours.sums().items()} == {k: _light(c) for k, c in theirs.sums().items()}
    assert ours.tallies("deployment", "operation") == theirs.tallies("deployment", "operation")
    assert samples(ours, "deployment") == samples(theirs, "deployment")
    for by in BY:
        full = {k: _tidy(c) for k, c in theirs.totals(*by).items()}
        assert {k: _tidy(c) for k, c in ours.totals(*by).items()} == full
        light = {k: _light(c) for k, c in full.items()}
        assert {k: _tidy(c) for k, c in ours.totals(*by, bins=False).items()} == light
    assert {k: _tidy(c) for k, c in ours.arms("m-1").items()} == {k: _tidy(c) for k, c in theirs.arms("m-1").items()}
    for deployment, operation in theirs.exemplars:
        assert newest_runs(ours, deployment, operation) == newest_runs(theirs, deployment, operation)


def assert_parts_same(ours: View, theirs: View, middle_s: float) -> None:
    """The parts of two views are the same, too."""

    def where(key: CellKey) -> bool:
        return key.deployment != "a"

    for from_s, to_s in ((float("-inf"), middle_s), (middle_s, float("inf"))):
        assert_same(ours.between(from_s, to_s), theirs.between(from_s, to_s))
    assert_same(ours.only(where), theirs.only(where))
    assert_same(ours.only(where).between(0, middle_s), theirs.only(where).between(0, middle_s))
    filtered = ours.totals("operation", where=where), theirs.totals("operation", where=where)
    assert {k: _tidy(c) for k, c in filtered[0].items()} == {k: _tidy(c) for k, c in filtered[1].items()}
    for width_s, bins in ((HOUR, True), (300.0, False)):
        pieces = [
            [
                (at_s, {k: _tidy(c) for k, c in cells.items()})
                for at_s, cells in v.series(width_s, "deployment", bins=bins)
            ]
            for v in (ours, theirs)
        ]
        assert pieces[0] == pieces[1]


class _World:
    """A store, and a process that writes random things into it."""

    def __init__(self, store: Store, clock: FakeClock, rng: Random, producer: str = "p") -> None:
        self.store, self.clock, self.rng, self.producer = store, clock, rng, producer
        self.n_commits, self.seq = 0, 0
        self.judged: list[tuple[CellKey, int, float]] = []

    def commit(self) -> None:
        delta, events = Delta(), list[Event]()
        for _ in range(self.rng.randrange(1, 12)):
            self._run(delta, events)
        for key, minute, value in self.rng.sample(self.judged, min(2, len(self.judged))):  # a late correction
            better = self.rng.choice((0.0, 0.5, 1.0))
            delta.cell(key, minute).add_judged("reward", value, -1)
            delta.cell(key, minute).add_judged("reward", better)
            self.judged.remove((key, minute, value))
            self.judged.append((key, minute, better))
        self.n_commits += 1
        self.store.commit(Commit(self.producer, 1, self.n_commits, events, delta))

    def _run(self, delta: Delta, events: list[Event]) -> None:
        rng, self.seq = self.rng, self.seq + 1
        at_s = self.clock() - rng.choice((0.0, 0.0, 30.0, 200.0, 5000.0, 30000.0)) + rng.choice((0.0, 0.0, 0.0, 90.0))
        run = Run(
            rng.choice("abc"),
            rng.choice(("x", "x/y")),
            rng.choice(OUTCOMES),
            rng.choice((None, rng.random() * 10)),
            run_id=f"r-{self.producer}-{self.seq}",
            started_at_s=at_s,
            tokens_in=rng.choice((None, 0, 17, 900)),
            cost_usd=rng.choice((None, 0.0, 0.002)),
            agent_id=rng.choice(("", "g")),
            session_id=rng.choice(("", "s-1", "s-2")),
        )
        events.append(Event(self.producer, 1, self.seq, run.run_id, at_s, at_s, run))
        reward = rng.choice((None, 0.0, 0.3, 1.0))
        for arm in ("", *rng.choice(((), (), ("m-1:canary",), ("m-1:control",)))):
            key, minute = CellKey(run.deployment, run.operation, run.agent_id, arm, rng.choice("fg")), bucket_of(at_s)
            cell = delta.cell(key, minute)
            cell.add_run(run)
            if reward is not None:
                cell.add_judged("reward", reward)
                self.judged.append((key, minute, reward))
            else:
                cell.n_awaiting += 1
        delta.add_exemplar(
            run.deployment,
            run.operation,
            Exemplar(at_s, run.run_id, run.duration_s, run.outcome, reward=reward, is_canary=rng.random() < 0.1),
        )

    def something(self) -> None:
        """One thing that happens to a store."""
        dice = self.rng.random()
        if dice < 0.7:
            self.commit()
        elif dice < 0.85:
            self.clock.advance(self.rng.choice((1.0, 45.0, 60.0, 600.0, HOUR, 5 * HOUR)))
        elif dice < 0.9:
            self.store.aggregates.compact(now_s=self.clock())
        elif dice < 0.93:
            self.clock.advance(-self.rng.choice((30.0, 600.0, 3 * HOUR)))
        elif dice < 0.96:
            self.store.log.erase(Selector(session=self.rng.choice(("s-1", "s-2"))))
        elif dice < 0.98:
            self.clock.advance(self.rng.choice((DAY, 9 * DAY)))


def _memory(folder: Path) -> Store:
    return MemoryStore(f"memory://{folder}")


def _json(folder: Path) -> Store:
    return JsonStore(f"json:///{folder}/hive.json")


def _sqlite(folder: Path) -> Store:
    return SqliteStore(f"sqlite:///{folder}/hive.db")


@pytest.mark.parametrize(
    ("make", "seed"), [(_memory, 1), (_memory, 2), (_memory, 3), (_json, 4), (_sqlite, 5), (_sqlite, 6), (_sqlite, 7)]
)
def test_a_running_window_answers_what_the_store_answers(
    make: Callable[[Path], Store], seed: int, tmp_path: Path
) -> None:
    """Late feedback, corrections, erasures, compaction, clocks that jump, two processes."""
    clock, rng = FakeClock(), Random(seed)
    worlds = [_World(make(tmp_path), clock, rng, name) for name in ("p", "q")]
    views = Views(worlds[0].store.aggregates, keep_s=DAY, clock=clock)
    for step in range(40):
        for _ in range(rng.randrange(1, 4)):
            rng.choice(worlds).something()
        window_s = rng.choice((DAY, HOUR, 600.0, 3 * DAY))
        from_s, to_s = clock() - window_s, clock() + rng.choice((0.0, 60.0))
        ours, theirs = (v.read(from_s=from_s, to_s=to_s) for v in (views, worlds[1].store.aggregates))
        assert isinstance(ours, RunningView) == (window_s <= DAY)
        assert_same(ours, theirs)
        if step % 4 == 0:
            assert_parts_same(ours, theirs, clock() - rng.choice((HOUR, 60.0, 6 * HOUR)))
    for world in worlds:
        world.store.close()

"""Questions are answered from a running window where there can be one, else from the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from hivefeedback.control.views import TOO_LARGE_FOR_S, Views
from hivefeedback.errors import StoreCorruptError
from hivefeedback.hooks import Aggregates, Commit, FollowedAggregates
from hivefeedback.model import Run
from hivefeedback.stats import Cell, CellKey, Changes, Delta, Slice, View, Window, bucket_of, window
from hivefeedback.stats.running import RunningView
from hivefeedback.testing import FakeClock
from hivefeedback.testing._contract_base import in_threads
from hivefeedback_stores.memory import MemoryStore
from tests.core.loops import sync_loop

DAY = 86400.0


class _Plain:
    """Aggregates of a store that cannot say what changed."""

    def __init__(self, inner: Aggregates) -> None:
        self._inner, self.n_read = inner, 0

    def read(self, *, from_s: float, to_s: float) -> View:
        self.n_read += 1
        return self._inner.read(from_s=from_s, to_s=to_s)

    def compact(self, *, now_s: float) -> None:
        self._inner.compact(now_s=now_s)


class _Counting(_Plain):
    """Aggregates that count how many cells they tell, and may break."""

    n_told = 0
    is_broken = False

    def changes(self, *, after: str, from_s: float) -> Changes:
        changes = cast(FollowedAggregates, self._inner).changes(after=after, from_s=from_s)
        replaced = list(changes.replaced)
        self.n_told = len(replaced)
        return Changes(
            mark=changes.mark,
            is_whole=changes.is_whole,
            replaced=self._told(replaced),
            added=changes.added,
            newest=changes.newest,
        )

    def _told(self, replaced: list[Slice]) -> Iterator[Slice]:
        for number, s in enumerate(replaced):
            if self.is_broken and number == 1:
                raise StoreCorruptError("a cell cannot be read")
            yield s


def _filled(clock: FakeClock, n_minutes: int = 30) -> MemoryStore:
    store = MemoryStore()
    for number in range(n_minutes):
        _commit(store, number + 1, clock() - 60 * number)
    return store


def _commit(store: MemoryStore, number: int, at_s: float, deployment: str = "a", n: int = 1) -> None:
    delta = Delta()
    for _ in range(n):
        delta.cell(CellKey(deployment, "op"), bucket_of(at_s)).add_run(Run(deployment, "op", "ok", 0.5))
    store.commit(Commit("p", 1, number, (), delta))


def test_a_store_that_cannot_say_what_changed_is_read_each_time() -> None:
    clock = FakeClock()
    aggregates = _Plain(_filled(clock).aggregates)
    views = Views(aggregates, keep_s=DAY, clock=clock)
    for _ in range(2):
        assert views.read(from_s=clock() - DAY, to_s=clock() + 60).coverage.n_runs == 30
    assert aggregates.n_read == 2


def test_a_question_takes_in_what_changed_and_no_more() -> None:
    clock = FakeClock()
    store = _filled(clock)
    aggregates = _Counting(store.aggregates)
    views = Views(aggregates, keep_s=DAY, clock=clock)
    assert views.read(from_s=clock() - DAY, to_s=clock() + 60).coverage.n_runs == 30
    assert aggregates.n_told == 30
    _commit(store, 100, clock())
    assert views.read(from_s=clock() - DAY, to_s=clock() + 60).coverage.n_runs == 31
    assert aggregates.n_told == 1
    views.read(from_s=clock() - 3600, to_s=clock() + 60)
    assert (aggregates.n_told, aggregates.n_read) == (0, 0)


def test_a_view_stays_what_it_was_when_runs_come() -> None:
    clock = FakeClock()
    store = _filled(clock)
    views = Views(store.aggregates, keep_s=DAY, clock=clock)
    before = views.read(from_s=clock() - DAY, to_s=clock() + 60)
    part = before.between(clock() - 600, clock() + 60)
    n_part = part.totals()[()].n_runs
    _commit(store, 100, clock(), "b", n=7)
    after = views.read(from_s=clock() - DAY, to_s=clock() + 60)
    assert after.totals("deployment")["b",].n_runs == 7
    assert before.totals("deployment").keys() == {("a",)}
    assert (before.coverage.n_runs, len(before.slices)) == (30, 30)
    assert part.totals()[()].n_runs == n_part


def test_what_an_answer_was_put_into_may_be_changed_without_harm_to_the_next() -> None:
    clock = FakeClock()
    views = Views(_filled(clock).aggregates, keep_s=DAY, clock=clock)
    view = views.read(from_s=clock() - DAY, to_s=clock() + 60)
    view.totals("deployment").clear()
    assert view.totals("deployment").keys() == {("a",)}


def test_a_window_that_would_be_too_large_is_not_kept_and_the_store_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_BYTES", 500)
    clock = FakeClock()
    aggregates = _Counting(_filled(clock).aggregates)
    views = Views(aggregates, keep_s=DAY, clock=clock)
    for _ in range(2):
        assert views.read(from_s=clock() - DAY, to_s=clock() + 60).coverage.n_runs == 30
    assert aggregates.n_read == 2
    monkeypatch.undo()
    clock.advance(TOO_LARGE_FOR_S + 1)
    assert isinstance(views.read(from_s=clock() - DAY, to_s=clock() + 60), RunningView)


def test_a_store_that_breaks_half_way_is_read_anew_the_next_time() -> None:
    clock = FakeClock()
    aggregates = _Counting(_filled(clock).aggregates)
    views = Views(aggregates, keep_s=DAY, clock=clock)
    aggregates.is_broken = True
    with pytest.raises(StoreCorruptError):
        views.read(from_s=clock() - DAY, to_s=clock() + 60)
    aggregates.is_broken = False
    assert views.read(from_s=clock() - DAY, to_s=clock() + 60).coverage.n_runs == 30


def test_many_threads_may_ask_while_runs_come() -> None:
    clock = FakeClock()
    store = _filled(clock)
    views = Views(store.aggregates, keep_s=DAY, clock=clock)

    def ask() -> None:
        last = 0
        for _ in range(60):
            view = views.read(from_s=clock() - DAY, to_s=clock() + 60)
            n = view.totals()[()].n_runs
            assert n == view.coverage.n_runs >= max(30, last)
            assert view.between(clock() - 300, clock()).totals("operation", bins=False).keys() == {("op",)}
            last = n

    def write() -> None:
        for number in range(100, 160):
            _commit(store, number, clock() - number)

    in_threads([ask, ask, write])
    assert views.read(from_s=clock() - DAY, to_s=clock() + 60).coverage.n_runs == 90


def test_keys_that_come_and_go_are_forgotten() -> None:
    kept, n_keys = Window(), 0
    for hour in range(30):
        at = hour * 3600
        slices = [Slice(at, 60, CellKey(f"{hour}-{i}", "op"), Cell(outcomes={"ok": 1})) for i in range(300)]
        n_keys += len(slices)
        told = Changes(mark=str(hour), is_whole=hour == 0, replaced=slices)
        assert kept.take_in(told, from_s=at - 3600.0)
        assert kept.view(at - 3600.0, at + 60.0).coverage.n_runs == (300 if hour == 0 else 600)
    assert len(kept._spans.legend.keys) < n_keys / 3


def test_what_is_said_of_an_absurd_number_stays_finite() -> None:
    kept = Window()
    cell = Cell(outcomes={"ok": 1}, sums={"duration_us": 1 << 80}, ns={"duration_us": 1})
    assert kept.take_in(Changes(mark="1", is_whole=True, replaced=[Slice(0, 60, CellKey("a", "op"), cell)]), from_s=0.0)
    assert (kept.view(0.0, 60.0).totals()[()].mean("duration_us") or 0) > 1e18


def test_a_loop_answers_with_what_another_process_committed(tmp_path: Path) -> None:
    clock = FakeClock()
    url = f"sqlite:///{tmp_path}/hive.db"
    with sync_loop(clock=clock, store=url) as ours, sync_loop(clock=clock, store=url) as theirs:
        ours.record(Run("a", "x", "ok", 1.0))
        assert ours.stats()[0].n_runs == 1
        for _ in range(40):
            theirs.record(Run("a", "x", "ok", 1.0))
            clock.advance(30)
        assert ours.stats()[0].n_runs == 41
        assert ours.view(600.0).coverage.n_runs < 41
        theirs.erase(deployment="a")
        assert len(ours.stats()) == 0


def test_the_turn_and_the_questions_share_one_window() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, allow=None) as loop:
        loop.record(Run("a", "x", "ok", 1.0))
        loop.turn()
        view = loop.view()
        assert isinstance(view, RunningView)
        assert isinstance(loop.view(3 * DAY), View)
        assert not isinstance(loop.view(3 * DAY), RunningView)
        assert repr(view).startswith("RunningView(")


def test_who_takes_long_to_say_which_keys_holds_up_nobody_else() -> None:
    clock = FakeClock()
    views = Views(_filled(clock).aggregates, keep_s=DAY, clock=clock)
    view = views.read(from_s=clock() - DAY, to_s=clock() + 60)

    def where(key: CellKey) -> bool:
        in_threads([lambda: _ask(views, clock)], timeout_s=20.0)
        return True

    assert view.totals("deployment", where=where).keys() == {("a",)}
    assert view.only(where).coverage.n_runs == 30


def _ask(views: Views, clock: FakeClock) -> None:
    assert views.read(from_s=clock() - DAY, to_s=clock() + 60).totals()[()].n_runs == 30

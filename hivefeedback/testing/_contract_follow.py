"""Aggregates that say what changed: a copy that follows them is always what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback.hooks import FollowedAggregates, Selector, Store
from hivefeedback.stats import Cell, CellKey, Exemplar, View, newest
from hivefeedback.testing._contract_base import Makes
from hivefeedback.testing.store_samples import T0, commit_of, delta_of, run_event

__all__ = ["FollowContract"]

MINUTE, HOUR, DAY = 60, 3600, 86_400
_Place = tuple[int, int, CellKey]


class _Copy:
    """What a process keeps that follows a store, in the plainest way."""

    def __init__(self, store: Store) -> None:
        if not isinstance(store.aggregates, FollowedAggregates):
            pytest.skip("this store does not say what changed: implement FollowedAggregates and questions are quicker")
        self._aggregates = store.aggregates
        self._mark = ""
        self.n_told = 0
        self.cells: dict[_Place, Cell] = {}
        self.exemplars: dict[tuple[str, str], list[Exemplar]] = {}

    def follow(self, *, from_s: float = T0 - 400 * DAY) -> bool:
        """Take in what changed; True where that was everything."""
        changes = self._aggregates.changes(after=self._mark, from_s=from_s)
        if changes.is_whole:
            self.cells, self.exemplars = {}, {}
        for start, width, key in list(self.cells):
            is_hour_gone = width < HOUR and start < changes.hours_before_s
            if is_hour_gone or (width < DAY and start < changes.days_before_s):
                del self.cells[start, width, key]
        self.n_told = 0
        for s in changes.replaced:
            self.cells[s.start_s, s.width_s, s.key] = s.cell
            self.n_told += 1
        for s in changes.added:
            both = Cell()
            both.merge(self.cells.get((s.start_s, s.width_s, s.key), Cell()))
            both.merge(s.cell)
            self.cells[s.start_s, s.width_s, s.key] = both
            self.n_told += 1
        for name, kept in changes.newest.items():
            self.exemplars[name] = list(kept)
        for name, more in changes.newer.items():
            self.exemplars[name] = [*self.exemplars.get(name, ()), *more]
        self._mark = changes.mark
        return changes.is_whole

    def is_like(self, store: Store) -> bool:
        view: View = store.aggregates.read(from_s=T0 - 400 * DAY, to_s=T0 + 400 * DAY)
        known = {name: newest(kept) for name, kept in self.exemplars.items()}
        return self.cells == {(s.start_s, s.width_s, s.key): s.cell for s in view.slices} and known == {
            name: list(kept) for name, kept in view.exemplars.items()
        }


class FollowContract:
    """Optional: skipped where the store's aggregates have no ``changes``."""

    def test_a_copy_that_follows_is_always_what_is_stored(self, store: Store) -> None:
        copy = _Copy(store)
        assert copy.follow()
        for number in range(1, 40):  # more commits than a store lets wait
            events = [run_event(10 * number + n, at_s=T0 + n * MINUTE, deployment="ab"[n % 2]) for n in range(3)]
            store.commit(commit_of(number, events, delta=delta_of(events, arms=["m:canary"])))
            if number % 3:
                assert not copy.follow()
                assert copy.is_like(store)

    def test_only_what_changed_is_told(self, store: Store) -> None:
        copy = _Copy(store)
        store.commit(commit_of(1, [run_event(n, at_s=T0 + n * MINUTE) for n in range(100)]))
        copy.follow()
        copy.follow()
        assert copy.n_told == 0
        store.commit(commit_of(2, [run_event(200)]))
        copy.follow()
        assert copy.n_told == 1
        assert copy.is_like(store)

    def test_a_copy_begins_where_it_is_asked_to(self, store: Store) -> None:
        copy = _Copy(store)
        store.commit(commit_of(1, [run_event(1, at_s=T0 - DAY), run_event(2, at_s=T0)]))
        copy.follow(from_s=T0 - HOUR)
        assert [start for start, _, _ in copy.cells] == [T0]

    def test_what_others_commit_is_told_too(self: Makes, folder: Path) -> None:
        ours, theirs = self.make_store(folder), self.make_store(folder)
        copy = _Copy(ours)
        copy.follow()
        for number in range(1, 30):
            theirs.commit(commit_of(number, [run_event(number)], producer="q"))
            ours.commit(commit_of(number, [run_event(number, producer="o")]))
            copy.follow()
            assert copy.is_like(theirs)
        ours.close()
        theirs.close()

    def test_compaction_is_followed(self, store: Store) -> None:
        copy = _Copy(store)
        store.commit(commit_of(1, [run_event(n, at_s=T0 + n * 7 * MINUTE) for n in range(60)]))
        copy.follow()
        for number, after_s in enumerate((0, 5 * HOUR, 10 * HOUR, 9 * DAY, 3 * HOUR), 2):
            store.aggregates.compact(now_s=T0 + after_s)
            copy.follow()
            assert copy.is_like(store)
            store.commit(commit_of(number, [run_event(100 + number, at_s=T0 + number * MINUTE)]))
            copy.follow()
            assert copy.is_like(store)

    def test_an_erasure_is_seen(self, store: Store) -> None:
        copy = _Copy(store)
        store.commit(commit_of(1, [run_event(1, session_id="s"), run_event(2)]))
        copy.follow()
        store.log.erase(Selector(session="s"))
        assert copy.follow()
        assert copy.is_like(store)

    def test_a_mark_of_another_store_tells_everything(self: Makes, folder: Path, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1)]))
        store.commit(commit_of(2, [run_event(2)]))
        copy = _Copy(store)
        copy.follow()
        place = folder / "other"
        place.mkdir()
        other = self.make_store(place)
        other.commit(commit_of(1, [run_event(5)]))
        aggregates = other.aggregates
        assert isinstance(aggregates, FollowedAggregates)
        for mark in (copy._mark, "nonsense", "a:b", ":"):
            assert aggregates.changes(after=mark, from_s=0.0).is_whole
        other.close()

    def test_what_was_told_does_not_change_with_later_commits(self, store: Store) -> None:
        copy = _Copy(store)
        store.commit(commit_of(1, [run_event(1)]))
        copy.follow()
        before = {place: cell.n_runs for place, cell in copy.cells.items()}
        store.commit(commit_of(2, [run_event(2)]))
        assert {place: cell.n_runs for place, cell in copy.cells.items()} == before

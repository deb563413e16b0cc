"""Aggregates: merging, windows, compaction."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hivefeedback.hooks import Store
from hivefeedback.model import Event
from hivefeedback.stats import MAX_EXEMPLARS, Cell, CellKey, Delta, Exemplar, View, bucket_of
from hivefeedback.testing._contract_base import Makes
from hivefeedback.testing.store_samples import T0, commit_of, delta_of, run_event

__all__ = ["AggregatesContract"]

MINUTE, HOUR, DAY = 60, 3600, 86_400


def _all(store: Store, *, around_s: float = T0) -> View:
    return store.aggregates.read(from_s=around_s - 500 * DAY, to_s=around_s + 500 * DAY)


def _cells(view: View) -> dict[tuple[CellKey, int], Cell]:
    return {(s.key, s.start_s): s.cell for s in view.slices}


class AggregatesContract:
    """Each run counts once, whatever the way it came."""

    def test_an_empty_window_covers_nothing(self, store: Store) -> None:
        view = store.aggregates.read(from_s=T0, to_s=T0 + HOUR)
        assert view.slices == ()
        assert (view.asked_from_s, view.asked_to_s, view.coverage.n_runs) == (T0, T0 + HOUR, 0)

    def test_merging_equals_counting_again(self: Makes, folder: Path) -> None:
        from hypothesis import given, settings
        from hypothesis import strategies as st

        run: st.SearchStrategy[dict[str, Any]] = st.builds(
            dict,
            deployment=st.sampled_from("ab"),
            operation=st.sampled_from(["x", "x/y"]),
            agent_id=st.sampled_from(["", "g"]),
            outcome=st.sampled_from(["ok", "timeout", "cancelled", "refused"]),
            duration_s=st.none() | st.floats(0, 100),
            tokens_in=st.none() | st.integers(0, 5000),
            cost_usd=st.none() | st.floats(0, 1),
            at_s=st.sampled_from([T0, T0 + 59.9, T0 + 60, T0 + 7200]),
        )
        folders = count()

        @settings(max_examples=15, deadline=None, database=None)
        @given(runs=st.lists(run, max_size=30), seed=st.integers(0, 99))
        def check(runs: list[dict[str, Any]], seed: int) -> None:
            events = [run_event(n, **fields) for n, fields in enumerate(runs, 1)]
            place = folder / str(next(folders))
            place.mkdir()
            store = self.make_store(place)
            for number, part in enumerate(_parts(events, Random(seed)), 1):
                store.commit(commit_of(number, part, delta=delta_of(part, arms=["m:canary"])))
            assert _cells(_all(store)) == delta_of(events, arms=["m:canary"]).cells
            store.close()

        check()

    def test_many_small_commits_merge_into_one_cell(self, store: Store) -> None:
        events = [run_event(n, at_s=T0 + n / 10, duration_s=n / 7) for n in range(1, 51)]
        for n, event in enumerate(events, 1):
            store.commit(commit_of(n, [event]))
        assert _cells(_all(store)) == delta_of(events).cells

    def test_judgements_and_their_corrections_are_merged(self, store: Store) -> None:
        key = CellKey("a", "op", fingerprint="fp")
        for number, (value, sign) in enumerate([(0.25, 1), (0.25, -1), (1.0, 1)], 1):
            delta = Delta()
            delta.cell(key, bucket_of(T0)).add_judged("rating", value, sign)
            store.commit(commit_of(number, delta=delta))
        (cell,) = _cells(_all(store)).values()
        assert (cell.judged["rating"].n, cell.judged["rating"].mean) == (1, 1.0)

    def test_a_window_holds_the_minutes_that_begin_in_it(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(n, at_s=T0 + n * MINUTE) for n in range(5)]))
        view = store.aggregates.read(from_s=T0 + MINUTE, to_s=T0 + 3 * MINUTE)
        assert [s.start_s for s in view.slices] == [T0 + MINUTE, T0 + 2 * MINUTE]
        assert view.coverage.resolution_s == MINUTE

    def test_a_view_does_not_change_with_later_commits(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1)]))
        view = _all(store)
        store.commit(commit_of(2, [run_event(2)]))
        assert view.coverage.n_runs == 1
        assert _all(store).coverage.n_runs == 2

    def test_the_newest_exemplars_are_kept_newest_last(self, store: Store) -> None:
        events = [run_event(n, at_s=T0 + n) for n in range(1, 251)]
        for number, part in enumerate(_parts(events, Random(1)), 1):
            store.commit(commit_of(number, part))
        (kept,) = _all(store).exemplars.values()
        assert [e.started_at_s for e in kept] == [e.event_time_s for e in events[-MAX_EXEMPLARS:]]

    @pytest.mark.parametrize("order", [(1, 2), (2, 1)])
    def test_an_exemplar_that_was_judged_replaces_the_same_run_unjudged(
        self, store: Store, order: tuple[int, int]
    ) -> None:
        judged = {1: Exemplar(T0, "r", 0.5), 2: Exemplar(T0, "r", 0.5, reward=0.25)}
        for number in order:
            delta = Delta()
            delta.add_exemplar("a", "op", judged[number])
            store.commit(commit_of(number, delta=delta))
        assert _all(store).exemplars == {("a", "op"): (judged[2],)}

    @pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
    def test_an_exemplar_keeps_which_prompts_it_asked_for(self, store: Store, order: tuple[int, ...]) -> None:
        told = {
            1: Exemplar(T0, "r", 0.5, prompts=("answer@2", "ünï/côde@1")),
            2: Exemplar(T0, "r", 0.5, reward=0.25),
            3: Exemplar(T0, "r", 0.5),
        }
        for number in order:
            delta = Delta()
            delta.add_exemplar("a", "op", told[number])
            store.commit(commit_of(number, delta=delta))
        (kept,) = _all(store).exemplars[("a", "op")]
        assert (kept.reward, kept.prompts) == (0.25, told[1].prompts)

    def test_minutes_become_hours_and_hours_days_without_losing_a_run(self, store: Store) -> None:
        events = [run_event(n, at_s=T0 + n * 7 * MINUTE) for n in range(60)]
        store.commit(commit_of(1, events))
        counted = _all(store).totals("deployment")
        for after_s, width in ((0, MINUTE), (10 * HOUR, HOUR), (9 * DAY, DAY)):
            store.aggregates.compact(now_s=T0 + after_s)
            view = _all(store)
            assert view.totals("deployment") == counted
            assert {s.width_s for s in view.slices if s.start_s < T0 - T0 % DAY + DAY} == {width}
            assert all(s.start_s % s.width_s == 0 for s in view.slices)

    def test_the_last_two_hours_keep_their_minutes(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(n, at_s=T0 - n * HOUR) for n in range(6)]))
        store.aggregates.compact(now_s=T0)
        widths = {T0 - s.start_s: s.width_s for s in _all(store).slices}
        assert widths[0] == widths[HOUR] == widths[2 * HOUR] == MINUTE
        assert sorted(widths.values()) == [MINUTE] * 3 + [HOUR] * 3

    def test_an_hour_that_overlaps_the_window_is_read_whole_and_the_coverage_says_so(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, at_s=T0), run_event(2, at_s=T0 + 30 * MINUTE)]))
        store.aggregates.compact(now_s=T0 + 10 * HOUR)
        view = store.aggregates.read(from_s=T0 + 20 * MINUTE, to_s=T0 + HOUR)
        assert view.coverage.n_runs == 2
        assert view.coverage.from_s < view.asked_from_s
        assert view.coverage.resolution_s == HOUR

    def test_late_deltas_go_into_the_wider_bucket(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1)]))
        store.aggregates.compact(now_s=T0 + 10 * HOUR)
        store.commit(commit_of(2, [run_event(2, at_s=T0 + MINUTE)]))
        (piece,) = _all(store).slices
        assert (piece.width_s, piece.cell.n_runs) == (HOUR, 2)
        store.aggregates.compact(now_s=T0 + 20 * DAY)
        store.commit(commit_of(3, [run_event(3, at_s=T0 + 2 * MINUTE)]))
        (piece,) = _all(store).slices
        assert (piece.width_s, piece.cell.n_runs) == (DAY, 3)

    def test_buckets_older_than_400_days_go(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1), run_event(2, at_s=T0 + 10 * DAY)]))
        store.aggregates.compact(now_s=T0 + 405 * DAY)
        assert _all(store).coverage.n_runs == 1

    def test_a_clock_that_was_ahead_for_a_while_costs_resolution_and_no_run(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1)]))
        store.aggregates.compact(now_s=T0 + 10 * DAY)
        store.aggregates.compact(now_s=T0)
        store.commit(commit_of(2, [run_event(2, at_s=T0 + MINUTE)]))
        assert [(s.width_s, s.cell.n_runs) for s in _all(store).slices] == [(DAY, 1), (MINUTE, 1)]
        store.aggregates.compact(now_s=T0 + 10 * DAY)
        assert [(s.width_s, s.cell.n_runs) for s in _all(store).slices] == [(DAY, 2)]

    def test_arms_are_kept_apart_from_totals(self, store: Store) -> None:
        events = [run_event(1)]
        store.commit(commit_of(1, events, delta=delta_of(events, arms=["m-1:canary"])))
        view = _all(store)
        assert view.coverage.n_runs == 1
        assert view.arms("m-1")["canary"].n_runs == 1


def _parts(events: list[Event], random: Random) -> list[list[Event]]:
    """Events in random order, in commits of random size."""
    rest = random.sample(events, len(events))
    parts: list[list[Event]] = []
    while rest:
        n = random.randint(1, 12)
        parts.append(rest[:n])
        rest = rest[n:]
    return parts

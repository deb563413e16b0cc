"""Erasing: what goes, what is taken back, what stays."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Selector, Store
from hivefeedback.model import Event
from hivefeedback.stats import Cell, CellKey, View, bucket_of
from hivefeedback.testing.store_samples import (
    T0,
    commit_of,
    decision_event,
    delta_of,
    feedback_event,
    run_event,
    score_event,
)

__all__ = ["EraseContract"]

DAY = 86_400


def _view(store: Store) -> View:
    return store.aggregates.read(from_s=T0 - 400 * DAY, to_s=T0 + 400 * DAY)


def _ids(store: Store) -> list[str]:
    return [e.event_id for _, e in store.log.read()]


def _mixed() -> list[Event]:
    return [
        run_event(1, run_id="r1", deployment="a", agent_id="g1", session_id="s1", user_id="u1", at_s=T0),
        run_event(2, run_id="r2", deployment="b", agent_id="g2", session_id="s2", user_id="u2", at_s=T0 + 60),
        run_event(3, run_id="r3", deployment="a", agent_id="g2", session_id="s3", user_id="u1", at_s=T0 + 120),
    ]


class EraseContract:
    """Events, their feedback, exemplars and shares of aggregates."""

    @pytest.mark.parametrize(
        ("selector", "kept"),
        [
            (Selector(deployment="a"), ["r2"]),
            (Selector(agent="g1"), ["r2", "r3"]),
            (Selector(session="s2"), ["r1", "r3"]),
            (Selector(user="u1"), ["r2"]),
            (Selector(before_s=T0 + 60), ["r2", "r3"]),
            (Selector(user="u1", deployment="a", before_s=T0 + 1), ["r2", "r3"]),
            (Selector(user="u1", deployment="b"), ["r1", "r2", "r3"]),
            (Selector(user="nobody"), ["r1", "r2", "r3"]),
        ],
    )
    def test_runs_go_that_match_every_given_part(self, store: Store, selector: Selector, kept: list[str]) -> None:
        store.commit(commit_of(1, _mixed()))
        assert store.log.erase(selector) == 3 - len(kept)
        assert _ids(store) == kept
        left = [e for e in _mixed() if e.event_id in kept]
        assert {(s.key, s.start_s): s.cell for s in _view(store).slices} == delta_of(left).cells
        assert sorted(e.run_id for kept_runs in _view(store).exemplars.values() for e in kept_runs) == kept

    def test_a_selector_that_names_nothing_is_refused(self, store: Store) -> None:
        store.commit(commit_of(1, _mixed()))
        with pytest.raises(InvalidInputError):
            store.log.erase(Selector())
        assert store.log.count() == 3

    def test_decision_feedback_and_scores_of_an_erased_run_go_with_it(self, store: Store) -> None:
        events = [
            decision_event(1, "d1"),
            run_event(2, run_id="r1", user_id="u", decision_id="d1", trace_id="t1", response_id="x1"),
            score_event(3, "r1"),
            feedback_event(4, run_id="r1", rating=1.0),
            feedback_event(5, trace_id="t1", rating=1.0),
            feedback_event(6, decision_id="d1", rating=1.0),
            feedback_event(7, response_id="x1", rating=1.0),
            decision_event(8, "d2"),
            run_event(9, run_id="r2", decision_id="d2", trace_id="t2"),
            score_event(10, "r2"),
            feedback_event(11, trace_id="t2", rating=5.0),
        ]
        store.commit(commit_of(1, events))
        assert store.log.erase(Selector(user="u")) == 7
        assert [e.seq for _, e in store.log.read()] == [8, 9, 10, 11]

    def test_feedback_of_a_session_goes_with_the_run_that_it_had_joined(self, store: Store) -> None:
        events = [
            run_event(1, run_id="r1", deployment="a", session_id="s", at_s=T0),
            feedback_event(2, session_id="s", rating=1.0, at_s=T0 + 1),
            run_event(3, run_id="r2", deployment="b", session_id="s", at_s=T0 + 2),
            feedback_event(4, session_id="s", rating=5.0, at_s=T0 + 3),
        ]
        store.commit(commit_of(1, events))
        store.log.erase(Selector(deployment="a"))
        assert [e.seq for _, e in store.log.read()] == [3, 4]

    def test_feedback_by_trace_stays_with_the_root_run(self, store: Store) -> None:
        events = [
            run_event(1, run_id="root", deployment="a", trace_id="t"),
            run_event(2, run_id="child", deployment="b", trace_id="t", parent_id="x"),
            feedback_event(3, trace_id="t", rating=5.0),
        ]
        store.commit(commit_of(1, events))
        assert store.log.erase(Selector(deployment="b")) == 1
        assert [e.seq for _, e in store.log.read()] == [1, 3]

    def test_judgements_and_reward_are_taken_back(self, store: Store) -> None:
        run = run_event(1, run_id="r1", user_id="u")
        said = [score_event(2, "r1", 0.5), feedback_event(3, run_id="r1", rating=5.0)]
        other = run_event(4, run_id="r2")
        delta = delta_of([run, other])
        cell = delta.cell(CellKey("a", "op", fingerprint="fp"), bucket_of(T0))
        for name, value in (("exact_match", 0.5), ("rating", 1.0), ("reward", 0.75), ("reward", 1.0)):
            cell.add_judged(name, value)
        store.commit(commit_of(1, [run, *said, other], delta=delta))
        store.log.erase(Selector(user="u"))
        left = _only(store)
        assert left.n_runs == 1
        assert {name: (j.n, j.mean) for name, j in left.judged.items()} == {"reward": (1, 1.0)}

    def test_a_run_that_still_awaited_its_judgement_takes_no_reward_with_it(self, store: Store) -> None:
        events = [run_event(1, user_id="u"), run_event(2)]
        delta = delta_of(events)
        cell = delta.cell(CellKey("a", "op", fingerprint="fp"), bucket_of(T0))
        cell.n_awaiting = 1
        cell.add_judged("reward", 0.25)
        store.commit(commit_of(1, events, delta=delta))
        store.log.erase(Selector(user="u"))
        left = _only(store)
        assert (left.n_runs, left.n_awaiting, left.judged["reward"].n) == (1, 0, 1)

    def test_a_judgement_that_replaced_another_is_taken_back_once(self, store: Store) -> None:
        said = [feedback_event(n, run_id="r1", rating=float(n), idempotency_key="k") for n in (1, 5)]
        run, other = run_event(2, run_id="r1", user_id="u"), run_event(3, run_id="r2")
        delta = delta_of([run, other])
        cell = delta.cell(CellKey("a", "op", fingerprint="fp"), bucket_of(T0))
        for value in (1.0, 0.5):
            cell.add_judged("rating", value)
        store.commit(commit_of(1, [run, *said, other], delta=delta))
        store.log.erase(Selector(user="u"))
        assert _only(store).judged["rating"].mean == 0.5

    def test_a_run_without_an_operation_is_taken_from_that_of_its_decision(self, store: Store) -> None:
        run = run_event(2, decision_id="d", operation="", session_id="s")
        delta = delta_of([replace(run, body=replace(run.body, operation="op"))])
        store.commit(commit_of(1, [decision_event(1, "d"), run], delta=delta))
        store.log.erase(Selector(session="s"))
        assert _view(store).slices == ()

    def test_a_run_of_a_pooled_agent_is_taken_from_the_pool(self, store: Store) -> None:
        run = run_event(1, agent_id="g", session_id="s")
        delta = delta_of([replace(run, body=replace(run.body, agent_id="~other"))])
        store.commit(commit_of(1, [run], delta=delta))
        store.log.erase(Selector(session="s"))
        assert _view(store).slices == ()

    def test_runs_of_agents_and_tools_stand_under_no_deployment(self, store: Store) -> None:
        run = run_event(1, deployment="chain", kind="agent", session_id="s")
        delta = delta_of([replace(run, body=replace(run.body, deployment="", agent_id="chain"))])
        store.commit(commit_of(1, [run, run_event(2)], delta=delta))
        store.log.erase(Selector(session="s"))
        assert _view(store).slices == ()

    def test_both_arms_of_a_rollout_are_taken_back(self, store: Store) -> None:
        events = [
            decision_event(1, "d1", arms=[("m-1", "canary"), ("m-2", "control")]),
            run_event(2, decision_id="d1", session_id="s"),
        ]
        store.commit(commit_of(1, events, delta=delta_of(events, arms=["m-1:canary", "m-2:control"])))
        store.log.erase(Selector(session="s"))
        assert _view(store).slices == ()
        assert store.log.count() == 0

    def test_counts_of_another_fingerprint_stay(self, store: Store) -> None:
        old, new = run_event(1, session_id="s", outcome="timeout"), run_event(2)
        delta = delta_of([old], fingerprint="old")
        delta.merge(delta_of([new], fingerprint="new"))
        store.commit(commit_of(1, [old, new], delta=delta))
        store.log.erase(Selector(session="s"))
        (piece,) = _view(store).slices
        assert piece.key.fingerprint == "new"

    @pytest.mark.parametrize("days", [0.5, 20])
    def test_what_was_compacted_is_taken_from_the_wider_bucket(self, store: Store, days: float) -> None:
        store.commit(commit_of(1, [run_event(1, session_id="s"), run_event(2, at_s=T0 + 60)]))
        store.aggregates.compact(now_s=T0 + days * DAY)
        store.log.erase(Selector(session="s"))
        assert _only(store).n_runs == 1

    def test_what_a_wrong_clock_compacted_is_found_all_the_same(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, session_id="s")]))
        store.aggregates.compact(now_s=T0 + 20 * DAY)
        store.aggregates.compact(now_s=T0)
        store.log.erase(Selector(session="s"))
        assert _view(store).slices == ()

    def test_nothing_falls_below_zero(self, store: Store) -> None:
        events = [run_event(n, session_id="s") for n in range(1, 4)]
        store.commit(commit_of(1, events, delta=delta_of(events[:1])))
        assert store.log.erase(Selector(session="s")) == 3
        assert _view(store).slices == ()

    def test_aggregates_whose_events_are_gone_stay(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, session_id="s"), run_event(2, session_id="s", at_s=T0 + 60)]))
        store.log.retain(before_s=T0 + 60)
        assert store.log.erase(Selector(session="s")) == 1
        assert _only(store).n_runs == 1

    def test_what_was_erased_is_not_found(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, run_id="r", session_id="s", trace_id="t")]))
        store.log.erase(Selector(session="s"))
        assert store.log.find("r") is None
        assert store.log.find_run(session_id="s") is None
        assert store.log.find_run(trace_id="t") is None
        assert _view(store).evidence("a") == ()


def _only(store: Store) -> Cell:
    """All cells as one."""
    merged = Cell()
    for piece in _view(store).slices:
        merged.merge(piece.cell)
    return merged

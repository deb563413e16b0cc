"""The event log's part of the store contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from hivefeedback.errors import ClosedError
from hivefeedback.hooks import Selector, Store
from hivefeedback.model import Alarm, Control, Event, Score, SystemSample
from hivefeedback.testing._contract_base import Makes
from hivefeedback.testing.store_samples import T0, commit_of, decision_event, feedback_event, run_event, score_event

__all__ = ["LogContract"]

_SCRIPTS = ("日本語-モデル", "модель", "نموذج", "🐝" * 40, "a'b\"c;--", "a/b c\tд\n\x00", "ß" * 20_000, "%_*?[x]")


class LogContract:
    """Reading, finding, keeping."""

    def test_an_empty_log_answers_nothing(self, store: Store) -> None:
        assert store.log.count() == 0
        assert list(store.log.read()) == []
        assert store.log.find("nobody") is None
        assert store.log.find_run(session_id="nobody") is None

    def test_events_come_back_as_they_were_in_the_order_of_commits(self, store: Store) -> None:
        events = [
            decision_event(1, "d-1", arms=(("m-1", "canary"),), session_id="s"),
            run_event(2, outcome="timeout", tokens_in=7, cost_usd=0.25, attributes={"k": True, "n": 1.5}),
            feedback_event(3, rating=4.0, run_id="r-p-1-2", comment="so-so"),
            score_event(4, "r-p-1-2"),
            Event("p", 1, 5, "c-5", T0, T0, Control(Alarm("cusum", "a", "op", {"g": 2.5}))),
        ]
        store.commit(commit_of(1, events))
        store.commit(commit_of(1, [run_event(1, producer="q")], producer="q"))
        read = store.log.read()
        assert [e for _, e in read] == [*events, run_event(1, producer="q")]
        assert [p for p, _ in read] == sorted({p for p, _ in read})

    def test_reading_goes_on_behind_a_position(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(n) for n in range(1, 8)]))
        first = store.log.read(limit=3)
        rest = store.log.read(after=first[-1][0])
        assert [e.seq for _, e in first] == [1, 2, 3]
        assert [e.seq for _, e in rest] == [4, 5, 6, 7]
        assert list(store.log.read(after=rest[-1][0])) == []

    def test_a_position_is_never_given_twice(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1), run_event(2, session_id="gone")]))
        last = store.log.read()[-1][0]
        store.log.erase(Selector(session="gone"))
        store.commit(commit_of(2, [run_event(3)]))
        assert [e.seq for _, e in store.log.read(after=last)] == [3]

    def test_the_newest_event_of_an_id_is_found(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, run_id="same"), run_event(2, run_id="same", outcome="timeout")]))
        found = store.log.find("same")
        assert found is not None
        assert found.seq == 2

    def test_an_event_of_the_same_producer_epoch_and_seq_is_stored_once(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1)]))
        store.commit(commit_of(2, [run_event(1), run_event(2)]))
        assert [e.seq for _, e in store.log.read()] == [1, 2]

    def test_an_event_that_comes_long_after_thousands_of_later_ones_is_stored_once(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(seq) for seq in range(3, 6003, 2)]))
        for number in (2, 3):
            store.commit(commit_of(number, [run_event(2), run_event(4, run_id="four"), run_event(5999)]))
        (position, _), *_ = [placed for placed in store.log.read() if placed[1].event_id == "r-p-1-2"]
        assert [e.seq for _, e in store.log.read(after=position - 1)] == [2, 4]
        assert store.log.find("four") is not None

    def test_a_trace_finds_its_root_run_or_else_its_first(self, store: Store) -> None:
        child = run_event(1, at_s=T0, trace_id="t", parent_id="x")
        root = run_event(2, at_s=T0 + 1, trace_id="t")
        orphans = [run_event(n, at_s=T0 - n, trace_id="u", parent_id="x") for n in (3, 4)]
        store.commit(commit_of(1, [child, root, *orphans]))
        assert store.log.find_run(trace_id="t") == root
        assert store.log.find_run(trace_id="u") == orphans[1]

    def test_a_decision_and_a_session_find_their_newest_run(self, store: Store) -> None:
        runs = [run_event(n, at_s=T0 + n, decision_id="d", session_id="s", attempt=n) for n in (2, 1)]
        said = [feedback_event(3, at_s=T0 + 9, session_id="s", decision_id="d")]
        store.commit(commit_of(1, [*runs, decision_event(4, "d", session_id="s"), *said]))
        assert store.log.find_run(decision_id="d") == runs[0]
        assert store.log.find_run(session_id="s") == runs[0]

    def test_a_decision_finds_the_run_of_a_model_before_the_agents_around_it(self, store: Store) -> None:
        model, agent = (
            run_event(1, at_s=T0, decision_id="d"),
            run_event(2, at_s=T0 + 1, decision_id="d", kind="agent"),
        )
        store.commit(commit_of(1, [model, agent, run_event(3, decision_id="e", kind="agent")]))
        assert store.log.find_run(decision_id="d") == model
        alone = store.log.find_run(decision_id="e")
        assert alone is not None
        assert alone.seq == 3

    def test_the_runs_of_a_trace_or_a_decision_come_in_the_order_of_the_log(self, store: Store) -> None:
        """Only for logs that offer ``runs_by``: with it, what is said late of a query reaches all below it."""
        runs_by = getattr(store.log, "runs_by", None)
        if runs_by is None:
            return
        runs = [run_event(n, at_s=T0 - n, trace_id="t", decision_id="d") for n in (1, 2, 3)]
        said = feedback_event(5, at_s=T0, trace_id="t", decision_id="d")
        store.commit(commit_of(1, [*runs, run_event(4, trace_id="u"), said]))
        assert list(runs_by(trace_id="t")) == list(runs_by(decision_id="d")) == runs
        assert list(runs_by(trace_id="nothing")) == list(runs_by()) == []

    def test_a_response_finds_its_run(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, response_id="x"), run_event(2, response_id="y")]))
        found = store.log.find_run(response_id="x")
        assert found is not None
        assert found.seq == 1

    def test_fields_of_a_newer_version_survive(self, store: Store) -> None:
        event = replace(run_event(1), unknown={"": {"later": 1}, "body": {"mood": "fine"}})
        store.commit(commit_of(1, [event]))
        found = store.log.find(event.event_id)
        assert found is not None
        assert found.unknown == {"": {"later": 1}, "body": {"mood": "fine"}}

    @pytest.mark.parametrize("name", _SCRIPTS)
    def test_ids_of_any_length_and_script_are_kept(self, store: Store, name: str) -> None:
        event = run_event(1, producer=name, run_id=name, deployment=name, operation=name, session_id=name)
        store.commit(commit_of(1, [event], producer=name))
        assert store.log.find(name) == event
        assert store.log.find_run(session_id=name) == event
        (key,) = [s.key for s in store.aggregates.read(from_s=T0, to_s=T0 + 60).slices]
        assert key.deployment == name
        assert store.log.erase(Selector(deployment=name)) == 1

    def test_large_values_are_kept(self, store: Store) -> None:
        said = feedback_event(1, comment="ü" * 1_000_000, run_id="r")
        store.commit(commit_of(1, [said]))
        assert store.log.find(said.event_id) == said

    def test_numbers_that_are_not_finite_do_not_spoil_the_log(self, store: Store) -> None:
        alarm = Event("p", 1, 1, "c", T0, T0, Control(Alarm("e", "a", numbers={"e": float("inf")})))
        sample = Event("p", 1, 2, "m", T0, T0, Control(SystemSample({"x": float("nan"), "y": 1.0})))
        store.commit(commit_of(1, [alarm, sample, run_event(3, duration_s=None)]))
        assert [e.seq for _, e in store.log.read()] == [1, 2, 3]

    def test_retention_drops_old_events_and_leaves_the_aggregates(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1, at_s=T0), run_event(2, at_s=T0 + 60), run_event(3, at_s=T0 - 60)]))
        assert store.log.retain(before_s=T0 + 60) == 2
        assert [e.seq for _, e in store.log.read()] == [2]
        assert store.aggregates.read(from_s=T0 - 60, to_s=T0 + 120).coverage.n_runs == 3
        assert store.log.retain(before_s=T0) == 0

    def test_a_store_that_was_closed_says_so(self: Makes, folder: Path) -> None:
        store = self.make_store(folder)
        store.close()
        store.close()
        calls = (store.log.count, store.journal.head, store.config.load, lambda: store.state.get("n", "k"))
        for call in (*calls, lambda: store.commit(commit_of(1)), lambda: store.aggregates.read(from_s=0, to_s=1)):
            with pytest.raises(ClosedError):
                call()

    def test_a_fresh_store_has_nothing_to_complain_about(self, store: Store) -> None:
        store.commit(commit_of(1, [run_event(1), Event("p", 1, 2, "s", T0, T0, Score("r", "n", 1.0))]))
        assert list(store.check()) == []

"""The part of the store contract about dropping what was archived, and about carrying a store over.

A store that does not offer ``TrimmedLog``, ``CarriedJournal`` or ``ListedState`` skips its tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import CarriedJournal, ListedState, Record, Selector, Store, TrimmedLog
from hivefeedback.model import Event
from hivefeedback.testing._contract_base import Makes
from hivefeedback.testing.store_samples import T0, commit_of, feedback_event, run_event

__all__ = ["CarryContract"]


def _trimmed(store: Store) -> TrimmedLog:
    if not isinstance(store.log, TrimmedLog):
        pytest.skip("this store's log has no older and drop: nothing of it can be archived")
    return store.log


def _carried(store: Store) -> CarriedJournal:
    if not isinstance(store.journal, CarriedJournal):
        pytest.skip("this store's journal has no salt, bodies and adopt: its texts cannot be carried over")
    return store.journal


def _seqs(placed: Iterable[tuple[int, Event]]) -> list[int]:
    return [event.seq for _, event in placed]


class CarryContract:
    """Dropping exactly what was read, and taking over from another store."""

    def test_what_is_older_is_told_in_pages_and_in_order(self, store: Store) -> None:
        log = _trimmed(store)
        times = [T0 + 60 * (n % 2) for n in range(1, 41)]  # every other one is too young
        store.commit(commit_of(1, [run_event(n, at_s=at_s) for n, at_s in enumerate(times, 1)]))
        store.commit(commit_of(2, [feedback_event(41, at_s=T0, run_id="x")]))
        first = log.older(before_s=T0 + 60, limit=12)
        rest = log.older(before_s=T0 + 60, after=first[-1][0])
        assert _seqs(first) == list(range(2, 25, 2))
        assert _seqs(rest) == [*range(26, 41, 2), 41]
        assert list(log.older(before_s=T0)) == []

    def test_exactly_what_was_read_is_dropped_and_the_aggregates_stay(self, store: Store) -> None:
        log = _trimmed(store)
        store.commit(commit_of(1, [run_event(n, trace_id=f"t{n}") for n in range(1, 41)]))
        old = log.older(before_s=T0 + 1, limit=30)
        store.commit(commit_of(2, [run_event(41, at_s=T0 - 600)]))  # late, and never read
        assert log.drop(old) == 30
        assert _seqs(store.log.read()) == list(range(31, 42))
        assert store.log.count() == 11
        assert log.drop(old) == 0
        assert store.log.find("r-p-1-7") is None
        assert store.log.find_run(trace_id="t7") is None
        assert store.log.find_run(trace_id="t37") is not None
        assert store.aggregates.read(from_s=T0 - 3600, to_s=T0 + 60).coverage.n_runs == 41

    def test_a_position_is_not_given_again_after_all_was_dropped(self, store: Store) -> None:
        log = _trimmed(store)
        store.commit(commit_of(1, [run_event(n) for n in range(1, 4)]))
        placed = store.log.read()
        assert log.drop(placed) == 3
        store.commit(commit_of(2, [run_event(4)]))
        assert _seqs(store.log.read(after=placed[-1][0])) == [4]

    def test_events_that_are_left_can_still_be_erased(self, store: Store) -> None:
        log = _trimmed(store)
        store.commit(commit_of(1, [run_event(n, session_id="s") for n in range(1, 41)]))
        log.drop(log.older(before_s=T0 + 1, limit=20))
        assert store.log.erase(Selector(session="s")) == 20

    def test_texts_are_taken_over_under_the_names_that_they_had(self: Makes, folder: Path, store: Store) -> None:
        other = self.make_store(_made(folder / "other"))
        journal, taken = _carried(store), _carried(other)
        names = {text: journal.put_body(text) for text in ("one", "two: ünï\n", "")}
        for _ in range(2):  # a repeat changes nothing
            taken.adopt(journal.salt(), journal.bodies())
        assert sorted(taken.bodies()) == sorted(journal.bodies())
        assert {text: taken.put_body(text) for text in names} == names
        assert taken.body(names["one"]) == "one"
        other.close()

    def test_texts_under_another_salt_are_never_mixed(self: Makes, folder: Path, store: Store) -> None:
        other = self.make_store(_made(folder / "other"))
        journal, taken = _carried(store), _carried(other)
        journal.put_body("theirs")
        mine = taken.put_body("mine")
        with pytest.raises(ConflictError):
            taken.adopt(journal.salt(), journal.bodies())
        assert dict(taken.bodies()) == {mine: "mine"}
        other.close()

    def test_namespaces_are_told_while_they_hold_a_record(self, store: Store) -> None:
        if not isinstance(store.state, ListedState):
            pytest.skip("this store cannot tell its namespaces: its records cannot be carried over")
        assert list(store.state.namespaces()) == []
        for namespace, key in (("b", "1"), ("a", "1"), ("b", "2"), ("ü/:", "1")):
            store.state.put(Record(namespace, key, b"x"))
        store.state.put(Record("gone", "1", b"x", expires_at_s=1.0))
        assert list(store.state.namespaces()) == ["a", "b", "ü/:"]
        store.state.delete("a", "1")
        assert list(store.state.namespaces()) == ["b", "ü/:"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder

"""The journal: compare-and-set, fencing, texts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hivefeedback.errors import ConflictError, InvalidInputError
from hivefeedback.hooks import Store, WatchedJournal
from hivefeedback.model import (
    Adapter,
    Deployment,
    DropAdapter,
    Effect,
    JournalEntry,
    Mutation,
    MutationKind,
    Price,
    PutAdapter,
    PutDeployment,
    PutRoute,
    Rollout,
    Route,
    Verdict,
)
from hivefeedback.testing._contract_base import Makes, in_threads
from hivefeedback.testing.store_samples import T0

__all__ = ["JournalContract"]


def _full_entry() -> JournalEntry:
    mutation = Mutation(
        kind=MutationKind.ROUTE_CHANGE,
        target="op/日本",
        to={"candidates": ["a", "b"], "weights": {"a": 1, "b": 2.5}},
        from_=None,
        expected_effect=Effect(change=0.1, low=-0.2),
        evidence=("t1", "t2"),
        mutation_id="m-1",
    )
    patch = (
        PutDeployment(Deployment("a", params={"stop": ["x", None], "n": 1}, tags=("t",), price=Price(1.0, 2.0))),
        PutRoute("op", Route(("a",), {"a": 1.0})),
        PutAdapter(Adapter("lora/ä", tags=("t",), models=("m",), vram_gb=1.5)),
        DropAdapter("x"),
    )
    rollout = Rollout(
        rollout_id="m-1",
        mutation=mutation,
        patch=patch,
        salt="z",
        share=0.05,
        step=0,
        started_at_s=T0,
        step_started_at_s=T0,
    )
    verdict = Verdict(gate="limits", mutation_id="m-1", answer="ask", reason="why", numbers={"n": 3.0})
    return JournalEntry(
        at_s=T0,
        state="canary",
        mutation_id="m-1",
        by="turn",
        why="hash",
        mutation=mutation,
        plan_hash="p",
        verdicts=(verdict,),
        patch=patch,
        rollout=rollout,
        numbers={"e": 2.5},
    )


class JournalContract:
    """One truth, however many write."""

    def test_an_empty_journal_has_head_zero(self, store: Store) -> None:
        assert store.journal.head() == 0
        assert list(store.journal.read()) == []

    def test_an_entry_comes_back_whole_with_its_number(self, store: Store) -> None:
        written = store.journal.append(_full_entry(), expected_head=0)
        assert written == replace(_full_entry(), seq=1)
        assert list(store.journal.read()) == [written]
        assert store.journal.head() == 1

    def test_entries_are_read_in_order_behind_a_number(self, store: Store) -> None:
        for head in range(4):
            store.journal.append(JournalEntry(at_s=T0 - head, state="edited"), expected_head=head)
        assert [e.seq for e in store.journal.read(after=2)] == [3, 4]
        assert list(store.journal.read(after=4)) == []

    @pytest.mark.parametrize("expected", [0, 2, -1])
    def test_an_append_to_another_head_is_a_conflict_and_appends_nothing(self, store: Store, expected: int) -> None:
        store.journal.append(JournalEntry(at_s=T0, state="edited"), expected_head=0)
        with pytest.raises(ConflictError):
            store.journal.append(JournalEntry(at_s=T0, state="edited"), expected_head=expected)
        assert store.journal.head() == 1

    def test_an_older_leader_is_fenced_off(self, store: Store) -> None:
        store.config.acquire("one", length_s=10)
        store.config.release("one")
        lease = store.config.acquire("two", length_s=10)
        assert lease is not None
        with pytest.raises(ConflictError):
            store.journal.append(JournalEntry(at_s=T0, state="promoted", token=lease.token - 1), expected_head=0)
        store.journal.append(JournalEntry(at_s=T0, state="promoted", token=lease.token), expected_head=0)
        store.journal.append(JournalEntry(at_s=T0, state="rolled_back"), expected_head=1)
        assert store.journal.head() == 2

    def test_of_many_threads_each_append_wins_once(self, store: Store) -> None:
        n_threads, n_entries = 4, 6

        def appender(name: str) -> Callable[[], None]:
            def append() -> None:
                left = n_entries
                while left:
                    try:
                        entry = JournalEntry(at_s=T0, state="edited", by=f"{name}-{left}")
                        store.journal.append(entry, expected_head=store.journal.head())
                        left -= 1
                    except ConflictError:
                        continue

            return append

        in_threads([appender(str(i)) for i in range(n_threads)])
        entries = store.journal.read()
        assert [e.seq for e in entries] == list(range(1, n_threads * n_entries + 1))
        assert len({e.by for e in entries}) == n_threads * n_entries

    def test_numbers_that_are_not_finite_can_be_read_back(self, store: Store) -> None:
        numbers = {"inf": float("inf"), "nan": float("nan"), "one": 1.0}
        written = store.journal.append(JournalEntry(at_s=T0, state="rolled_back", numbers=numbers), expected_head=0)
        assert list(store.journal.read()) == [written]
        assert written.numbers["one"] == 1.0
        assert written.numbers["inf"] > 1e300

    def test_who_watches_is_told_of_what_others_append(self: Makes, store: Store, folder: Path) -> None:
        if not isinstance(store.journal, WatchedJournal):
            pytest.skip("this journal does not say that it has grown: implement WatchedJournal and changes come sooner")
        told = threading.Event()
        end = store.journal.watch(told.set)
        for n in range(100):  # it may be connected a moment after it was asked to
            other = self.make_store(folder)
            other.journal.append(JournalEntry(at_s=T0, state="edited"), expected_head=n)
            other.close()
            if told.wait(0.3):
                break
        assert told.is_set()
        end()

    @pytest.mark.parametrize("text", ["", "why", "ünï — 日本 🐝\n\x00", "x" * 256 * 1024])
    def test_a_text_is_kept_under_its_hash(self, store: Store, text: str) -> None:
        name = store.journal.put_body(text)
        assert store.journal.put_body(text) == name
        assert store.journal.body(name) == text

    def test_different_texts_have_different_hashes(self, store: Store) -> None:
        assert store.journal.put_body("a") != store.journal.put_body("b")
        assert store.journal.body("unknown") is None

    def test_a_text_above_256_kib_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidInputError):
            store.journal.put_body("ü" * (128 * 1024 + 1))

    def test_a_text_can_be_erased_and_its_entry_stays(self, store: Store) -> None:
        name = store.journal.put_body("secret")
        store.journal.append(JournalEntry(at_s=T0, state="edited", why=name), expected_head=0)
        assert store.journal.erase_body(name) is True
        assert store.journal.erase_body(name) is False
        assert store.journal.body(name) is None
        assert [e.why for e in store.journal.read()] == [name]

    def test_hashes_are_salted_by_each_store(self: Makes, folder: Path) -> None:
        names = set()
        for place in ("one", "two"):
            (folder / place).mkdir()
            store = self.make_store(folder / place)
            names.add(store.journal.put_body("yes"))
            store.close()
        assert len(names) == 2

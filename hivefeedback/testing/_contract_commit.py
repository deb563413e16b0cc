"""Commits: once, in any order, from many threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from hivefeedback.hooks import Record, Store
from hivefeedback.testing._contract_base import Makes, in_threads
from hivefeedback.testing.store_samples import T0, commit_of, run_event

__all__ = ["CommitContract"]


def _n_runs(store: Store) -> int:
    return store.aggregates.read(from_s=T0 - 86_400, to_s=T0 + 86_400).coverage.n_runs


class CommitContract:
    """All of a commit or nothing, exactly once."""

    def test_a_repeated_commit_changes_nothing(self, store: Store) -> None:
        commit = commit_of(1, [run_event(1)], records=[Record("n", "k", b"v")])
        for _ in range(3):
            store.commit(commit)
        assert store.log.count() == 1
        assert _n_runs(store) == 1
        record = store.state.get("n", "k")
        assert record is not None
        assert record.version == 1

    @pytest.mark.parametrize("seed", range(3))
    def test_reordered_and_repeated_commits_lose_nothing(self, store: Store, seed: int) -> None:
        commits = [commit_of(n, [run_event(n)]) for n in range(1, 41)]
        sent = commits + Random(seed).sample(commits, 20)
        Random(seed).shuffle(sent)
        for commit in sent:
            store.commit(commit)
        assert store.log.count() == 40
        assert _n_runs(store) == 40

    def test_a_number_far_ahead_does_not_shut_out_those_before_it(self, store: Store) -> None:
        for number in (1, 10**12, 2, 10**12 - 1, 2):
            store.commit(commit_of(number, [run_event(number)]))
        assert store.log.count() == 4

    def test_each_producer_and_epoch_counts_its_own_commits(self, store: Store) -> None:
        for producer, epoch in (("p", 1), ("p", 2), ("q", 1)):
            events = [run_event(1, producer=producer, epoch=epoch)]
            store.commit(commit_of(1, events, producer=producer, epoch=epoch))
        assert store.log.count() == 3
        assert _n_runs(store) == 3

    def test_records_of_a_commit_are_written_with_it(self, store: Store) -> None:
        store.state.put(Record("policy", "x", b"old"))
        store.commit(commit_of(1, records=[Record("policy", "x", b"new", version=77), Record("policy", "y", b"1")]))
        assert [(r.key, r.value, r.version) for r in store.state.list("policy")] == [("x", b"new", 2), ("y", b"1", 1)]

    def test_an_empty_commit_is_taken(self, store: Store) -> None:
        store.commit(commit_of(1))
        store.commit(commit_of(2, [run_event(1)]))
        assert store.log.count() == 1

    def test_many_threads_commit_and_read_at_once(self, store: Store) -> None:
        n_threads, n_commits = 4, 12

        def writer(name: str) -> Callable[[], None]:
            def write() -> None:
                for n in range(1, n_commits + 1):
                    store.commit(commit_of(n, [run_event(n, producer=name)], producer=name))

            return write

        def look() -> None:
            for _ in range(n_commits):
                assert _n_runs(store) <= n_threads * n_commits
                assert len(store.log.read()) <= store.log.count()

        in_threads([*(writer(f"p{i}") for i in range(n_threads)), look])
        assert store.log.count() == n_threads * n_commits
        assert _n_runs(store) == n_threads * n_commits

    def test_what_was_committed_is_there_when_the_store_is_opened_again(self: Makes, folder: Path) -> None:
        store = self.make_store(folder)
        body = store.journal.put_body("why")
        store.commit(commit_of(1, [run_event(1, session_id="s")], records=[Record("n", "k", b"\xff\x00")]))
        read = store.log.read()
        view = store.aggregates.read(from_s=T0, to_s=T0 + 60)
        store.close()
        again = self.make_store(folder)
        again.commit(commit_of(1, [run_event(9)]))
        assert again.log.read() == read
        assert again.aggregates.read(from_s=T0, to_s=T0 + 60) == view
        assert again.journal.body(body) == "why"
        assert [r.value for r in again.state.list("n")] == [b"\xff\x00"]
        assert again.log.find_run(session_id="s") == read[0][1]
        again.close()

    def test_two_opens_of_one_store_see_each_other(self: Makes, folder: Path) -> None:
        one, two = self.make_store(folder), self.make_store(folder)
        for n in range(1, 6):
            one.commit(commit_of(n, [run_event(n, producer="one")], producer="one"))
            two.commit(commit_of(n, [run_event(n, producer="two")], producer="two"))
        assert one.log.count() == two.log.count() == 10
        assert _n_runs(one) == _n_runs(two) == 10
        one.close()
        two.close()

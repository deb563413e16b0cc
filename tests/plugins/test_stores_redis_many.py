"""The Redis store with many threads and processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hivefeedback.hooks import FollowedAggregates, Selector, Store
from hivefeedback.stats import Window
from hivefeedback.testing.store_samples import T0, commit_of, delta_of, run_event
from hivefeedback_stores.redis import RedisStore
from hivefeedback_stores.redis_client import Server
from hivefeedback_stores.redis_places import shard_of
from hivefeedback_stores.redis_rewrite import Change, rewrite
from tests.plugins.redis_servers import RedisServer, name_of
from tests.plugins.test_stores_processes import FORKER, RESTLESS, WRITER


@pytest.fixture(params=["", "&shards=3"], ids=["one shard", "three shards"])
def redis_url(redis_server: RedisServer, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A store of the test's own."""
    return redis_server.url(name_of(tmp_path), options=str(request.param))


def test_commits_folds_compactions_and_erasures_at_once_lose_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivefeedback_stores.redis_commit.FOLD_AT", 3)
    monkeypatch.setattr("hivefeedback_stores.redis_cells._BUCKETS_AT_ONCE", 1)
    n_commits, errors, is_done = 40, list[BaseException](), threading.Event()

    def guarded(job: Callable[[RedisStore], None]) -> Callable[[], None]:
        def run() -> None:
            store = RedisStore(redis_url)
            try:
                job(store)
            except BaseException as error:  # noqa: BLE001  # a thread's error belongs to the test
                errors.append(error)
            finally:
                store.close()

        return run

    def commits(name: str) -> Callable[[RedisStore], None]:
        def run(store: RedisStore) -> None:
            for n in range(1, n_commits + 1):
                session = "gone" if n % 4 == 0 else ""
                event = run_event(n, at_s=T0 + 700 * n, producer=name, session_id=session)
                store.commit(commit_of(n, [event], producer=name))

        return run

    def compacts(store: RedisStore) -> None:
        n = 0
        while not is_done.is_set():
            store.aggregates.compact(now_s=T0 + 3600 * (n % 9))
            n += 1

    def erases(store: RedisStore) -> None:
        while not is_done.is_set():
            store.log.erase(Selector(session="gone"))

    window = Window()

    def follows(store: RedisStore) -> None:
        assert isinstance(store.aggregates, FollowedAggregates)
        while not is_done.is_set():
            window.take_in(store.aggregates.changes(after=window.mark, from_s=0.0), from_s=0.0)

    writers = [threading.Thread(target=guarded(commits(f"p{i}"))) for i in range(3)]
    others = [threading.Thread(target=guarded(job)) for job in (compacts, erases, follows)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    is_done.set()
    for thread in others:
        thread.join()
    assert errors == []
    store = RedisStore(redis_url)
    store.log.erase(Selector(session="gone"))
    left = [e for _, e in store.log.read()]
    assert len(left) == 3 * n_commits * 3 // 4
    view = store.aggregates.read(from_s=0.0, to_s=T0 + 1e6)
    assert view.coverage.n_runs == len(left)
    counted = delta_of(left)
    assert sum(s.cell.n_all for s in view.slices) == sum(c.n_all for c in counted.cells.values())
    assert isinstance(store.aggregates, FollowedAggregates)
    window.take_in(store.aggregates.changes(after=window.mark, from_s=0.0), from_s=0.0)
    followed = window.view(0.0, T0 + 1e6)
    assert {(s.start_s, s.width_s, s.key): s.cell for s in followed.slices} == {
        (s.start_s, s.width_s, s.key): s.cell for s in view.slices
    }
    assert dict(followed.exemplars) == dict(view.exemplars)
    store.close()


@pytest.mark.parametrize("at_s", [T0, T0 + 60])  # in a bucket that is moved, and in one that was not there
@pytest.mark.parametrize("folds", ["before", "after", "never"])
def test_what_comes_between_the_reading_and_the_writing_of_a_compaction_is_not_lost(
    redis_store: RedisStore, redis_url: str, monkeypatch: pytest.MonkeyPatch, at_s: float, folds: str
) -> None:
    other, window = RedisStore(redis_url), Window()
    n_shards = len(redis_store._parts)
    shard = shard_of("p", n_shards)
    ours, theirs = redis_store._parts[shard], other._parts[shard]
    name = next(name for name in "qrstuvwxyz" if shard_of(name, n_shards) == shard)
    redis_store.commit(commit_of(1, [run_event(1)]))
    came = list[str]()

    def follow() -> None:
        window.take_in(theirs.changes(after=window.mark, from_s=0.0), from_s=0.0)

    def between(server: Server, change: Change) -> int:
        if change.horizon is not None and not came:
            came.append("a run")
            other.commit(commit_of(1, [run_event(1, at_s=at_s, producer=name)], producer=name))
            if folds == "before":
                assert theirs.fold()
            follow()
        return rewrite(server, change)

    follow()
    monkeypatch.setattr("hivefeedback_stores.redis_aggregates.rewrite", between)
    ours.compact(now_s=T0 + 36_000)
    if folds == "after":
        assert theirs.fold()
    follow()
    assert came
    view, followed = ours.read(from_s=0.0, to_s=T0 + 1e6), window.view(0.0, T0 + 1e6)
    assert [(s.width_s, s.cell.n_runs) for s in view.slices] == [(3600, 2)]
    assert [(s.width_s, s.cell.n_runs) for s in followed.slices] == [(3600, 2)]
    other.close()


def _start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_processes_that_write_at_once_lose_nothing_to_each_other(redis_store: RedisStore, redis_url: str) -> None:
    for writer in [_start(WRITER, redis_url, f"p{i}", "30") for i in range(2)]:
        _finish(writer)
    record = redis_store.state.get("n", "count")
    assert record is not None
    assert int(record.value) == record.version == 60
    assert [e.seq for e in redis_store.journal.read()] == list(range(1, 61))
    assert redis_store.log.count() == _n_runs_ever(redis_store) == 300
    assert list(redis_store.check()) == []


def test_a_process_killed_between_and_within_commits_leaves_whole_commits_only(
    redis_store: RedisStore, redis_url: str
) -> None:
    n_said = 0
    for trial, n_lines in enumerate((1, 8, 15)):
        process = _start(RESTLESS, redis_url, f"p{trial}")
        assert process.stdout is not None
        for _ in range(n_lines):
            assert process.stdout.readline()
        process.kill()
        rest, _ = process.communicate(timeout=60)
        n_said += n_lines + len(rest.splitlines())
        n_events = redis_store.log.count()
        assert n_events % 5 == 0
        assert n_events >= 5 * n_said
        assert _n_runs_ever(redis_store) == n_events
        n_said = n_events // 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_parent_and_child_both_go_on_after_a_fork(redis_store: RedisStore, redis_url: str) -> None:
    _finish(_start(FORKER, redis_url, "parent"))
    assert redis_store.log.count() == _n_runs_ever(redis_store) == 25


def _n_runs_ever(store: Store) -> int:
    return store.aggregates.read(from_s=0, to_s=4e9).coverage.n_runs

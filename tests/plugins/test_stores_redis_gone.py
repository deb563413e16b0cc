"""The Redis store while Redis stops, is put back, or its answers get lost."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.control.keeper import JournalKeeper
from hivefeedback.errors import (
    ConflictError,
    StoreUnreachableError,
)
from hivefeedback.hooks import Commit, FollowedAggregates, Record, Store
from hivefeedback.model import JournalEntry, PutDeployment
from hivefeedback.testing.store_samples import T0, commit_of, run_event
from hivefeedback_stores.redis import RedisStore
from tests.plugins.redis_servers import (
    AOF,
    RedisServer,
    cluster,
    fill,
    free_port,
    is_whole,
    key_of,
    n_runs,
    name_of,
    running,
    until,
)

# --- Redis stops ----------------------------------------------------------------------------------


def test_what_was_committed_outlives_a_power_cut_with_an_append_only_file(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        store = RedisStore(server.url())
        fill(store)
        assert isinstance(store.aggregates, FollowedAggregates)
        mark = store.aggregates.changes(after="", from_s=0.0).mark
        server.kill()
        server.start()
        assert is_whole(store)
        store.commit(commit_of(1, [run_event(1), run_event(2)]))
        assert is_whole(store)
        assert store.aggregates.changes(after=mark, from_s=0.0).is_whole  # it might have lost what came last
        store.close()


def test_a_server_that_lost_everything_is_filled_anew_and_says_so(
    redis_program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(redis_program, tmp_path) as server:
        store = RedisStore(server.url())
        fill(store)
        assert isinstance(store.aggregates, FollowedAggregates)
        mark = store.aggregates.changes(after="", from_s=0.0).mark
        server.kill()
        server.start()
        assert (store.log.count(), store.journal.head(), n_runs(store)) == (0, 0, 0)
        assert store.state.get("n", "k") is None
        with caplog.at_level(logging.ERROR):
            store.commit(commit_of(2, [run_event(3)]))
        assert "lost the store" in caplog.text
        fill(store)  # commit 1 comes again, though it was applied before
        assert store.log.count() == n_runs(store) == 3
        assert store.journal.head() == 1
        assert store.journal.body(store.journal.put_body("x")) == "x"
        assert store.aggregates.changes(after=mark, from_s=0.0).is_whole
        store.close()


@pytest.mark.parametrize("options", ["", "&shards=3"])
def test_commits_that_are_repeated_over_restarts_count_once(redis_program: str, tmp_path: Path, options: str) -> None:
    n_commits, n_processes, done = 60, 3, list[str]()
    with running(redis_program, tmp_path, *AOF) as server:
        store = RedisStore(server.url(options=options))

        def commits(name: str, ours: RedisStore) -> None:
            for n in range(1, n_commits + 1):
                commit = commit_of(n, [run_event(n, producer=name)], producer=name)
                until(partial(_tried, ours, commit), "a commit")
            ours.close()
            done.append(name)

        stores = [RedisStore(server.url(options=options)) for _ in range(n_processes)]  # opened while Redis is there
        threads = [threading.Thread(target=commits, args=(f"p{i}", each)) for i, each in enumerate(stores)]
        for thread in threads:
            thread.start()
        for n in (10, 60, 120):
            until(partial(_holds, store, n), f"{n} commits")
            server.kill()
            server.start()
        for thread in threads:
            thread.join()
        assert len(done) == n_processes
        assert store.log.count() == n_runs(store) == n_commits * n_processes
        assert list(store.check()) == []
        store.close()


def _tried(store: Store, commit: Commit) -> bool:
    try:
        store.commit(commit)
    except StoreUnreachableError:
        return False
    return True


def _holds(store: Store, n_commits: int) -> bool:
    try:
        return store.log.count() >= n_commits
    except StoreUnreachableError:
        return False


def test_whoever_saw_entries_that_a_failover_lost_reads_the_journal_anew(
    redis_server: RedisServer, redis_store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    ours, theirs = RedisStore(redis_url), RedisStore(redis_url)
    for head in range(3):
        ours.journal.append(JournalEntry(at_s=T0, state="edited", by=f"ours {head}"), expected_head=head)
    readers = [ours, redis_store]
    assert [len(each.journal.read()) for each in readers] == [3, 3]
    redis_server.cli("RPOP", key_of(tmp_path, "journal"))
    theirs.journal.append(JournalEntry(at_s=T0, state="edited", by="theirs"), expected_head=2)
    with pytest.raises(ConflictError, match="lost the end of the journal"):
        ours.journal.append(JournalEntry(at_s=T0, state="edited", by="ours"), expected_head=3)
    for each in readers:
        each.journal.read()  # by somebody who does not know yet that it was put back
        assert [each.journal.head(), each.journal.head(), list(each.journal.read(after=3))] == [0, 0, []]
        assert [e.by for e in each.journal.read()] == ["ours 0", "ours 1", "theirs"]
        assert each.journal.head() == 3
    ours.journal.append(JournalEntry(at_s=T0, state="edited", by="ours"), expected_head=3)
    assert [e.by for e in theirs.journal.read(after=3)] == ["ours"]
    ours.close()
    theirs.close()


def test_a_process_whose_promotion_was_lost_serves_what_is_in_the_journal(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        store = RedisStore(server.url())
        keeper = JournalKeeper(store)

        def lineup(deployment: str) -> JournalEntry:
            return JournalEntry(at_s=T0, state="edited", patch=(PutDeployment(Deployment(deployment)),))

        for deployment in ("a", "lost"):
            keeper.append(lambda *_, name=deployment: lineup(name))
        server.cli("RPOP", "hive:{main:0}:journal")
        other = RedisStore(server.url())
        other.journal.append(lineup("b"), expected_head=1)
        assert keeper.refresh()
        assert set(keeper.configuration.deployments) == {"a", "b"}
        for each in (store, other):
            each.close()


def test_a_server_that_is_gone_is_told_at_once_and_found_again_by_itself(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        store = RedisStore(server.url())
        fill(store)
        server.stop()
        for call in (store.log.count, store.journal.head, lambda: store.commit(commit_of(2, [run_event(3)]))):
            with pytest.raises(StoreUnreachableError, match=r"127\.0\.0\.1:\d+.*cannot be reached.*check that Redis"):
                call()
        server.start()
        store.commit(commit_of(2, [run_event(3)]))
        assert store.log.count() == n_runs(store) == 3
        store.close()


def test_a_loop_serves_on_while_redis_is_gone_and_then_commits_what_it_kept(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        loop = FeedbackLoop(store=server.url(), deployments=[Deployment("a")])
        loop.record(Run("a", "op", "ok", 0.1))
        assert loop.flush(timeout_s=10)
        server.stop()
        for _ in range(20):
            assert loop.decide("op").deployment == "a"
            loop.record(Run("a", "op", "ok", 0.1))
        server.start()
        until(lambda: loop.flush(timeout_s=1), "the commit of what was kept")
        assert sum(isinstance(e.body, Run) for _, e in loop.store.log.read()) == 21
        loop.close()


@pytest.mark.parametrize("options", ["", "&shards=3"])
def test_while_redis_hangs_calls_go_on_drops_are_counted_and_the_rest_is_committed_by_itself(
    redis_program: str, tmp_path: Path, options: str
) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        loop = FeedbackLoop(store=server.url(options=options), deployments=[Deployment("a")], pending_commits=500)
        loop.record(Run("a", "op", "ok", 0.1))
        assert loop.flush(timeout_s=10)
        slowest_s, n_recorded = 0.0, 1
        with server.hanging():
            end_s = time.monotonic() + 2.0
            while loop.counters["events_uncommitted"] < 100 or time.monotonic() < end_s:
                start_s = time.monotonic()
                assert loop.decide("op").deployment == "a"
                loop.record(Run("a", "op", "ok", 0.1))
                slowest_s = max(slowest_s, time.monotonic() - start_s)
                n_recorded += 1
                time.sleep(0.0005)  # as fast as an application may be that does something else as well
            assert loop.flush(timeout_s=0.1) is False
        assert slowest_s < 1.0  # nobody waited for Redis, which hung for twice as long
        until(lambda: loop.flush(timeout_s=1), "the commit of what was kept")
        kept = [e for _, e in loop.store.log.read() if isinstance(e.body, Run)]
        dropped = loop.counters["events_uncommitted"]
        assert len(kept) < n_recorded <= len(kept) + dropped  # decisions are among what was dropped
        assert loop.stats(by=())[0].n_runs == n_recorded  # sums are small: they were all kept
        loop.close()


def test_a_password_that_was_changed_stops_nobody_and_is_told(redis_program: str, tmp_path: Path) -> None:
    rights = ("on", "~hive:*", "&hive:*", "+@all", "-@dangerous")
    with running(redis_program, tmp_path, *AOF) as server:
        server.cli("ACL", "SETUSER", "app", ">first", *rights)
        loop = FeedbackLoop(store=server.url(user="app:first@"), deployments=[Deployment("a")])
        loop.record(Run("a", "op", "ok", 0.1))
        assert loop.flush(timeout_s=10)
        server.cli("ACL", "SETUSER", "app", "resetpass", ">second")
        server.cli("CLIENT", "KILL", "USER", "app")
        for _ in range(10):
            assert loop.decide("op").deployment == "a"
            loop.record(Run("a", "op", "ok", 0.1))
        until(lambda: loop.counters["store_errors"] > 0, "the refusal")
        with pytest.raises(StoreUnreachableError, match="refuses the user or the password") as caught:
            loop.store.log.count()
        assert "first" not in str(caught.value)
        server.cli("ACL", "SETUSER", "app", ">first")
        until(lambda: loop.flush(timeout_s=1), "the commit of what was kept")
        assert sum(isinstance(e.body, Run) for _, e in loop.store.log.read()) == 11
        loop.close()


def test_a_node_that_is_gone_is_told_and_its_shard_is_used_again_when_it_is_back(
    redis_program: str, tmp_path: Path
) -> None:
    with cluster(redis_program, tmp_path, *AOF) as nodes:
        store = RedisStore(f"redis://127.0.0.1:{nodes[0].port}?cluster=true&shards=3", timeout_s=1.0)
        producers = [f"p{n}" for n in range(9)]
        for producer in producers:
            store.commit(commit_of(1, [run_event(1, producer=producer)], producer=producer))
        nodes[2].kill()
        commits = [commit_of(2, [run_event(2, producer=producer)], producer=producer) for producer in producers]
        waiting = [commit for commit in commits if not _tried(store, commit)]
        assert waiting  # those whose shard lies there
        with pytest.raises(StoreUnreachableError):
            store.log.count()
        nodes[2].start()
        for commit in waiting:
            until(partial(_tried, store, commit), "the shard that is back")
        until(lambda: store.log.count() == n_runs(store) == 18, "all nodes")
        store.close()


def test_a_server_that_is_not_there_is_told_with_the_remedy() -> None:
    with pytest.raises(StoreUnreachableError, match=r"redis://127\.0\.0\.1:\d+/0\?name=main cannot be reached"):
        RedisStore(f"redis://127.0.0.1:{free_port()}/0?name=main")
    with pytest.raises(StoreUnreachableError, match="cannot be reached"):
        RedisStore("redis://host.invalid:6379")


# --- an answer gets lost --------------------------------------------------------------------------


class _Lossy:
    """Stands between a store and Redis, and can lose the next answer."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port, self._target = self._server.getsockname()[1], port
        self.loses_next = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._server.accept()
            except OSError:
                return
            theirs = socket.create_connection(("127.0.0.1", self._target))
            self._open += [ours, theirs]
            for source, sink, is_answer in ((ours, theirs, False), (theirs, ours, True)):
                thread = threading.Thread(target=self._pass_on, args=(source, sink, is_answer), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                if is_answer and self.loses_next:
                    self.loses_next = False
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in self._open:
            each.close()


@pytest.fixture
def lossy(redis_server: RedisServer) -> Iterator[_Lossy]:
    lossy = _Lossy(redis_server.port)
    yield lossy
    lossy.close()


def test_what_redis_did_without_its_answer_arriving_is_done_once(lossy: _Lossy, tmp_path: Path) -> None:
    store = RedisStore(f"redis://127.0.0.1:{lossy.port}/0?name={name_of(tmp_path)}")
    entry = JournalEntry(at_s=T0, state="edited")
    calls: list[Callable[[], object]] = [
        lambda: store.commit(commit_of(1, [run_event(1)])),
        lambda: store.journal.append(entry, expected_head=0),
        lambda: store.state.put(Record("n", "k", b"1"), expected=0),
        lambda: store.config.acquire("me", length_s=10),
    ]
    for call in calls:
        store.log.count()  # opens the connection
        lossy.loses_next = True
        call()
        assert not lossy.loses_next
    assert store.log.count() == n_runs(store) == 1
    assert [e.seq for e in store.journal.read()] == [1]
    assert [r.version for r in store.state.list("n")] == [1]
    with pytest.raises(ConflictError):
        store.journal.append(entry, expected_head=0)  # the same content, but another append
    with pytest.raises(ConflictError):
        store.state.put(Record("n", "k", b"1"), expected=0)
    store.close()

"""The Redis store where the server, its data or another program is in the way."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.control.keeper import JournalKeeper
from hivefeedback.errors import (
    ClosedError,
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    MissingExtraError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
)
from hivefeedback.hooks import CarriedJournal, Commit, FollowedAggregates, Record, Selector, Store
from hivefeedback.model import JournalEntry, PutDeployment
from hivefeedback.stats import Window
from hivefeedback.testing.store_samples import T0, commit_of, delta_of, feedback_event, run_event
from hivefeedback_stores.bodies import hash_of
from hivefeedback_stores.plugin import StoresPlugin
from hivefeedback_stores.redis import RedisStore
from hivefeedback_stores.redis_url import address_of
from tests.plugins.redis_servers import INSTALL, RedisServer, free_port, name_of, running, until
from tests.plugins.test_stores_processes import FORKER, RESTLESS, WRITER

AOF = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(scope="module")
def program(skip_or_fail: Callable[[str, str], str]) -> str:
    return skip_or_fail("redis-server", INSTALL)


@pytest.fixture(scope="module")
def server(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for tests that do no harm to it."""
    with running(program, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def url(server: RedisServer, tmp_path: Path) -> str:
    return server.url(name_of(tmp_path))


@pytest.fixture
def store(url: str) -> Iterator[RedisStore]:
    store = RedisStore(url)
    yield store
    store.close()


def _key(tmp_path: Path, part: str) -> str:
    return f"hive:{{{name_of(tmp_path)}:0}}:{part}"


def _n_runs(store: Store) -> int:
    return store.aggregates.read(from_s=T0 - 86_400, to_s=T0 + 86_400).coverage.n_runs


def _fill(store: Store) -> None:
    store.commit(commit_of(1, [run_event(1), run_event(2)], records=[Record("n", "k", b"v")]))
    store.journal.append(JournalEntry(at_s=T0, state="edited", why=store.journal.put_body("why")), expected_head=0)


def _is_whole(store: Store) -> bool:
    (entry,) = store.journal.read()
    return store.log.count() == _n_runs(store) == 2 and store.journal.body(entry.why) == "why"


# --- Redis stops ----------------------------------------------------------------------------------


def test_what_was_committed_outlives_a_power_cut_with_an_append_only_file(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path, *AOF) as server:
        store = RedisStore(server.url())
        _fill(store)
        assert isinstance(store.aggregates, FollowedAggregates)
        mark = store.aggregates.changes(after="", from_s=0.0).mark
        server.kill()
        server.start()
        assert _is_whole(store)
        store.commit(commit_of(1, [run_event(1), run_event(2)]))
        assert _is_whole(store)
        assert store.aggregates.changes(after=mark, from_s=0.0).is_whole  # it might have lost what came last
        store.close()


def test_a_server_that_lost_everything_is_filled_anew_and_says_so(
    program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(program, tmp_path) as server:
        store = RedisStore(server.url())
        _fill(store)
        assert isinstance(store.aggregates, FollowedAggregates)
        mark = store.aggregates.changes(after="", from_s=0.0).mark
        server.kill()
        server.start()
        assert (store.log.count(), store.journal.head(), _n_runs(store)) == (0, 0, 0)
        assert store.state.get("n", "k") is None
        with caplog.at_level(logging.ERROR):
            store.commit(commit_of(2, [run_event(3)]))
        assert "lost the store" in caplog.text
        _fill(store)  # commit 1 comes again, though it was applied before
        assert store.log.count() == _n_runs(store) == 3
        assert store.journal.head() == 1
        assert store.journal.body(store.journal.put_body("x")) == "x"
        assert store.aggregates.changes(after=mark, from_s=0.0).is_whole
        store.close()


def test_commits_that_are_repeated_over_restarts_count_once(program: str, tmp_path: Path) -> None:
    n_commits, n_processes, done = 60, 3, list[str]()
    with running(program, tmp_path, *AOF) as server:
        store = RedisStore(server.url())

        def commits(name: str) -> None:
            ours = RedisStore(server.url())
            for n in range(1, n_commits + 1):
                until(lambda n=n: _tried(ours, commit_of(n, [run_event(n, producer=name)], producer=name)), "a commit")
            ours.close()
            done.append(name)

        threads = [threading.Thread(target=commits, args=(f"p{i}",)) for i in range(n_processes)]
        for thread in threads:
            thread.start()
        for n in (10, 60, 120):
            until(lambda n=n: _counted(store) >= n, f"{n} commits")
            server.kill()
            server.start()
        for thread in threads:
            thread.join()
        assert len(done) == n_processes
        assert store.log.count() == _n_runs(store) == n_commits * n_processes
        assert list(store.check()) == []
        store.close()


def _tried(store: Store, commit: Commit) -> bool:
    try:
        store.commit(commit)
    except StoreUnreachableError:
        return False
    return True


def _counted(store: Store) -> int:
    try:
        return store.log.count()
    except StoreUnreachableError:
        return 0


def test_whoever_saw_entries_that_a_failover_lost_reads_the_journal_anew(
    server: RedisServer, store: RedisStore, url: str, tmp_path: Path
) -> None:
    ours, theirs = RedisStore(url), RedisStore(url)
    for head in range(3):
        ours.journal.append(JournalEntry(at_s=T0, state="edited", by=f"ours {head}"), expected_head=head)
    readers = [ours, store]
    assert [len(each.journal.read()) for each in readers] == [3, 3]
    server.cli("RPOP", _key(tmp_path, "journal"))
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


def test_a_process_whose_promotion_was_lost_serves_what_is_in_the_journal(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path, *AOF) as server:
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


def test_a_server_that_is_gone_is_told_at_once_and_found_again_by_itself(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path, *AOF) as server:
        store = RedisStore(server.url())
        _fill(store)
        server.stop()
        for call in (store.log.count, store.journal.head, lambda: store.commit(commit_of(2, [run_event(3)]))):
            with pytest.raises(StoreUnreachableError, match=r"127\.0\.0\.1:\d+.*cannot be reached.*check that Redis"):
                call()
        server.start()
        store.commit(commit_of(2, [run_event(3)]))
        assert store.log.count() == _n_runs(store) == 3
        store.close()


def test_a_loop_serves_on_while_redis_is_gone_and_then_commits_what_it_kept(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path, *AOF) as server:
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
def lossy(server: RedisServer) -> Iterator[_Lossy]:
    lossy = _Lossy(server.port)
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
    assert store.log.count() == _n_runs(store) == 1
    assert [e.seq for e in store.journal.read()] == [1]
    assert [r.version for r in store.state.list("n")] == [1]
    with pytest.raises(ConflictError):
        store.journal.append(entry, expected_head=0)  # the same content, but another append
    with pytest.raises(ConflictError):
        store.state.put(Record("n", "k", b"1"), expected=0)
    store.close()


# --- who may come in ------------------------------------------------------------------------------


def test_wrong_credentials_are_told_and_never_shown(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path, "--requirepass", "s3cret") as server:
        RedisStore(server.url(user=":s3cret@")).close()
        with pytest.raises(StoreUnreachableError, match="asks for a password"):
            RedisStore(server.url())
        with pytest.raises(StoreUnreachableError, match="refuses the user or the password") as caught:
            RedisStore(server.url(user="me:wr0ng@"))
        assert "wr0ng" not in str(caught.value)


def test_a_user_of_the_stores_own_keys_and_no_dangerous_commands_is_enough(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path) as server:
        server.cli("ACL", "SETUSER", "hive", "on", ">pw", "~hive:*", "+@all", "-@dangerous")
        server.cli("ACL", "SETUSER", "poor", "on", ">pw", "~hive:*", "+@read")
        store = RedisStore(server.url(user="hive:pw@"))
        _fill(store)
        assert _is_whole(store)
        assert isinstance(store.aggregates, FollowedAggregates)
        mark = store.aggregates.changes(after="", from_s=0.0).mark
        assert not store.aggregates.changes(after=mark, from_s=0.0).is_whole
        store.close()
        with pytest.raises(StoreUnreachableError, match=r"may not do what a store needs; allow it: ACL SETUSER"):
            RedisStore(server.url(user="poor:pw@"))


def test_tls_is_used_and_the_certificate_is_checked(
    program: str, skip_or_fail: Callable[[str, str], str], tmp_path: Path
) -> None:
    openssl = skip_or_fail("openssl", "apt-get install -y openssl")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test")
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate))
    subprocess.run([openssl, *made, *names], check=True, capture_output=True)
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running(program, tmp_path, *tls, "--tls-auth-clients", "no"):
        store = RedisStore(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
        _fill(store)
        assert _is_whole(store)
        store.close()
        with pytest.raises(StoreUnreachableError, match="certificate verify failed"):
            RedisStore(f"rediss://127.0.0.1:{port}/0")


def test_a_replica_takes_no_writes_and_says_so(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path) as server:
        store = RedisStore(server.url())
        server.cli("REPLICAOF", "127.0.0.1", str(free_port()))
        with pytest.raises(StoreUnreachableError, match="replica"):
            store.commit(commit_of(1, [run_event(1)]))
        server.cli("REPLICAOF", "NO", "ONE")
        store.commit(commit_of(1, [run_event(1)]))
        assert store.log.count() == 1
        store.close()


def test_a_full_memory_loses_nothing_that_is_tried_again(program: str, tmp_path: Path) -> None:
    with running(program, tmp_path) as server:
        store = RedisStore(server.url())
        store.commit(commit_of(1, [run_event(1)]))
        server.cli("CONFIG", "SET", "maxmemory", "1000000")
        big = commit_of(2, [run_event(2), feedback_event(3, comment="x" * 100_000)])
        with pytest.raises(StoreUnreachableError, match=r"memory is full; raise maxmemory"):
            store.commit(big)
        assert store.log.count() == _n_runs(store) == 1
        server.cli("CONFIG", "SET", "maxmemory", "0")
        store.commit(big)
        assert (store.log.count(), _n_runs(store)) == (3, 2)
        store.close()


def test_settings_that_lose_data_are_warned_of(program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(program, tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        RedisStore(server.url()).close()
        assert "appendonly yes" in caplog.text
        assert "maxmemory-policy noeviction" in caplog.text
        caplog.clear()
        for setting in (("maxmemory", "0"), ("appendonly", "yes")):
            server.cli("CONFIG", "SET", *setting)
        RedisStore(server.url()).close()
        assert caplog.text == ""


def test_a_server_and_a_cluster_are_not_mistaken_for_each_other(
    program: str, server: RedisServer, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnreachableError, match=r"is no Cluster; leave \?cluster=true away"):
        RedisStore(server.url(options="&cluster=true"))
    with running(program, tmp_path, "--cluster-enabled", "yes") as node:
        with pytest.raises(StoreUnreachableError, match="Cluster is down"):
            RedisStore(node.url())
        node.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: "cluster_state:ok" in node.cli("CLUSTER", "INFO"), "the Cluster")
        node.cli("CLUSTER", "SETSLOT", node.cli("CLUSTER", "KEYSLOT", "main:0"), "NODE", node.cli("CLUSTER", "MYID"))
        RedisStore(node.url()).close()


# --- what lies there ------------------------------------------------------------------------------


def test_keys_of_another_program_are_refused_by_name_and_left_alone(
    server: RedisServer, url: str, tmp_path: Path
) -> None:
    server.cli("SET", "cache:1", "theirs")
    for part, command in (("meta", "SET"), ("journal", "SET"), ("events", "RPUSH")):
        key = _key(tmp_path, part)
        server.cli(command, key, "theirs")
        for read_only in (False, True):
            with pytest.raises(StoreCorruptError, match=rf"holds a key '{key}'.*another program".replace("{", r"\{")):
                RedisStore(url, read_only=read_only)
        assert server.cli("TYPE", key) == {"SET": "string", "RPUSH": "list"}[command]
        server.cli("DEL", key)
    server.cli("RPUSH", _key(tmp_path, "journal"), "of the right type, but without a store around it")
    with pytest.raises(StoreCorruptError, match="journal"):
        RedisStore(url)
    server.cli("DEL", _key(tmp_path, "journal"))
    RedisStore(url).close()
    assert server.cli("GET", "cache:1") == "theirs"


def test_a_key_that_another_program_took_meanwhile_refuses_commits_whole(
    server: RedisServer, store: RedisStore, tmp_path: Path
) -> None:
    server.cli("SET", _key(tmp_path, "deltas"), "theirs")
    with pytest.raises(StoreCorruptError, match="deltas"):
        store.commit(commit_of(1, [run_event(1)]))
    assert store.log.count() == 0
    server.cli("DEL", _key(tmp_path, "deltas"))
    store.commit(commit_of(1, [run_event(1)]))
    assert store.log.count() == _n_runs(store) == 1


def test_a_store_of_a_newer_version_is_refused_also_where_it_is_open(
    server: RedisServer, store: RedisStore, url: str, tmp_path: Path
) -> None:
    server.cli("HSET", _key(tmp_path, "meta"), "schema", "99")
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match=r"newer hivefeedback \(schema 99\)"):
            RedisStore(url, read_only=read_only)
    with pytest.raises(StoreVersionError):
        store.commit(commit_of(1, [run_event(1)]))


def test_a_check_names_what_cannot_be_read(server: RedisServer, store: RedisStore, tmp_path: Path) -> None:
    _fill(store)
    assert list(store.check()) == []
    server.cli("HSET", _key(tmp_path, "events"), "2", "xxxxxxxx{}")
    server.cli("RPUSH", _key(tmp_path, "journal"), "xxxxxxxx{")
    said = store.check()
    assert any("journal entry" in s for s in said)
    assert any("position 2" in s for s in said)
    with pytest.raises(StoreCorruptError, match="position 2"):
        store.log.read()


def test_a_store_opened_for_reading_reads_what_others_write_and_refuses_writes(store: RedisStore, url: str) -> None:
    reader = RedisStore(url, read_only=True)
    _fill(store)
    assert _is_whole(reader)
    writes: list[Callable[[], object]] = [
        lambda: reader.commit(commit_of(2)),
        lambda: reader.journal.put_body("x"),
        lambda: reader.state.put(Record("n", "k", b"")),
        lambda: reader.log.erase(Selector(deployment="a")),
    ]
    for write in writes:
        with pytest.raises(StoreUnreachableError, match="reading only"):
            write()
    reader.close()


def test_opening_for_reading_makes_no_store(server: RedisServer, url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="holds no store of that name"):
        RedisStore(url, read_only=True)
    assert server.cli("EXISTS", _key(tmp_path, "meta")) == "0"


def test_a_commit_with_a_text_that_is_no_unicode_is_refused_whole(store: RedisStore) -> None:
    with pytest.raises(InvalidInputError, match="surrogate"):
        store.commit(commit_of(1, [run_event(1), feedback_event(2, comment="\ud800")]))
    with pytest.raises(InvalidInputError, match="surrogate"):
        store.commit(commit_of(1, [run_event(1)], records=[Record("n", "\ud800", b"")]))
    with pytest.raises(InvalidInputError, match="64 bits"):
        store.commit(commit_of(1, [run_event(1 << 70)]))
    store.commit(commit_of(1, [run_event(1)]))
    assert store.log.count() == _n_runs(store) == 1


def test_nothing_is_left_of_what_was_erased_or_is_too_old(
    server: RedisServer, store: RedisStore, tmp_path: Path
) -> None:
    events = [run_event(n, at_s=T0 + n, session_id=f"s{n % 2}", trace_id=f"t{n}") for n in range(1, 2500)]
    store.commit(commit_of(1, events))
    assert store.log.erase(Selector(session="s0")) == 1249
    assert server.cli("ZCARD", _key(tmp_path, "joins")) == str(3 * 1250)
    assert store.log.retain(before_s=T0 + 2000) == 1000
    assert store.log.retain(before_s=T0 + 2000) == 0
    assert [p for p, _ in store.log.read(limit=2)] == [2001, 2003]
    assert store.log.retain(before_s=T0 + 9999) == 250
    for part in ("events", "joins", "blocks"):
        assert server.cli("EXISTS", _key(tmp_path, part)) == "0"
    store.commit(commit_of(2, [run_event(3000)]))
    assert [p for p, _ in store.log.read()] == [2500]


def test_texts_get_the_salt_that_another_process_has_taken_over(store: RedisStore, url: str) -> None:
    other = RedisStore(url)
    assert isinstance(other.journal, CarriedJournal)
    other.journal.adopt("another salt", [])
    name = store.journal.put_body("why")
    assert name == other.journal.put_body("why") == hash_of("why", "another salt")
    assert list(other.journal.bodies()) == [(name, "why")]
    other.close()


# --- many at once ---------------------------------------------------------------------------------


def test_commits_folds_compactions_and_erasures_at_once_lose_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivefeedback_stores.redis_commit.FOLD_AT", 3)
    monkeypatch.setattr("hivefeedback_stores.redis_cells._BUCKETS_AT_ONCE", 1)
    n_commits, errors, is_done = 40, list[BaseException](), threading.Event()

    def guarded(job: Callable[[RedisStore], None]) -> Callable[[], None]:
        def run() -> None:
            store = RedisStore(url)
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
    store = RedisStore(url)
    store.log.erase(Selector(session="gone"))
    left = [e for _, e in store.log.read()]
    assert len(left) == 3 * n_commits * 3 // 4
    view = store.aggregates.read(from_s=0.0, to_s=T0 + 1e6)
    assert view.coverage.n_runs == len(left)
    counted = delta_of(left)
    assert sum(s.cell.n_all for s in view.slices) == sum(c.n_all for c in counted.cells.values())
    assert isinstance(store.aggregates, FollowedAggregates)
    window.take_in(store.aggregates.changes(after=window.mark, from_s=0.0), from_s=0.0)
    assert window.view(0.0, T0 + 1e6).coverage.n_runs == len(left)
    store.close()


def _start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_processes_that_write_at_once_lose_nothing_to_each_other(store: RedisStore, url: str) -> None:
    for writer in [_start(WRITER, url, f"p{i}", "30") for i in range(2)]:
        _finish(writer)
    record = store.state.get("n", "count")
    assert record is not None
    assert int(record.value) == record.version == 60
    assert [e.seq for e in store.journal.read()] == list(range(1, 61))
    assert store.log.count() == _n_runs_ever(store) == 300
    assert list(store.check()) == []


def test_a_process_killed_between_and_within_commits_leaves_whole_commits_only(store: RedisStore, url: str) -> None:
    n_said = 0
    for trial, n_lines in enumerate((1, 8, 15)):
        process = _start(RESTLESS, url, f"p{trial}")
        assert process.stdout is not None
        for _ in range(n_lines):
            assert process.stdout.readline()
        process.kill()
        rest, _ = process.communicate(timeout=60)
        n_said += n_lines + len(rest.splitlines())
        n_events = store.log.count()
        assert n_events % 5 == 0
        assert n_events >= 5 * n_said
        assert _n_runs_ever(store) == n_events
        n_said = n_events // 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_parent_and_child_both_go_on_after_a_fork(store: RedisStore, url: str) -> None:
    _finish(_start(FORKER, url, "parent"))
    assert store.log.count() == _n_runs_ever(store) == 25


def _n_runs_ever(store: Store) -> int:
    return store.aggregates.read(from_s=0, to_s=4e9).coverage.n_runs


# --- the URL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        "redis://",
        "redis:///0",
        "http://host",
        "redis://host:99999",
        "redis://host/x",
        "redis://host?colour=red",
        "redis://host?name=a{b}",
        "redis://host?name=",
        "redis://host?cluster=perhaps",
        "redis://host#x",
    ],
)
def test_a_url_that_names_no_redis_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError):
        RedisStore(bad)


def test_the_password_is_in_no_message() -> None:
    for url in ("redis://me:pa%40ss@host?nope=1", "redis://:pa%40ss@host:x", "redis://me:p@a@ss@host?name=?"):
        with pytest.raises(ConfigurationError) as caught:
            RedisStore(url)
        assert "ss@" not in str(caught.value)
    address = address_of("rediss://me:secret@host?name=x&cluster=yes&ssl_cert_reqs=none")
    assert address.shown == "rediss://***@host?name=x&cluster=yes&ssl_cert_reqs=none"
    assert address.server == "rediss://me:secret@host?ssl_cert_reqs=none"
    assert address.name == "x"
    assert address.is_cluster


def test_stores_of_two_names_on_one_server_know_nothing_of_each_other(server: RedisServer, tmp_path: Path) -> None:
    stores = [RedisStore(server.url(f"{name_of(tmp_path)}.{n}")) for n in range(2)]
    stores[0].commit(commit_of(1, [run_event(1)]))
    assert [s.log.count() for s in stores] == [1, 0]
    for store in stores:
        store.close()
        with pytest.raises(ClosedError, match=r"store redis://.*was closed"):
            store.log.count()


def test_the_plugin_opens_both_schemes(url: str) -> None:
    factories = StoresPlugin().hive_stores()
    store = factories["redis"](url)
    assert store.url == url
    assert store.journal.head() == 0
    store.close()
    assert factories["rediss"] is factories["redis"]


def test_without_its_extra_the_store_says_which_one_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hivefeedback\[redis\]'"):
        RedisStore("redis://localhost")

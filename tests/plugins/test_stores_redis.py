"""The Redis store: who may come in, what lies there, how it is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hivefeedback.errors import (
    ClosedError,
    ConfigurationError,
    InvalidInputError,
    MissingExtraError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
)
from hivefeedback.hooks import CarriedJournal, FollowedAggregates, Record, Selector
from hivefeedback.testing.store_samples import T0, commit_of, feedback_event, run_event
from hivefeedback_stores.bodies import hash_of
from hivefeedback_stores.plugin import StoresPlugin
from hivefeedback_stores.redis import RedisStore
from hivefeedback_stores.redis_url import address_of
from tests.plugins.redis_servers import (
    RedisServer,
    fill,
    free_port,
    is_whole,
    key_of,
    n_runs,
    name_of,
    running,
    until,
)

# --- who may come in ------------------------------------------------------------------------------


def test_wrong_credentials_are_told_and_never_shown(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, "--requirepass", "s3cret") as server:
        RedisStore(server.url(user=":s3cret@")).close()
        with pytest.raises(StoreUnreachableError, match="asks for a password"):
            RedisStore(server.url())
        with pytest.raises(StoreUnreachableError, match="refuses the user or the password") as caught:
            RedisStore(server.url(user="me:wr0ng@"))
        assert "wr0ng" not in str(caught.value)


def test_a_user_of_the_stores_own_keys_and_no_dangerous_commands_is_enough(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path) as server:
        server.cli("ACL", "SETUSER", "hive", "on", ">pw", "~hive:*", "+@all", "-@dangerous")
        server.cli("ACL", "SETUSER", "poor", "on", ">pw", "~hive:*", "+@read")
        store = RedisStore(server.url(user="hive:pw@"))
        fill(store)
        assert is_whole(store)
        assert isinstance(store.aggregates, FollowedAggregates)
        mark = store.aggregates.changes(after="", from_s=0.0).mark
        assert not store.aggregates.changes(after=mark, from_s=0.0).is_whole
        store.close()
        with pytest.raises(StoreUnreachableError, match=r"may not do what a store needs; allow it: ACL SETUSER"):
            RedisStore(server.url(user="poor:pw@"))


def test_tls_is_used_and_the_certificate_is_checked(
    redis_program: str, skip_or_fail: Callable[[str, str], str], tmp_path: Path
) -> None:
    openssl = skip_or_fail("openssl", "apt-get install -y openssl")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test")
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate))
    subprocess.run([openssl, *made, *names], check=True, capture_output=True)
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running(redis_program, tmp_path, *tls, "--tls-auth-clients", "no"):
        store = RedisStore(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
        fill(store)
        assert is_whole(store)
        store.close()
        with pytest.raises(StoreUnreachableError, match="certificate verify failed"):
            RedisStore(f"rediss://127.0.0.1:{port}/0")


def test_a_replica_takes_no_writes_and_says_so(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path) as server:
        store = RedisStore(server.url())
        server.cli("REPLICAOF", "127.0.0.1", str(free_port()))
        with pytest.raises(StoreUnreachableError, match="replica"):
            store.commit(commit_of(1, [run_event(1)]))
        server.cli("REPLICAOF", "NO", "ONE")
        store.commit(commit_of(1, [run_event(1)]))
        assert store.log.count() == 1
        store.close()


def test_a_full_memory_loses_nothing_that_is_tried_again(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path) as server:
        store = RedisStore(server.url())
        store.commit(commit_of(1, [run_event(1)]))
        server.cli("CONFIG", "SET", "maxmemory", "1000000")
        big = commit_of(2, [run_event(2), feedback_event(3, comment="x" * 100_000)])
        with pytest.raises(StoreUnreachableError, match=r"memory is full; raise maxmemory"):
            store.commit(big)
        assert store.log.count() == n_runs(store) == 1
        server.cli("CONFIG", "SET", "maxmemory", "0")
        store.commit(big)
        assert (store.log.count(), n_runs(store)) == (3, 2)
        store.close()


def test_settings_that_lose_data_are_warned_of(
    redis_program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(redis_program, tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        RedisStore(server.url()).close()
        assert "appendonly yes" in caplog.text
        assert "maxmemory-policy noeviction" in caplog.text
        caplog.clear()
        for setting in (("maxmemory", "0"), ("appendonly", "yes")):
            server.cli("CONFIG", "SET", *setting)
        RedisStore(server.url()).close()
        assert caplog.text == ""


def test_a_server_and_a_cluster_are_not_mistaken_for_each_other(
    redis_program: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnreachableError, match=r"is no Cluster; leave \?cluster=true away"):
        RedisStore(redis_server.url(options="&cluster=true"))
    with running(redis_program, tmp_path, "--cluster-enabled", "yes") as node:
        with pytest.raises(StoreUnreachableError, match="Cluster is down"):
            RedisStore(node.url())
        node.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: "cluster_state:ok" in node.cli("CLUSTER", "INFO"), "the Cluster")
        node.cli("CLUSTER", "SETSLOT", node.cli("CLUSTER", "KEYSLOT", "main:0"), "NODE", node.cli("CLUSTER", "MYID"))
        RedisStore(node.url()).close()


# --- what lies there ------------------------------------------------------------------------------


def test_keys_of_another_program_are_refused_by_name_and_left_alone(
    redis_server: RedisServer, redis_url: str, tmp_path: Path
) -> None:
    redis_server.cli("SET", "cache:1", "theirs")
    for part, command in (("meta", "SET"), ("journal", "SET"), ("events", "RPUSH")):
        key = key_of(tmp_path, part)
        redis_server.cli(command, key, "theirs")
        for read_only in (False, True):
            with pytest.raises(StoreCorruptError, match=rf"holds a key '{key}'.*another program".replace("{", r"\{")):
                RedisStore(redis_url, read_only=read_only)
        assert redis_server.cli("TYPE", key) == {"SET": "string", "RPUSH": "list"}[command]
        redis_server.cli("DEL", key)
    redis_server.cli("RPUSH", key_of(tmp_path, "journal"), "of the right type, but without a store around it")
    with pytest.raises(StoreCorruptError, match="journal"):
        RedisStore(redis_url)
    redis_server.cli("DEL", key_of(tmp_path, "journal"))
    RedisStore(redis_url).close()
    assert redis_server.cli("GET", "cache:1") == "theirs"


def test_a_key_that_another_program_took_meanwhile_refuses_commits_whole(
    redis_server: RedisServer, redis_store: RedisStore, tmp_path: Path
) -> None:
    redis_server.cli("SET", key_of(tmp_path, "deltas"), "theirs")
    with pytest.raises(StoreCorruptError, match="deltas"):
        redis_store.commit(commit_of(1, [run_event(1)]))
    assert redis_store.log.count() == 0
    redis_server.cli("DEL", key_of(tmp_path, "deltas"))
    redis_store.commit(commit_of(1, [run_event(1)]))
    assert redis_store.log.count() == n_runs(redis_store) == 1


def test_a_store_of_a_newer_version_is_refused_also_where_it_is_open(
    redis_server: RedisServer, redis_store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    redis_server.cli("HSET", key_of(tmp_path, "meta"), "schema", "99")
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match=r"newer hivefeedback \(schema 99\)"):
            RedisStore(redis_url, read_only=read_only)
    with pytest.raises(StoreVersionError):
        redis_store.commit(commit_of(1, [run_event(1)]))


def test_a_check_names_what_cannot_be_read(redis_server: RedisServer, redis_store: RedisStore, tmp_path: Path) -> None:
    fill(redis_store)
    assert list(redis_store.check()) == []
    redis_server.cli("HSET", key_of(tmp_path, "events"), "2", "xxxxxxxx{}")
    redis_server.cli("RPUSH", key_of(tmp_path, "journal"), "xxxxxxxx{")
    said = redis_store.check()
    assert any("journal entry" in s for s in said)
    assert any("position 2" in s for s in said)
    with pytest.raises(StoreCorruptError, match="position 2"):
        redis_store.log.read()


def test_a_store_opened_for_reading_reads_what_others_write_and_refuses_writes(
    redis_store: RedisStore, redis_url: str
) -> None:
    reader = RedisStore(redis_url, read_only=True)
    fill(redis_store)
    assert is_whole(reader)
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


def test_opening_for_reading_makes_no_store(redis_server: RedisServer, redis_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="holds no store of that name"):
        RedisStore(redis_url, read_only=True)
    assert redis_server.cli("EXISTS", key_of(tmp_path, "meta")) == "0"


def test_a_commit_with_a_text_that_is_no_unicode_is_refused_whole(redis_store: RedisStore) -> None:
    with pytest.raises(InvalidInputError, match="surrogate"):
        redis_store.commit(commit_of(1, [run_event(1), feedback_event(2, comment="\ud800")]))
    with pytest.raises(InvalidInputError, match="surrogate"):
        redis_store.commit(commit_of(1, [run_event(1)], records=[Record("n", "\ud800", b"")]))
    with pytest.raises(InvalidInputError, match="64 bits"):
        redis_store.commit(commit_of(1, [run_event(1 << 70)]))
    redis_store.commit(commit_of(1, [run_event(1)]))
    assert redis_store.log.count() == n_runs(redis_store) == 1


def test_nothing_is_left_of_what_was_erased_or_is_too_old(
    redis_server: RedisServer, redis_store: RedisStore, tmp_path: Path
) -> None:
    events = [run_event(n, at_s=T0 + n, session_id=f"s{n % 2}", trace_id=f"t{n}") for n in range(1, 2500)]
    redis_store.commit(commit_of(1, events))
    assert redis_store.log.erase(Selector(session="s0")) == 1249
    assert redis_server.cli("ZCARD", key_of(tmp_path, "joins")) == str(3 * 1250)
    assert redis_store.log.retain(before_s=T0 + 2000) == 1000
    assert redis_store.log.retain(before_s=T0 + 2000) == 0
    assert [p for p, _ in redis_store.log.read(limit=2)] == [2001, 2003]
    assert redis_store.log.retain(before_s=T0 + 9999) == 250
    for part in ("events", "joins", "blocks"):
        assert redis_server.cli("EXISTS", key_of(tmp_path, part)) == "0"
    redis_store.commit(commit_of(2, [run_event(3000)]))
    assert [p for p, _ in redis_store.log.read()] == [2500]


def test_texts_get_the_salt_that_another_process_has_taken_over(redis_store: RedisStore, redis_url: str) -> None:
    other = RedisStore(redis_url)
    assert isinstance(other.journal, CarriedJournal)
    other.journal.adopt("another salt", [])
    name = redis_store.journal.put_body("why")
    assert name == other.journal.put_body("why") == hash_of("why", "another salt")
    assert list(other.journal.bodies()) == [(name, "why")]
    other.close()


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
    for url in (
        "redis://me:pa%40ss@host?nope=1",
        "redis://:pa%40ss@host:x",
        "redis://me:p@a@ss@host?name=?",
        "redis://me:pa/ss@host",
        "redis://host?password=pass@",
    ):
        with pytest.raises(ConfigurationError) as caught:
            RedisStore(url)
        assert "ss@" not in str(caught.value)
    address = address_of("rediss://me:secret@host?name=x&cluster=yes&ssl_cert_reqs=none")
    assert address.shown == "rediss://***@host?name=x&cluster=yes&ssl_cert_reqs=none"
    assert address.server == "rediss://me:secret@host?ssl_cert_reqs=none"
    assert address.name == "x"
    assert address.is_cluster


def test_stores_of_two_names_on_one_server_know_nothing_of_each_other(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    stores = [RedisStore(redis_server.url(f"{name_of(tmp_path)}.{n}")) for n in range(2)]
    stores[0].commit(commit_of(1, [run_event(1)]))
    assert [s.log.count() for s in stores] == [1, 0]
    for store in stores:
        store.close()
        with pytest.raises(ClosedError, match=r"store redis://.*was closed"):
            store.log.count()


def test_the_plugin_opens_both_schemes(redis_url: str) -> None:
    factories = StoresPlugin().hive_stores()
    store = factories["redis"](redis_url)
    assert store.url == redis_url
    assert store.journal.head() == 0
    store.close()
    assert factories["rediss"] is factories["redis"]


def test_without_its_extra_the_store_says_which_one_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hivefeedback\[redis\]'"):
        RedisStore("redis://localhost")

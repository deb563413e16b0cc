"""A Redis store of several shards is one store: nothing shows where its parts lie."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.crc import key_slot

from hivefeedback.errors import ClosedError, ConfigurationError, ConflictError, StoreCorruptError, StoreUnreachableError
from hivefeedback.hooks import Commit, FollowedAggregates, Record, Selector, Store, TrimmedLog
from hivefeedback.model import Event, JournalEntry
from hivefeedback.stats import Cell, CellKey, Delta, Window, bucket_of
from hivefeedback.testing.store_samples import T0, commit_of, delta_of, feedback_event, run_event
from hivefeedback_stores.codec import packed
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.redis import RedisStore
from hivefeedback_stores.redis_client import Argument, Link, Script, Server
from hivefeedback_stores.redis_keys import SLOTS, Keys, slot_of, tag_of
from hivefeedback_stores.redis_outbox import Outbox
from hivefeedback_stores.redis_places import shard_of
from hivefeedback_stores.redis_url import Address
from tests.plugins.redis_servers import AOF, RedisServer, cluster, n_runs, name_of, running

N = 3
PRODUCERS = [next(f"p{i}.{k}" for k in range(99) if shard_of(f"p{i}.{k}", N) == i % N) for i in range(2 * N)]
"""Two for each shard, in the order of the shards."""
HOUR = 3600


@pytest.fixture
def url(redis_url: str) -> str:
    return f"{redis_url}&shards={N}"


@pytest.fixture
def store(url: str) -> Iterator[RedisStore]:
    store = RedisStore(url)
    yield store
    store.close()


def _commit(store: Store, producer: int, number: int, n_events: int = 1, **fields: object) -> list[Event]:
    name = PRODUCERS[producer]
    events = [run_event(number * 100 + i, producer=name, **fields) for i in range(n_events)]  # type: ignore[arg-type]  # any fields
    store.commit(commit_of(number, events, producer=name))
    return events


def _key(folder: Path, shard: int, part: str) -> str:
    return Keys(name_of(folder), shard, N).prefix + part


# --- where things lie -----------------------------------------------------------------------------


def test_producers_are_spread_and_each_writes_to_one_shard(
    redis_server: RedisServer, store: RedisStore, tmp_path: Path
) -> None:
    for number in range(1, 4):
        for producer in range(2 * N):
            _commit(store, producer, number, n_events=2)
    for shard in range(N):
        assert redis_server.cli("HLEN", _key(tmp_path, shard, "events")) == "12"
        assert redis_server.cli("HLEN", _key(tmp_path, shard, "seen")) == "2"
    assert store.log.count() == n_runs(store) == 36


def test_the_number_of_shards_is_chosen_once(redis_url: str, url: str, store: RedisStore) -> None:
    _commit(store, 1, 1)
    with pytest.raises(ConfigurationError, match=r"made with shards=3, which stays; leave shards=4 away"):
        RedisStore(f"{redis_url}&shards=4")
    for again in (redis_url, url):
        other = RedisStore(again, read_only=True)
        assert other.log.count() == n_runs(other) == 1
        other.close()
    one = RedisStore(f"{redis_url}.one")
    with pytest.raises(ConfigurationError, match="made with shards=1"):
        RedisStore(f"{redis_url}.one&shards=2")
    one.close()


@pytest.mark.parametrize("bad", ["0", "65", "-1", "many", "", "²"])
def test_a_number_of_shards_that_cannot_be_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="a number from 1 to 64"):
        RedisStore(f"redis://host?shards={bad}")


def test_who_knows_one_shard_only_refuses_a_store_of_several(
    redis_server: RedisServer, store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    RedisStore(f"{redis_url}.one").close()
    assert redis_server.cli("HGET", _key(tmp_path, 0, "meta"), "schema") == "2"  # older versions know 1
    assert redis_server.cli("HGET", f"hive:{{{name_of(tmp_path)}.one:0}}:meta", "schema") == "1"


def test_a_cluster_holds_the_shards_on_several_nodes(redis_program: str, tmp_path: Path) -> None:
    with cluster(redis_program, tmp_path) as nodes:
        for n_shards in (3, 6):
            url = f"redis://127.0.0.1:{nodes[0].port}?cluster=true&name=of{n_shards}"
            store = RedisStore(f"{url}&shards={n_shards}")
            for n in range(60):
                producer = f"p{n}"
                store.commit(commit_of(1, [run_event(1, producer=producer)], producer=producer))
            assert store.log.count() == n_runs(store) == len(store.log.read()) == 60
            store.close()
            held = [node.cli("KEYS", f"hive:{{of{n_shards}:*:events").split() for node in nodes]
            assert [len(keys) for keys in held] == [n_shards // 3] * 3


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5, 12, 64])
def test_shards_lie_evenly_whatever_the_name(n_shards: int) -> None:
    for name in ("main", "shop", "x" * 64):
        slots = sorted(slot_of(tag_of(name, shard, n_shards)) for shard in range(n_shards))
        steps = [(b - a) % SLOTS for a, b in zip(slots, slots[1:] + slots[:1], strict=True)]
        assert n_shards == 1 or all(abs(step - SLOTS / n_shards) < 40 for step in steps)
        assert key_slot(tag_of(name, 0, n_shards).encode()) == slot_of(tag_of(name, 0, n_shards))


# --- the order of the log -------------------------------------------------------------------------


def test_what_was_read_is_complete_though_one_shard_is_behind_the_others(store: RedisStore, url: str) -> None:
    theirs = RedisStore(url)
    _commit(store, 0, 1, n_events=50)
    first = store.log.read()
    assert len(first) == 50
    _commit(theirs, 1, 1)  # the first of its shard, by somebody who has read nothing
    rest = store.log.read(after=first[-1][0])
    assert [e.producer for _, e in rest] == [PRODUCERS[1]]
    assert rest[0][0] > first[-1][0]
    theirs.close()


def test_a_reader_who_goes_on_where_it_stopped_misses_nothing_and_sees_nothing_twice(
    store: RedisStore, url: str
) -> None:
    rng, theirs, after = random.Random(1), RedisStore(url), 0
    numbers = [0] * len(PRODUCERS)
    made: list[str] = []
    seen: list[tuple[int, Event]] = []
    for _ in range(120):
        producer = rng.randrange(len(PRODUCERS))
        numbers[producer] += 1
        events = _commit(rng.choice((store, theirs)), producer, numbers[producer], n_events=rng.randrange(1, 9))
        made += [event.event_id for event in events]
        if rng.random() < 0.3:
            page = store.log.read(after=after, limit=rng.choice((1, 3, 1000)))
            seen += page
            after = page[-1][0] if page else after
    while page := store.log.read(after=after, limit=7):
        seen += page
        after = page[-1][0]
    assert sorted(event.event_id for _, event in seen) == sorted(made)
    assert [p for p, _ in seen] == sorted(p for p, _ in seen)
    for name in PRODUCERS:
        assert [e.seq for _, e in seen if e.producer == name] == sorted(e.seq for _, e in seen if e.producer == name)
    assert [(p, e.event_id) for p, e in theirs.log.read()] == [(p, e.event_id) for p, e in seen]
    theirs.close()


def test_a_process_finds_what_it_commits_behind_what_it_has_read(store: RedisStore, url: str) -> None:
    theirs = RedisStore(url)
    for producer in range(len(PRODUCERS)):
        _commit(theirs, producer, 1, n_events=1 + producer)
    for producer in reversed(range(len(PRODUCERS))):
        before = store.log.read()
        _commit(store, producer, 2)
        assert [p for p, _ in store.log.read()][:-1] == [p for p, _ in before]
    theirs.close()


def test_a_store_for_reading_only_reads_all_shards(store: RedisStore, url: str) -> None:
    for producer in range(N):
        _commit(store, producer, 1, n_events=producer + 1)
    reader = RedisStore(url, read_only=True)
    assert len(reader.log.read()) == 6
    reader.close()


def test_what_is_too_old_leaves_every_shard_and_the_rest_stays(store: RedisStore) -> None:
    for producer in range(len(PRODUCERS)):
        for number in range(1, 30):
            _commit(store, producer, number, at_s=T0 + number)
    assert isinstance(store.log, TrimmedLog)
    older = store.log.older(before_s=T0 + 10, limit=20)
    rest = store.log.older(before_s=T0 + 10, after=older[-1][0])
    assert len(older) == 20
    assert len(older) + len(rest) == 9 * len(PRODUCERS)
    assert store.log.drop(older) == 20
    assert store.log.drop(older) == 0
    assert store.log.retain(before_s=T0 + 10) == len(rest)
    assert store.log.count() == len(store.log.read()) == 20 * len(PRODUCERS)


def test_a_shard_that_nobody_writes_to_is_not_searched_from_the_beginning_of_time(store: RedisStore) -> None:
    for number in range(1, 5):
        _commit(store, 0, number, n_events=100, at_s=T0 + number)
        assert len(store.log.read()) == 100
        assert store.log.retain(before_s=T0 + number + 1) == 100
    assert [part.bounds() for part in store._log.parts] == [(401, 400)] * N
    _commit(store, 1, 1)
    assert len(store.log.read()) == 1


@pytest.mark.parametrize("n_kept", [0, 1])
@pytest.mark.parametrize("n_shards", [1, N])
def test_a_short_read_behind_what_was_erased_takes_few_calls(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, n_shards: int, n_kept: int
) -> None:
    store = RedisStore(f"{redis_url}&shards={n_shards}")
    kept, last = [run_event(1)] * n_kept, run_event(9999)
    store.commit(commit_of(1, kept))
    for number in range(2, 7):
        seqs = range(1000 * number, 1000 * number + 1000)
        store.commit(commit_of(number, [run_event(seq, session_id="s") for seq in seqs]))
    store.commit(commit_of(7, [last]))
    store.log.erase(Selector(session="s"))
    calls: list[object] = []
    read = Server.read

    def counted(server: Server, script: Script, parts: Sequence[str], args: Sequence[Argument] = ()) -> object:
        calls.append(script)
        return read(server, script, parts, args)

    monkeypatch.setattr(Server, "read", counted)
    assert [event for _, event in store.log.read(limit=n_kept + 1)] == [*kept, last]
    assert len(calls) < 30 * n_shards
    if not n_kept:
        assert len(calls) < 5 * n_shards, "the log begins where its first event lies"
    store.close()


def test_a_check_names_what_cannot_be_read_in_any_shard(
    redis_server: RedisServer, store: RedisStore, tmp_path: Path
) -> None:
    for producer in range(N):
        _commit(store, producer, 1)
    position = next(p for p, e in store.log.read() if e.producer == PRODUCERS[2])
    assert list(store.check()) == []
    redis_server.cli("HSET", _key(tmp_path, 2, "events"), str(position // N), "xxxxxxxx{}")
    (said,) = store.check()
    assert f"position {position}" in said


# --- records of a commit --------------------------------------------------------------------------


def _with_record(number: int, value: bytes, producer: int = 1) -> Commit:
    name = PRODUCERS[producer]
    return commit_of(number, [run_event(number, producer=name)], producer=name, records=[Record("n", "k", value)])


def test_records_of_commits_to_any_shard_are_read_when_the_commit_has_returned(store: RedisStore, url: str) -> None:
    other = RedisStore(url)
    for version in range(1, 7):
        store.commit(_with_record(version, b"%d" % version, producer=version % len(PRODUCERS)))
        for each in (store, other):
            record = each.state.get("n", "k")
            assert record is not None
            assert (record.value, record.version) == (b"%d" % version, version)
    other.close()


def _dies_before_delivery(store: RedisStore, commit: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(outbox: Outbox) -> None:
        raise StoreUnreachableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "deliver", gone)
        with pytest.raises(StoreUnreachableError):
            store.commit(commit)
    assert store.log.count() == n_runs(store) == commit.number
    assert store.state.get("n", "k") is None or commit.number > 1


def test_a_commit_that_is_repeated_brings_its_records_once(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = _with_record(1, b"v")
    _dies_before_delivery(store, commit, monkeypatch)
    for _ in range(2):
        store.commit(commit)
        record = store.state.get("n", "k")
        assert record is not None
        assert (record.value, record.version, store.log.count()) == (b"v", 1, 1)


@pytest.mark.parametrize("who", ["opens", "leads", "wants to lead", "commits"])
def test_records_of_a_process_that_died_are_brought_by_another(
    store: RedisStore, url: str, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    other = RedisStore(url)
    if who == "wants to lead":
        store.config.acquire("somebody else", length_s=60.0)
    _dies_before_delivery(store, _with_record(1, b"v"), monkeypatch)
    if who == "opens":
        RedisStore(url).close()
    elif who == "commits":
        same_shard = PRODUCERS[1 + N]
        other.commit(commit_of(1, producer=same_shard, records=[Record("n", "other", b"")]))
    else:
        other.config.acquire("me", length_s=60.0)
    record = other.state.get("n", "k")
    assert record is not None
    assert (record.value, record.version) == (b"v", 1)
    other.close()


def test_records_that_two_bring_at_once_are_put_once_and_in_order(
    store: RedisStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        _dies_before_delivery(store, _with_record(number, b"%d" % number), monkeypatch)
    first, shard = store._shards[0], store._shards[1]
    ours, theirs = Outbox(shard, first, None), Outbox(shard, first, None)
    write = type(first).write
    met: list[str] = []

    def write_and_meet(server: object, script: object, parts: object, args: object) -> object:
        if not met:
            met.append("the other one comes in between")
            theirs.deliver()
        return write(server, script, parts, args)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(type(first), "write", write_and_meet)
    ours.deliver()
    assert met
    record = store.state.get("n", "k")
    assert record is not None
    assert (record.value, record.version) == (b"3", 3)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"12345678 no records",
        b"12345678" + packed([(b"1:nk", b"")]),
        b"12345678" + packed([(b"9:n", b"0" * 24)]),
    ],
)
def test_a_letter_that_cannot_be_read_is_set_aside_and_those_behind_it_come(
    store: RedisStore, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    _dies_before_delivery(store, _with_record(1, b"1"), monkeypatch)
    outbox, unread = store._shards[1].keys.of("outbox", "unread")
    client: Any = Redis.from_url(url.partition("?")[0])
    client.rpush(outbox, bad)
    _dies_before_delivery(store, _with_record(2, b"2"), monkeypatch)
    RedisStore(url).close()
    assert store.config.acquire("me", length_s=60.0) is not None
    record = store.state.get("n", "k")
    assert record is not None
    assert (record.value, record.version) == (b"2", 2)
    assert (client.lrange(unread, 0, -1), client.exists(outbox)) == ([bad], 0)
    assert [r.getMessage() for r in caplog.records if unread in r.getMessage()] != []
    assert [said for said in store.check() if unread in said] != []
    client.close()


def test_a_store_that_cannot_deliver_while_it_is_opened_leaves_no_connection(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Outbox) -> None:
        raise StoreUnreachableError("not now")

    links: list[Link] = []

    def link(address: Address, **options: Any) -> Link:
        links.append(Link(address, **options))
        return links[-1]

    monkeypatch.setattr(Outbox, "deliver", refuse)
    monkeypatch.setattr("hivefeedback_stores.redis.Link", link)
    with pytest.raises(StoreUnreachableError, match="not now"):
        RedisStore(url)
    with pytest.raises(ClosedError):
        links[0].client()


# --- the sums -------------------------------------------------------------------------------------


def _late(producer: int, seq: int, run: Event, value: float) -> tuple[Event, Delta]:
    """Feedback that another process took in, and what it adds to the run's own minute."""
    event = feedback_event(seq, producer=PRODUCERS[producer], run_id=run.event_id, value=value, name="success")
    delta = Delta()
    cell = delta.cell(CellKey("a", run.body.operation, "", "", "fp"), bucket_of(run.event_time_s))  # type: ignore[union-attr]  # a run
    cell.add_judged("success", value)
    cell.n_awaiting -= 1
    return event, delta


def _sums(store: Store) -> dict[tuple[int, int, CellKey], Cell]:
    view = store.aggregates.read(from_s=0.0, to_s=T0 + 1e6)
    return {(s.start_s, s.width_s, s.key): s.cell for s in view.slices}


def _exemplars(store: Store) -> object:
    view = store.aggregates.read(from_s=0.0, to_s=T0 + 1e6)
    return {name: sorted(e.run_id for e in kept) for name, kept in view.exemplars.items()}


def _followed(window: Window, store: Store) -> dict[tuple[int, int, CellKey], Cell]:
    assert isinstance(store.aggregates, FollowedAggregates)
    window.take_in(store.aggregates.changes(after=window.mark, from_s=0.0), from_s=0.0)
    view = window.view(0.0, T0 + 1e6)
    return {(s.start_s, s.width_s, s.key): s.cell for s in view.slices if s.cell != Cell()}


@pytest.mark.parametrize("seed", range(8))
def test_any_story_ends_as_in_a_store_that_has_no_shards(url: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("hivefeedback_stores.redis_commit.FOLD_AT", 4)
    rng, store, plain, window = random.Random(seed), RedisStore(url), MemoryStore(), Window()
    numbers, runs, now_s = [0] * len(PRODUCERS), list[Event](), T0

    def both(act: Callable[[Store], object]) -> None:
        assert act(store) == act(plain)

    for step in range(90):
        producer = rng.randrange(len(PRODUCERS))
        kind = rng.random()
        if kind < 0.85:
            numbers[producer] += 1
            name, number = PRODUCERS[producer], numbers[producer]
            if kind < 0.55 or not runs:
                session = f"s{rng.randrange(8)}"
                events = [
                    run_event(number * 10 + i, producer=name, at_s=now_s, session_id=session, operation=f"op{i}")
                    for i in range(rng.randrange(1, 4))
                ]
                runs += events
                delta = delta_of(events)
                for cell in delta.cells.values():
                    cell.n_awaiting += 1
            else:
                event, delta = _late(producer, number * 10, rng.choice(runs), rng.choice((0.0, 0.5, 1.0)))
                events = [event]
            commit = commit_of(number, events, delta=delta, producer=name)
            both(lambda each, commit=commit: each.commit(commit))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        elif kind < 0.93:
            now_s += rng.choice((60.0, 2.5 * HOUR))
            both(lambda each: each.aggregates.compact(now_s=now_s))  # noqa: B023  # called at once
        else:
            selector = Selector(session=f"s{rng.randrange(8)}")
            both(lambda each, selector=selector: each.log.erase(selector))  # type: ignore[misc]  # as above
            left = {e.event_id for _, e in plain.log.read()}
            runs = [run for run in runs if run.event_id in left]
        if step % 3 == 0:
            assert _followed(window, store) == _sums(store)
    assert _sums(store) == _sums(plain)
    assert _exemplars(store) == _exemplars(plain)
    assert _followed(window, store) == _sums(plain)
    assert sorted(e.event_id for _, e in store.log.read()) == sorted(e.event_id for _, e in plain.log.read())
    assert list(store.check()) == []
    store.close()


def test_feedback_in_one_shard_is_found_with_its_run_in_another_and_erased_with_it(store: RedisStore) -> None:
    (run,) = _commit(store, 0, 1, session_id="s", user_id="u", trace_id="t")
    event, delta = _late(1, 1, run, 0.5)
    store.commit(Commit(PRODUCERS[1], 1, 1, [event], delta))
    (other,) = _commit(store, 2, 1, trace_id="t", at_s=T0 + 5)
    assert list(store.log.said_of(run)) == [event]
    found = store.log.find_run(trace_id="t")
    assert found is not None
    assert found.event_id == run.event_id
    assert [e.event_id for e in store.log.runs_by(trace_id="t")] == [run.event_id, other.event_id]  # type: ignore[attr-defined]  # optional
    assert store.log.erase(Selector(user="u")) == 2
    assert [e.event_id for _, e in store.log.read()] == [other.event_id]
    assert n_runs(store) == 1
    assert all("success" not in cell.judged for cell in _sums(store).values())


def test_a_copy_that_is_up_to_date_is_told_little(store: RedisStore) -> None:
    for producer in range(len(PRODUCERS)):
        _commit(store, producer, 1, n_events=20)
    window = Window()
    assert len(_followed(window, store)) == 1
    _commit(store, 1, 2)
    assert isinstance(store.aggregates, FollowedAggregates)
    changes = store.aggregates.changes(after=window.mark, from_s=0.0)
    assert not changes.is_whole
    assert (len(list(changes.replaced)), len(list(changes.added))) == (0, 1)


# --- who leads ------------------------------------------------------------------------------------


def test_who_led_before_compacts_and_drops_nothing_in_any_shard(url: str) -> None:
    now_s = [5.0]
    old, new = (RedisStore(url, monotonic=lambda: now_s[0]) for _ in range(2))
    for producer in range(N):
        _commit(old, producer, 1, at_s=T0)
    assert old.config.acquire("old", length_s=1.0) is not None
    assert new.config.acquire("new", length_s=1.0) is None
    now_s[0] += 2.0  # the old one sleeps
    lease = new.config.acquire("new", length_s=1.0)
    assert lease is not None
    assert isinstance(old.log, TrimmedLog)
    for act in (lambda: old.aggregates.compact(now_s=T0 + 10 * HOUR), lambda: old.log.retain(before_s=T0 + 1)):
        with pytest.raises(ConflictError, match="another process leads now"):
            act()
    for event in old.log.read():
        with pytest.raises(ConflictError, match="another process leads now"):
            old.log.drop([event])
    with pytest.raises(ConflictError, match="fencing token"):
        old.journal.append(JournalEntry(at_s=T0, state="edited", token=lease.token - 1), expected_head=0)
    assert {width for _, width, _ in _sums(new)} == {60}
    new.aggregates.compact(now_s=T0 + 10 * HOUR)
    assert {width for _, width, _ in _sums(new)} == {HOUR}
    assert old.config.acquire("old", length_s=1.0) is None  # it learns that it does not lead, and is anybody again
    assert old.log.retain(before_s=T0 + 1) == N
    for each in (old, new):
        each.close()


def test_nobody_leads_before_every_shard_knows(
    redis_server: RedisServer, store: RedisStore, url: str, tmp_path: Path
) -> None:
    redis_server.cli("SET", _key(tmp_path, 2, "cells"), "in the way of nothing")
    redis_server.cli("DEL", _key(tmp_path, 2, "meta"))
    redis_server.cli("SET", _key(tmp_path, 2, "meta"), "theirs")
    with suppress(Exception):
        store.config.acquire("me", length_s=60.0)
    assert store._log._fence.token == 0
    redis_server.cli("DEL", _key(tmp_path, 2, "meta"))
    lease = store.config.acquire("me", length_s=60.0)
    assert lease is not None
    for shard in range(N):
        assert redis_server.cli("HGET", _key(tmp_path, shard, "meta"), "token") == str(lease.token)


# --- other people's keys -----------------------------------------------------------------------------


def test_a_key_of_another_program_in_any_shard_is_refused_by_name(
    redis_server: RedisServer, store: RedisStore, url: str, tmp_path: Path
) -> None:
    key = _key(tmp_path, 1, "deltas")
    redis_server.cli("SET", key, "theirs")
    with pytest.raises(StoreCorruptError, match="deltas"):
        RedisStore(url)
    with pytest.raises(StoreCorruptError, match="deltas"):
        _commit(store, 1, 1)
    _commit(store, 0, 1)
    assert redis_server.cli("GET", key) == "theirs"
    redis_server.cli("DEL", key)
    _commit(store, 1, 1)
    assert store.log.count() == n_runs(store) == 2


@pytest.mark.parametrize("number", ["0", "many", "-3", "65"])
def test_a_number_of_shards_that_somebody_changed_is_refused(
    redis_server: RedisServer, store: RedisStore, redis_url: str, tmp_path: Path, number: str
) -> None:
    redis_server.cli("HSET", _key(tmp_path, 0, "meta"), "shards", number)
    with pytest.raises(StoreCorruptError, match="its number of shards cannot be read"):
        RedisStore(redis_url)


# --- a shard is lost ------------------------------------------------------------------------------


def _lose(server: RedisServer, folder: Path, shard: int) -> None:
    for key in server.cli("KEYS", _key(folder, shard, "*")).split():
        server.cli("DEL", key)


@pytest.mark.parametrize("lost", range(N))
def test_a_shard_that_was_lost_is_made_anew_and_the_others_stay(
    redis_server: RedisServer, store: RedisStore, redis_url: str, tmp_path: Path, lost: int
) -> None:
    for producer in range(N):
        _commit(store, producer, 1, n_events=4)
    _lose(redis_server, tmp_path, lost)
    assert store.log.count() == n_runs(store) == 8
    with pytest.raises(ConfigurationError, match="made with shards=3"):
        RedisStore(f"{redis_url}&shards=2")
    again = RedisStore(redis_url)  # it learns from what is left how many shards there are
    for producer in range(N):
        for each in (store, again):
            _commit(each, producer, 2, n_events=4)
    assert store.log.count() == n_runs(store) == len(again.log.read()) == 20
    assert redis_server.cli("HGET", _key(tmp_path, lost, "meta"), "shards") == str(N)
    again.close()


def test_who_commits_to_a_shard_that_was_lost_says_so(
    redis_server: RedisServer, store: RedisStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _commit(store, 1, 1)
    _lose(redis_server, tmp_path, 1)
    _commit(store, 0, 1)
    assert "begin anew" not in caplog.text
    _commit(store, 1, 2)
    assert "lost shard 1: its events and aggregates begin anew" in caplog.text
    assert store.log.count() == n_runs(store) == 2


def test_shards_outlive_a_power_cut_with_an_append_only_file(redis_program: str, tmp_path: Path) -> None:
    with running(redis_program, tmp_path, *AOF) as server:
        store = RedisStore(server.url(options=f"&shards={N}"))
        window = Window()
        for number in range(1, 6):
            for producer in range(len(PRODUCERS)):
                store.commit(_with_record(number, b"%d" % number, producer=producer))
            _followed(window, store)
            server.kill()
            server.start()
            for producer in range(len(PRODUCERS)):
                store.commit(
                    _with_record(number, b"%d" % number, producer=producer)
                )  # repeated: it might not have come
            assert store.log.count() == n_runs(store) == number * len(PRODUCERS)
            assert _followed(window, store) == _sums(store)
        record = store.state.get("n", "k")
        assert record is not None
        assert (record.value, record.version) == (b"5", 5 * len(PRODUCERS))
        store.close()

"""A store as a file, and back: everything comes over, once, and of a broken file nothing does."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from hivefeedback import Feedback, FeedbackLoop, Mutation, MutationKind, Run, Stats
from hivefeedback.errors import (
    InvalidInputError,
    RefusedError,
    StoreCorruptError,
    StoreError,
    StoreUnreachableError,
    StoreVersionError,
)
from hivefeedback.exchange import carry_into, checked, export_store, is_export, unfinished
from hivefeedback.exchange.container import Summed
from hivefeedback.exchange.lines import EndLine
from hivefeedback.hooks import CarriedJournal, Commit, ListedState, Record, Store
from hivefeedback.model import Alarm, Configuration, Control, Event, Score, fold
from hivefeedback.testing import FakeClock
from hivefeedback.testing.store_samples import T0, commit_of, feedback_event, run_event
from hivefeedback_stores.json import JsonStore
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.redis import RedisStore
from hivefeedback_stores.sqlite import SqliteStore
from tests.plugins.redis_servers import INSTALL, name_of, running

KINDS = ("sqlite", "json", "memory", "redis", "redis-shards")
WINDOW_S = 20 * 86_400.0
Make = Callable[[str, str], Store]
"""Opens a store of a kind under a name; with the same name the same store."""


@pytest.fixture(scope="module")
def redis_url(skip_or_fail: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = skip_or_fail("redis-server", INSTALL)
    with running(program, tmp_path_factory.mktemp("redis"), "--appendonly", "yes") as server:
        yield server.url("")


def open_store(kind: str, place: Path, request: pytest.FixtureRequest) -> Store:
    """The store of a kind at a place; Redis is started where it is asked for."""
    if kind == "sqlite":
        return SqliteStore(f"sqlite:///{place}.db")
    if kind == "json":
        return JsonStore(f"json:///{place}.json")
    if kind == "memory":
        return MemoryStore(f"memory://{place}")
    options = "&shards=3" if kind == "redis-shards" else ""
    return RedisStore(request.getfixturevalue("redis_url") + name_of(place / kind) + options)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Store] = []

    def opened(kind: str, name: str) -> Store:
        made.append(open_store(kind, tmp_path / name, request))
        return made[-1]

    yield opened
    for store in made:
        store.close()


def used(url: str, clock: FakeClock) -> None:
    """An application ran for ten days: canaries, late feedback, prompts, users; buckets of all three widths."""
    rng = random.Random(3)
    rates = {"a": 0.6, "b": 0.9}
    with FeedbackLoop(store=url, deployments=rates, prompts={"p": "text {x}"}, seed=1, clock=clock) as loop:
        loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="a-2"), by="ann", why="dear")
        for day in range(3):
            for i in range(12):
                decision = loop.decide("text-to-text/medical", session_id=f"s{day}-{i}")
                name = decision.deployment or "a"
                run_id = f"r{day}-{i}"
                loop.record(Run(name, "text-to-text/medical", "ok", rng.random(), run_id=run_id, user_id="ann",
                                decision_id=decision.decision_id, trace_id=f"t{i}", cost_usd=0.01))  # fmt: skip
                loop.feedback(Feedback("success", rng.random() < rates[name], run_id=run_id, comment="ünï"))
                clock.advance(30.0)
            loop.turn()
            clock.advance(4 * 86_400.0)
        clock.advance(-4 * 86_400.0 + 60.0)
        loop.turn()


def told(store: Store) -> dict[str, object]:
    """Everything that can be asked of a store, in a form that can be compared."""
    view = store.aggregates.read(from_s=0.0, to_s=4e9)
    assert isinstance(store.state, ListedState)
    assert isinstance(store.journal, CarriedJournal)
    records = [r for n in store.state.namespaces() if n != "exchange" for r in store.state.list(n)]
    return {
        "log": [event for _, event in store.log.read(limit=100_000)],
        "cells": {(s.start_s, s.width_s, s.key): msgspec.to_builtins(s.cell) for s in view.slices},
        "newest": {name: sorted(kept, key=lambda e: e.run_id) for name, kept in view.exemplars.items()},
        "journal": list(store.journal.read()),
        "texts": (store.journal.salt(), dict(store.journal.bodies())),
        "records": {(r.namespace, r.key): (r.value, r.expires_at_s) for r in records},
    }


@dataclass(frozen=True, slots=True)
class Source:
    """A store that an application has used, its export, and what was asked of it."""

    url: str
    path: Path
    told: dict[str, object]
    clock: FakeClock
    stats: Stats


@pytest.fixture(scope="module", params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    folder, clock = tmp_path_factory.mktemp("source"), FakeClock()
    store = open_store(request.param, folder / "first", request)
    used(store.url, clock)
    assert export_store(store, folder / "x.gz", now_s=clock()).left == ()
    all_told = told(store)
    with FeedbackLoop(store=store.url, clock=clock, mode="observe") as loop:
        yield Source(store.url, folder / "x.gz", all_told, clock, loop.stats(window_s=WINDOW_S))
    store.close()


@pytest.mark.parametrize("target", KINDS)
def test_everything_comes_over_between_any_two_stores(source: Source, target: str, make: Make) -> None:
    store = make(target, "second")
    carried = carry_into(store, source.path)
    assert (carried.left, carried.is_known) == ((), False)
    assert told(store) == source.told
    assert {width for _, width, _ in source.told["cells"]} == {60, 3600, 86_400}  # type: ignore[attr-defined]  # a dict
    with FeedbackLoop(store=store.url, clock=source.clock, mode="observe") as loop:
        assert loop.stats(window_s=WINDOW_S) == source.stats
        assert set(loop.configuration.deployments) == {"a", "b"}
        assert loop.erase(user="ann") > 36  # the key that users are hashed with came along


def test_the_fold_of_the_journal_comes_over(source: Source, make: Make) -> None:
    store = make("sqlite", "second")
    carry_into(store, source.path)
    before, after = Configuration(), Configuration()
    for entry in source.told["journal"]:  # type: ignore[attr-defined]  # a list
        before = fold(before, entry)
    for entry in store.journal.read():
        after = fold(after, entry)
    assert after == before
    assert after.version > 3


def test_the_same_content_has_the_same_name_whatever_store_it_lies_in(
    source: Source, make: Make, tmp_path: Path
) -> None:
    with checked(source.path) as export:
        names = {export.contents.name}
    for kind in KINDS:
        store = make(kind, "second")
        carry_into(store, source.path)
        names.add(export_store(store, tmp_path / "y.gz", now_s=source.clock() + 9.0).contents.name)
    assert len(names) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeat_changes_nothing_also_after_the_store_was_used(kind: str, make: Make, tmp_path: Path) -> None:
    source, store = make("memory", "first"), make(kind, "second")
    source.commit(commit_of(1, [run_event(1), run_event(2)], records=[Record("n", "k", b"1")]))
    export_store(source, tmp_path / "x.gz", now_s=T0)
    carry_into(store, tmp_path / "x.gz")
    store.state.put(Record("n", "k", b"2"))
    store.commit(commit_of(1, [run_event(1, producer="q")], producer="q"))
    before = told(store)
    assert carry_into(store, tmp_path / "x.gz").is_known
    assert told(store) == before


class _Interrupts:
    """A store whose n-th commit is the last thing that is done."""

    def __init__(self, store: Store, n: int, *, is_after: bool) -> None:
        self._store, self._n, self._is_after = store, n, is_after

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def commit(self, commit: Commit) -> None:
        self._n -= 1
        if self._n == 0 and not self._is_after:
            raise KeyboardInterrupt
        self._store.commit(commit)
        if self._n == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_repeat_completes_what_was_interrupted_at_any_commit(
    kind: str, is_after: bool, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivefeedback.exchange.carry._AT_ONCE", {"cell": 3, "newest": 1, "record": 2, "event": 120})
    clock = FakeClock()
    source = make("memory", "first")
    used(source.url, clock)
    export_store(source, tmp_path / "x.gz", now_s=clock())
    store = make(kind, "second")
    for n in (1, 2, 5, 9):
        with pytest.raises(KeyboardInterrupt):
            carry_into(_Interrupts(store, n, is_after=is_after), tmp_path / "x.gz")  # type: ignore[arg-type]  # wraps one
        assert unfinished(store)
    assert carry_into(store, tmp_path / "x.gz").left == ()
    assert not unfinished(store)
    assert told(store) == told(source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_holds_anything_else_is_refused_and_left_as_it_is(kind: str, make: Make, tmp_path: Path) -> None:
    source = make("memory", "first")
    source.commit(commit_of(1, [run_event(1)]))
    export_store(source, tmp_path / "x.gz", now_s=T0)
    fillings: list[Callable[[Store], object]] = [
        lambda store: store.commit(commit_of(1, [run_event(9)])),
        lambda store: store.journal.put_body("a text"),
        lambda store: store.state.put(Record("a", "b", b"c")),
    ]
    for n, fill in enumerate(fillings):
        store = make(kind, f"full-{n}")
        fill(store)
        before = told(store)
        with pytest.raises(RefusedError, match="not empty"):
            carry_into(store, tmp_path / "x.gz")
        assert told(store) == before
    other = make(kind, "other")
    carry_into(other, tmp_path / "x.gz")
    source.commit(commit_of(2, [run_event(2)]))
    export_store(source, tmp_path / "y.gz", now_s=T0)
    with pytest.raises(RefusedError, match="another export"):
        carry_into(other, tmp_path / "y.gz")


# --- broken files -------------------------------------------------------------------------------


@pytest.fixture
def export(make: Make, tmp_path: Path) -> Path:
    source = make("memory", "source")
    source.commit(commit_of(1, [run_event(n, trace_id=f"t{n}") for n in range(1, 40)]))
    source.journal.put_body("a text")
    export_store(source, tmp_path / "x.gz", now_s=T0)
    return tmp_path / "x.gz"


def refused(export: Path, store: Store, kind: type[Exception] = StoreCorruptError) -> str:
    """The sentence of a refusal; nothing may have been written."""
    with pytest.raises(kind) as told_:
        carry_into(store, export)
    assert store.log.count() == store.journal.head() == 0
    assert store.state.get("exchange", "import") is None
    assert str(export) in str(told_.value)
    return str(told_.value)


def test_a_file_that_was_cut_off_anywhere_is_refused_whole(export: Path, make: Make) -> None:
    data, store = export.read_bytes(), make("memory", "target")
    for n in (20, 100, len(data) // 2, len(data) - 9, len(data) - 1):
        export.write_bytes(data[:n])
        assert "no whole export" in refused(export, store)


def test_a_file_with_a_flipped_bit_is_refused_whole(export: Path, make: Make) -> None:
    data, store, rng = export.read_bytes(), make("memory", "target"), random.Random(5)
    for _ in range(60):
        at = rng.randrange(10, len(data))  # the bytes before are a time, a system and the like, which nobody reads
        export.write_bytes(data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :])
        refused(export, store, StoreError)


def unpacked(export: Path) -> list[bytes]:
    return gzip.decompress(export.read_bytes()).splitlines(keepends=True)


@pytest.mark.parametrize("change", ["drop", "double", "swap", "edit", "end"])
def test_a_file_that_was_edited_is_refused_whole(change: str, export: Path, make: Make) -> None:
    lines = unpacked(export)
    at = next(i for i, line in enumerate(lines) if line.startswith(b'{"kind":"event"'))
    if change == "drop":
        del lines[at]
    elif change == "double":
        lines.insert(at, lines[at])
    elif change == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif change == "edit":
        lines[at] = lines[at].replace(b"t1", b"t7")
    else:
        lines.append(lines[at])
    export.write_bytes(gzip.compress(b"".join(lines)))
    refused(export, make("memory", "target"))


def test_a_file_of_a_newer_version_is_refused_with_what_to_do(export: Path, make: Make) -> None:
    lines = unpacked(export)
    export.write_bytes(gzip.compress(b"".join([lines[0].replace(b'"version":1', b'"version":9'), *lines[1:]])))
    assert "upgrade hivefeedback" in refused(export, make("memory", "target"), StoreVersionError)


def test_a_file_of_another_kind_under_gzip_is_refused(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "other.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert is_export(path)
    refused(path, make("memory", "target"))
    assert not is_export(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="none"), checked(tmp_path / "none"):
        pass


# --- what cannot come over ----------------------------------------------------------------------


def test_a_store_with_a_short_log_says_how_much_of_it_stays_behind(make: Make, tmp_path: Path) -> None:
    source = make("sqlite", "first")
    source.commit(commit_of(1, [run_event(n) for n in range(1, 1501)]))
    export_store(source, tmp_path / "x.gz", now_s=T0)
    store = make("json", "second")
    assert carry_into(store, tmp_path / "x.gz").left == ("500 of 1500 events: json keeps a short log",)
    assert store.log.count() == 1000
    assert store.aggregates.read(from_s=T0 - 60, to_s=T0 + 60).coverage.n_runs == 1500


def test_what_no_file_can_hold_is_told_and_everything_else_is_written(make: Make, tmp_path: Path) -> None:
    source = make("memory", "first")
    alarm = Event("p", 1, 1, "c", T0, T0, Control(Alarm("e", "a", numbers={"e": float("inf"), "n": float("nan")})))
    score = Event("p", 1, 2, "s", T0, T0, Score("r", "x", float("nan")))
    source.commit(commit_of(1, [alarm, score, run_event(3), feedback_event(4, comment="\ud800", run_id="x")]))
    exported = export_store(source, tmp_path / "x.gz", now_s=T0)
    assert [sentence[:8] for sentence in exported.left] == ["2 events"]
    store = make("sqlite", "second")
    assert carry_into(store, tmp_path / "x.gz").left == ()
    assert [e.seq for _, e in store.log.read()] == [1, 3]


def test_a_store_that_is_written_to_meanwhile_is_told(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("sqlite", "first")
    source.commit(commit_of(1, [run_event(1)]))
    read = source.log.read

    def and_write(**how: int) -> object:
        source.commit(commit_of(2, [run_event(2)]))
        return read(**how)

    monkeypatch.setattr(source.log, "read", and_write)
    (sentence,) = export_store(source, tmp_path / "x.gz", now_s=T0).left
    assert "was written to" in sentence


def test_an_export_that_fails_leaves_the_old_file(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make("memory", "first")
    source.commit(commit_of(1, [run_event(1)]))
    export_store(source, tmp_path / "x.gz", now_s=T0)
    before = (tmp_path / "x.gz").read_bytes()

    def fails(**how: int) -> object:
        raise StoreUnreachableError("gone")

    monkeypatch.setattr(source.log, "read", fails)
    with pytest.raises(StoreUnreachableError):
        export_store(source, tmp_path / "x.gz", now_s=T0)
    assert (tmp_path / "x.gz").read_bytes() == before
    assert [path.name for path in tmp_path.glob("x*")] == ["x.gz"]


def test_an_export_is_readable_by_its_owner_alone(export: Path) -> None:
    assert export.stat().st_mode & 0o777 == 0o600


# --- an export that an older version made -------------------------------------------------------

_FIRST = """{"kind":"hivefeedback-export","version":1,"made_at_s":1700000400.0,"store":"memory","by":"0.1.0"}
{"kind":"salt","salt":"0123"}
{"kind":"text","hash":"ab","text":"a text"}
{"kind":"entry","entry":{"seq":1,"at_s":1700000400.0,"state":"declared","mutation_id":"","by":"","why":"","mutation"\
:null,"plan_hash":"","verdicts":[],"patch":[],"rollout":null,"content_hash":"","numbers":{},"token":0}}
{"cell":{"bins":{"duration_us":{"-34":1}},"ns":{"duration_us":1},"outcomes":{"ok":1},"sums":{"duration_us":500000}},\
"key":["a","op","","","fp"],"kind":"cell","start_s":1700000400,"width_s":60}
{"kind":"newest","deployment":"a","operation":"op","runs":[[1700000400.0,"r-p-1-1",0.5,"ok","t",null,false,[]]]}
{"kind":"record","namespace":"n","key":"k","value":"dg==","expires_at_s":null}
{"kind":"event","n":1,"event":{"producer":"p","epoch":1,"seq":1,"event_id":"r-p-1-1","event_time_s":1700000400.0,"in\
gest_time_s":1700000400.0,"body":{"type":"run","deployment":"a","operation":"op","duration_s":0.5,"run_id":"r-p-1-1"\
,"started_at_s":1700000400.0,"trace_id":"t"},"sample_rate":1.0,"schema_version":1}}
{"kind":"end","sums":{"salt":[1,"f8be11cec09db5397327a7a6fbe5a1fea6d32d308799599c5ba9b457bfb2d370"],"text":[1,"d1660\
2788b337982f43f6197dd64116034f564dd4f7f5f2bb143618b67d3fb72"],"entry":[1,"c81a3553b5292afc7b49a6939fde3b05545baaf0da\
c01d0475d3bba874755b2a"],"cell":[1,"2c1271f899be4388e02b61369f06ca46e6c6e1a61924d99ef38aac1530c4431e"],"newest":[1,"\
9d39a4b085f26c03bbb906d8b442203cab3edc056b6d05204e1c34a85ab8ef52"],"record":[1,"a31dac282c5294dba27327a3627ee607f22d\
71ffdd5fcb1c7994fc5e48039218"],"event":[1,"15b0560139337d11ed31d21eb5d4596795c213b4a25db57fad69211e5b4b5b2d"]},"all"\
:"58723c9ea61ca3486b025a9982ff7e2fba6dfc7beb9dd68aa20a353a188169fd"}
"""
"""As version 0.1.0 writes it; it has to be read for as long as version 1 of the format is."""


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_of_the_first_version_is_carried_over(kind: str, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "first.gz"
    path.write_bytes(gzip.compress(_FIRST.encode()))
    store = make(kind, "second")
    assert carry_into(store, path).left == ()
    assert store.journal.head() == store.log.count() == 1
    assert store.journal.body("ab") == "a text"
    assert store.aggregates.read(from_s=T0, to_s=T0 + 60).coverage.n_runs == 1
    record = store.state.get("n", "k")
    assert record is not None
    assert record.value == b"v"


def test_an_export_whose_writer_knew_fewer_fields_is_compared_as_this_version_writes_it(
    make: Make, tmp_path: Path
) -> None:
    lines = _FIRST.replace(',"token":0', "").encode().splitlines(keepends=True)
    path, summed, kinds = (
        tmp_path / "older.gz",
        Summed(),
        ("salt", "text", "entry", "cell", "newest", "record", "event"),
    )
    for kind, line in zip(kinds, lines[1:-1], strict=True):
        summed.add(kind, line[:-1])  # type: ignore[arg-type]  # each is a kind
    end = EndLine(summed.sums(), hashlib.sha256(b"".join(lines[:-1])).hexdigest())
    path.write_bytes(gzip.compress(b"".join(lines[:-1]) + msgspec.json.encode(end) + b"\n"))
    assert carry_into(make("sqlite", "second"), path).left == ()

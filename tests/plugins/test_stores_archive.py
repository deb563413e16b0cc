"""Archives: what left the log is kept whole, once, and can be read, checked and erased."""

from __future__ import annotations

import gzip
import json
import random
from importlib import import_module
from pathlib import Path

import pytest

from hivefeedback.errors import (
    InvalidInputError,
    MissingExtraError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
)
from hivefeedback.hooks import Selector, TrimmedLog
from hivefeedback.model import Alarm, Control, Event
from hivefeedback.testing.store_samples import T0, commit_of, decision_event, feedback_event, run_event, score_event
from hivefeedback_stores import archive as archive_module
from hivefeedback_stores import archive_parquet
from hivefeedback_stores.archive import FolderArchive, open_archive
from hivefeedback_stores.archive_files import Format
from hivefeedback_stores.archive_jsonl import JsonLines
from hivefeedback_stores.archive_parquet import Parquet
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.plugin import StoresPlugin
from hivefeedback_stores.sqlite import SqliteStore


@pytest.fixture(params=["jsonl", "parquet"])
def format_(request: pytest.FixtureRequest) -> Format:
    if request.param == "jsonl":
        return JsonLines()
    return Parquet()


@pytest.fixture
def archive(tmp_path: Path, format_: Format) -> FolderArchive:
    return FolderArchive(tmp_path / "archive", format_)


def _story() -> list[Event]:
    """Runs of two users with decisions, feedback and scores."""
    rng, events = random.Random(2), list[Event]()
    for n in range(1, 21):
        user = "ann" if rng.random() < 0.5 else "bob"
        at_s, seq = T0 + n, 4 * n
        events += [
            decision_event(seq, f"d{n}", at_s=at_s, session_id=f"s{user}"),
            run_event(seq + 1, at_s=at_s, decision_id=f"d{n}", trace_id=f"t{n}", user_id=user, session_id=f"s{user}"),
            feedback_event(seq + 2, at_s=at_s + 99, trace_id=f"t{n}", comment="said ünï"),
            score_event(seq + 3, f"r-p-1-{seq + 1}", at_s=at_s),
        ]
    return events


def _read(archive: FolderArchive) -> list[Event]:
    return [event for _, event in archive.read(limit=10_000)]


def test_an_archive_reads_back_as_the_log_that_it_was(archive: FolderArchive, tmp_path: Path) -> None:
    events = [*_story(), Event("q", 1, 1, "c", T0, T0, Control(Alarm("cusum", "a", "op", {"g": 2.5})))]
    for start in range(0, len(events), 30):
        archive.write(events[start : start + 30])
        archive.settle()
    again, log = open_archive(tmp_path / "archive"), MemoryStore("memory://")
    log.commit(commit_of(1, events))
    assert _read(again) == events
    assert again.count() == len(events)
    assert list(again.check()) == []
    positions = [p for p, _ in again.read()]
    assert positions == sorted(set(positions))
    assert [e for _, e in again.read(after=positions[40], limit=9)] == events[41:50]
    for name in ("r-p-1-9", "d3", "nobody"):
        assert again.find(name) == log.log.find(name)
    for join in ({"trace_id": "t4"}, {"session_id": "sann"}, {"decision_id": "d7"}, {"response_id": "x"}):
        assert again.find_run(**join) == log.log.find_run(**join)
    run = events[1]
    assert list(again.said_of(run)) == list(log.log.said_of(run)) == [events[2], events[3]]


def test_an_archive_of_both_formats_is_read_as_one(tmp_path: Path) -> None:
    factories = StoresPlugin().hive_archives()
    events = _story()
    for part, name in ((events[:40], "jsonl"), (events[40:], "parquet")):
        writer = factories[name](str(tmp_path / "archive"))
        writer.write(part)
        writer.settle()
    assert _read(open_archive(tmp_path / "archive")) == events


def test_lines_of_an_archive_are_plain_json_for_any_tool(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path)
    archive.write(_story())
    (path,) = tmp_path.glob("*.jsonl.gz")
    bodies = [json.loads(line)["body"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert {body["user_id"] for body in bodies if body["type"] == "run"} == {"ann", "bob"}


def test_columns_of_a_parquet_archive_can_be_asked(tmp_path: Path) -> None:
    pq = import_module("pyarrow.parquet")
    FolderArchive(tmp_path, Parquet()).write(_story())
    (path,) = tmp_path.glob("*.parquet")
    table = pq.read_table(path, filters=[("type", "=", "run")])
    assert set(table["deployment"].to_pylist()) == {"a"}
    assert table.num_rows == 20


def test_parquet_without_its_extra_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_parquet, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="hivefeedback\\[parquet\\]"):
        StoresPlugin().hive_archives()["parquet"]("anywhere")


def test_what_an_interrupted_writer_kept_is_not_kept_twice(archive: FolderArchive, tmp_path: Path) -> None:
    events = _story()
    archive.write(events[:30])  # killed before the events left the log
    again = FolderArchive(tmp_path / "archive")
    again.write(events[:40])
    again.settle()
    again.write(events[:5])  # settled: these are others, though they look alike
    assert _read(again) == [*events[:40], *events[:5]]


def test_a_file_that_no_manifest_names_counts_for_nothing_and_is_swept_away(
    archive: FolderArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write(_story()[:8])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hivefeedback_stores.archive_files.Files.save", killed)
        with pytest.raises(KeyboardInterrupt):
            archive.write(_story()[8:16])
    assert len(list((tmp_path / "archive").glob("events-*"))) == 2
    again = FolderArchive(tmp_path / "archive")
    assert _read(again) == _story()[:8]
    again.write(_story()[8:16])
    assert _read(again) == _story()[:16]
    assert len(list((tmp_path / "archive").glob("events-*"))) == 2


def test_erasing_removes_what_a_log_would_remove(archive: FolderArchive, tmp_path: Path) -> None:
    events, log = _story(), MemoryStore("memory://")
    log.commit(commit_of(1, events))
    for start in range(0, len(events), 17):
        archive.write(events[start : start + 17])
        archive.settle()
    n_gone = archive.erase(Selector(user="ann"))
    assert n_gone == log.log.erase(Selector(user="ann")) > 4
    assert _read(archive) == [event for _, event in log.log.read()]
    assert archive.count() == log.log.count()
    assert list(archive.check()) == []
    files = sorted((tmp_path / "archive").glob("events-*"))
    assert all(b"ann" not in _plain(path) for path in files)
    manifest = json.loads((tmp_path / "archive" / "archive.json").read_bytes())
    assert sum(segment["n_erased"] for segment in manifest["segments"]) == n_gone
    assert archive.erase(Selector(user="ann")) == 0
    archive.write([run_event(999)])
    assert _read(archive)[-1].seq == 999


def _plain(path: Path) -> bytes:
    """The text of a segment's file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    pq = import_module("pyarrow.parquet")
    return str(pq.read_table(path).to_pylist()).encode()


def test_erasing_by_time_alone_and_nothing_at_all(archive: FolderArchive) -> None:
    archive.write(_story())
    with pytest.raises(InvalidInputError):
        archive.erase(Selector())
    assert archive.erase(Selector(before_s=T0 + 11)) == 30
    assert archive.retain(before_s=T0 + 16) == 15
    assert archive.erase(Selector(before_s=T0 + 9_999)) == 35
    assert archive.count() == 0
    assert _read(archive) == []


def test_a_damaged_segment_is_named_and_the_others_can_be_read(archive: FolderArchive, tmp_path: Path) -> None:
    for start in (0, 40):
        archive.write(_story()[start : start + 40])
        archive.settle()
    first, second = sorted((tmp_path / "archive").glob("events-*"))
    data = second.read_bytes()
    second.write_bytes(data[:50] + bytes((data[50] ^ 4,)) + data[51:])
    (sentence,) = open_archive(tmp_path / "archive").check()
    assert second.name in sentence
    assert first.name not in sentence
    with pytest.raises(StoreCorruptError, match=second.name):
        open_archive(tmp_path / "archive").read()
    assert len(open_archive(tmp_path / "archive").read(limit=40)) == 40


def test_a_manifest_that_is_newer_or_broken_is_refused(archive: FolderArchive, tmp_path: Path) -> None:
    archive.write(_story()[:4])
    manifest = tmp_path / "archive" / "archive.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"hivefeedback_archive": 1', '"hivefeedback_archive": 7'), encoding="utf-8")
    with pytest.raises(StoreVersionError, match="upgrade hivefeedback"):
        archive.read()
    manifest.write_text(text[:40], encoding="utf-8")
    with pytest.raises(StoreCorruptError, match="archive\\.json"):
        archive.write(_story()[4:])
    assert archive.check() != []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreUnreachableError, match="file"):
        FolderArchive(tmp_path / "file" / "archive").write(_story())


def test_one_writer_keeps_the_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "LOCK_S", 0.05)
    one, two = FolderArchive(tmp_path), FolderArchive(tmp_path)
    with one.alone():
        one.write(_story()[:4])  # the same writer may go on
        with pytest.raises(StoreUnreachableError, match="locked"):
            two.write(_story()[4:])
    two.write(_story()[4:])
    assert two.count() == len(_story())


@pytest.mark.parametrize("seed", range(6))
def test_what_is_old_leaves_a_log_in_blocks_as_one_in_memory(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr("hivefeedback_stores.sqlite_log.STEP", rng.choice([41, 300]))  # longer than any block
    monkeypatch.setattr("hivefeedback_stores.sqlite_log.FEWEST", 4)
    stores = (SqliteStore(f"sqlite:///{tmp_path}/hive.db"), MemoryStore("memory://"))
    seq = 0
    for number in range(1, 12):
        n = rng.choice([1, 5, 40])
        events = [run_event(seq + i, at_s=T0 + rng.randrange(100), trace_id=f"t{seq + i}") for i in range(n)]
        seq += n
        limit, before_s, kept = rng.choice([3, 25, 500]), T0 + rng.randrange(100), rng.random()
        told = []
        for store in stores:
            store.commit(commit_of(number, events))
            assert isinstance(store.log, TrimmedLog)
            after, pages = 0, list[list[int]]()
            while page := store.log.older(before_s=before_s, after=after, limit=limit):
                assert len(page) <= limit
                after = page[-1][0]
                pages.append([e.seq for _, e in page])
            some = [placed for placed in store.log.read() if placed[1].seq % 7 / 7 > kept]
            n_gone = store.log.drop(some)
            left = [e.seq for _, e in store.log.read()]
            told.append((pages, n_gone, left, store.log.count(), store.log.find_run(trace_id="t3")))
        assert told[0] == told[1]
    stores[0].close()

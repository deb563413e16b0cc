"""The JSON store: readable, mended by hand, never destroyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from msgspec.structs import replace

from hivefeedback.errors import (
    ConfigurationError,
    InvalidInputError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
)
from hivefeedback.hooks import Record
from hivefeedback.model import Alarm, Control, JournalEntry
from hivefeedback.stats import Delta
from hivefeedback.testing.store_samples import T0, commit_of, feedback_event, run_event
from hivefeedback_stores.json import MAX_RUNS, JsonStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hive.json"


def _open(path: Path, *, read_only: bool = False) -> JsonStore:
    return JsonStore(f"json:///{path}", read_only=read_only, lock_timeout_s=0.05)


def _filled(path: Path) -> JsonStore:
    store = _open(path)
    store.commit(commit_of(1, [run_event(1), run_event(2, deployment="ä")], records=[Record("n", "k", b'{"a": 1}')]))
    store.journal.append(JournalEntry(at_s=T0, state="edited"), expected_head=0)
    return store


def test_the_file_is_json_with_one_thing_on_a_line(path: Path) -> None:
    _filled(path)
    text = path.read_text(encoding="utf-8")
    whole = json.loads(text)
    assert [e["event"]["body"]["deployment"] for e in whole["events"]] == ["a", "ä"]
    assert whole["records"][0]["value"] == '{"a": 1}'
    assert sum('"deployment":"ä"' in line for line in text.splitlines()) == 3  # its cell, its exemplars, its run


def test_a_change_by_hand_is_taken_over(path: Path) -> None:
    store = _filled(path)
    path.write_text(path.read_text(encoding="utf-8").replace('{\\"a\\": 1}', '{\\"a\\": 2}'), encoding="utf-8")
    record = store.state.get("n", "k")
    assert record is not None
    assert record.value == b'{"a": 2}'


@pytest.mark.parametrize(
    ("break_it", "line", "said"),
    [
        (lambda text: text.replace('"journal":[\n', '"journal":[,\n'), 4, "Expecting value"),
        (lambda text: text.rstrip()[:-1], None, "Expecting"),
        (lambda text: text + "}", None, "Extra data"),
        (lambda text: text.replace('"seq":1,', '"seq":"one",', 1), 5, "Expected `int`"),
        (lambda text: text.replace('"seq":1,', '"seq":7,', 1), 5, "Expected 1, got 7"),
        (lambda text: text.replace('"state":"edited"', '"state":"edit"'), 5, "Invalid enum value"),
        (lambda text: text.replace('"type":"run"', '"type":"walk"', 1), None, "no body of a known type"),
        (lambda text: text.replace('"width_s":60', '"width_s":null', 1), None, "Expected `int`"),
        (lambda text: text.replace('"position":2', '"position":1'), None, "position"),
        (lambda text: text.replace('"lease":{', '"lease":[{').replace("},\n", "}],\n", 1), 1, ""),
    ],
)
def test_a_mistake_by_hand_is_told_with_file_and_line_and_the_file_stays(
    path: Path, break_it: Callable[[str], str], line: int | None, said: str
) -> None:
    store = _filled(path)
    broken = break_it(path.read_text(encoding="utf-8"))
    path.write_text(broken, encoding="utf-8")
    for use in (
        store.log.count,
        lambda: store.commit(commit_of(2, [run_event(3)])),
        lambda: _open(path),
        lambda: _open(path, read_only=True),
    ):
        with pytest.raises(StoreCorruptError, match=rf"hive\.json, line {line or ''}.*column \d+: .*{said}"):
            use()
    assert path.read_text(encoding="utf-8") == broken


def test_a_store_goes_on_when_the_mistake_was_corrected(path: Path) -> None:
    store = _filled(path)
    good = path.read_text(encoding="utf-8")
    path.write_text(good + "]", encoding="utf-8")
    with pytest.raises(StoreCorruptError):
        store.log.count()
    path.write_text(good, encoding="utf-8")
    store.commit(commit_of(2, [run_event(3)]))
    assert store.log.count() == 3


@pytest.mark.parametrize(("content", "said"), [(b'{"mine": 1}', "no hivefeedback store"), (b"\xff{}", "no UTF-8")])
def test_a_file_of_another_program_is_refused_and_left_alone(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match=said):
        _open(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.write_bytes(b"")
    _filled(path)
    assert _open(path).log.count() == 2


def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    _filled(path)
    newer = path.read_text(encoding="utf-8").replace('"version":1', '"version":2', 1).replace('"cells"', '"atoms"')
    path.write_text(newer, encoding="utf-8")
    with pytest.raises(StoreVersionError, match="newer hivefeedback"):
        _open(path)
    assert path.read_text(encoding="utf-8") == newer


def test_the_log_keeps_the_newest_runs_of_each_deployment_and_the_aggregates_all(path: Path) -> None:
    store = _open(path)
    store.commit(commit_of(1, [run_event(1, deployment="rare"), feedback_event(2, run_id="x")]))
    store.commit(commit_of(2, [run_event(n) for n in range(10, 10 + MAX_RUNS + 50)]))
    seqs = [e.seq for _, e in store.log.read()]
    assert seqs == [1, 2, *range(60, 10 + MAX_RUNS + 50)]
    assert store.aggregates.read(from_s=T0, to_s=T0 + 60).coverage.n_runs == MAX_RUNS + 51


def test_a_commit_that_cannot_be_written_is_refused_whole(path: Path) -> None:
    store = _filled(path)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="surrogate"):
        store.commit(commit_of(2, [run_event(3), feedback_event(4, comment="\udfff")]))
    assert path.read_bytes() == before
    assert store.log.count() == 2
    store.commit(commit_of(2, [run_event(3)]))
    assert store.log.count() == 3


def test_what_a_killed_writer_left_behind_does_not_matter(path: Path) -> None:
    store = _filled(path)
    path.with_name("hive.json.tmp").write_text('{"half":')
    assert store.log.count() == 2
    store.commit(commit_of(2, [run_event(3)]))
    assert _open(path).log.count() == 3
    assert not path.with_name("hive.json.tmp").exists()


def test_a_lock_that_is_held_too_long_is_told(path: Path) -> None:
    store = _filled(path)
    with FileLock(f"{path}.lock"), pytest.raises(StoreUnreachableError, match=r"hive\.json was locked"):
        store.commit(commit_of(2, [run_event(3)]))
    store.commit(commit_of(2, [run_event(3)]))
    assert store.log.count() == 3


def test_a_store_opened_for_reading_reads_what_others_write_and_refuses_writes(path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="does not exist"):
        _open(path, read_only=True)
    assert not path.exists()
    store = _filled(path)
    reader = _open(path, read_only=True)
    store.commit(commit_of(2, [run_event(3)]))
    assert reader.log.count() == 3
    with pytest.raises(StoreUnreachableError, match="reading only"):
        reader.commit(commit_of(3))


def test_a_folder_that_cannot_be_made_or_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnreachableError, match="cannot be made"):
        _open(tmp_path / "file" / "hive.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(StoreUnreachableError, match=r"folder\.json"):
        _open(tmp_path / "folder.json")
    with pytest.raises(StoreUnreachableError, match=r"folder\.json is a folder"):
        _open(tmp_path / "folder.json", read_only=True)


def test_a_file_that_was_removed_begins_anew(path: Path) -> None:
    store = _filled(path)
    path.unlink()
    assert store.log.count() == 0
    store.commit(commit_of(2, [run_event(3)]))
    assert _open(path).log.count() == 1


def test_a_url_that_names_no_file_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        JsonStore("json://hive.json")


def test_what_the_loop_says_of_itself_pushes_no_feedback_out(path: Path) -> None:
    store = _open(path)
    said = [feedback_event(n, run_id="r") for n in range(1, 11)]
    own = [
        replace(run_event(n), body=Control(Alarm("breaker_open", "a")), event_id=f"c{n}")
        for n in range(11, 11 + MAX_RUNS + 50)
    ]
    store.commit(commit_of(1, [*said, *own], delta=Delta()))
    seqs = [event.seq for _, event in store.log.read(limit=10_000)]
    assert seqs == [*range(1, 11), *range(61, 11 + MAX_RUNS + 50)]

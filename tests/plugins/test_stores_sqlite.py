"""The SQLite store where the file, the disk or another program is in the way."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from hivefeedback.errors import (
    ConfigurationError,
    InvalidInputError,
    StoreCorruptError,
    StoreUnreachableError,
    StoreVersionError,
)
from hivefeedback.hooks import FollowedAggregates, Record, Selector
from hivefeedback.model import JournalEntry
from hivefeedback.testing.store_samples import T0, commit_of, feedback_event, run_event
from hivefeedback_stores import sqlite_log
from hivefeedback_stores.sqlite import SqliteStore


def _url(folder: Path) -> str:
    return f"sqlite:///{folder}/hive.db"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(_url(tmp_path), busy_timeout_s=0.05)
    yield store
    store.close()


@contextmanager
def _other_program(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _ordinary_user() -> Iterator[None]:
    """Rights of files do not bind root: be somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_lock_that_is_held_too_long_is_told_and_does_no_harm(tmp_path: Path, store: SqliteStore) -> None:
    with _other_program(tmp_path / "hive.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnreachableError, match=r"hive\.db was locked by another program"):
            store.commit(commit_of(1, [run_event(1)]))
        assert store.log.count() == 0
        other.execute("ROLLBACK")
    store.commit(commit_of(1, [run_event(1)]))
    assert store.log.count() == 1


def test_a_full_disk_loses_nothing_that_is_tried_again(store: SqliteStore) -> None:
    store.commit(commit_of(1, [run_event(1)]))
    store.close()
    store = SqliteStore(store.url)
    big = commit_of(2, [feedback_event(2, comment="x" * 400_000)])
    with store._database.write() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 3}").fetchall()
    with pytest.raises(StoreUnreachableError, match="disk is full"):
        store.commit(big)
    assert store.log.count() == 1
    with store._database.write() as connection:
        connection.execute("PRAGMA max_page_count = 100000").fetchall()
    store.commit(big)
    assert store.log.count() == 2
    store.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hive.db").write_bytes(b"my notes, precious\n" * 100)
    with pytest.raises(StoreCorruptError, match=r"hive\.db is damaged or is no SQLite database"):
        SqliteStore(_url(tmp_path))
    assert (tmp_path / "hive.db").read_bytes() == b"my notes, precious\n" * 100


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    with _other_program(tmp_path / "hive.db") as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreCorruptError, match="another program"):
        SqliteStore(_url(tmp_path))
    with _other_program(tmp_path / "hive.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_a_damaged_file_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    store = SqliteStore(_url(tmp_path))
    store.commit(commit_of(1, [run_event(n) for n in range(1, 2000)]))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    with pytest.raises(StoreCorruptError, match=r"hive\.db"):  # noqa: PT012  # where it shows depends on the page
        damaged = SqliteStore(_url(tmp_path))
        try:
            damaged.log.read()
        finally:
            damaged.close()


def test_a_check_names_what_cannot_be_read(tmp_path: Path, store: SqliteStore) -> None:
    store.commit(commit_of(1, [run_event(1), run_event(2)]))
    for head in range(3):
        store.journal.append(JournalEntry(at_s=T0, state="edited"), expected_head=head)
    with _other_program(tmp_path / "hive.db") as other:
        other.execute("UPDATE events SET payload = '{}' WHERE position = 2")
        other.execute("DELETE FROM journal WHERE seq = 2")
    said = store.check()
    assert any("journal entry 2 is missing" in s for s in said)
    assert any("position 2" in s for s in said)
    with pytest.raises(StoreCorruptError, match="position 2"):
        store.log.read()


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteStore(_url(tmp_path)).close()
    with _other_program(tmp_path / "hive.db") as other:
        other.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match="newer hivefeedback"):
            SqliteStore(_url(tmp_path), read_only=read_only)


def test_a_store_opened_for_reading_reads_what_others_write_and_refuses_writes(
    tmp_path: Path, store: SqliteStore
) -> None:
    reader = SqliteStore(_url(tmp_path), read_only=True)
    store.commit(commit_of(1, [run_event(1)]))
    assert reader.log.count() == 1
    for write in (
        lambda: reader.commit(commit_of(2)),
        lambda: reader.journal.put_body("x"),
        lambda: reader.state.put(Record("n", "k", b"")),
    ):
        with pytest.raises(StoreUnreachableError, match="reading only"):
            write()
    reader.close()


def test_opening_for_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match="does not exist"):
        SqliteStore(_url(tmp_path), read_only=True)
    assert not (tmp_path / "hive.db").exists()
    (tmp_path / "hive.db").mkdir()
    with pytest.raises(StoreUnreachableError, match=r"hive\.db is a folder"):
        SqliteStore(_url(tmp_path), read_only=True)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnreachableError, match="cannot be made"):
        SqliteStore(f"sqlite:///{tmp_path}/file/hive.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnreachableError, match=r"folder\.db"):
        SqliteStore(f"sqlite:///{tmp_path}/folder.db")


def test_a_store_without_the_right_to_write_can_be_read_only() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = SqliteStore(_url(folder))
        store.commit(commit_of(1, [run_event(1)]))
        store.close()
        (folder / "hive.db").chmod(0o444)
        folder.chmod(0o555)
        with _ordinary_user():
            with pytest.raises(StoreUnreachableError, match=r"hive\.db.*rights"):
                SqliteStore(_url(folder))
            with pytest.raises(StoreUnreachableError, match=r"other\.db: it cannot be opened"):
                SqliteStore(f"sqlite:///{folder}/other.db")
            reader = SqliteStore(_url(folder), read_only=True)
            assert reader.log.count() == 1
            reader.close()
        folder.chmod(0o755)


def test_a_commit_with_a_text_that_is_no_unicode_is_refused_whole(store: SqliteStore) -> None:
    with pytest.raises(InvalidInputError, match="surrogate"):
        store.commit(commit_of(1, [run_event(1), feedback_event(2, comment="\ud800")]))
    with pytest.raises(InvalidInputError):
        store.commit(commit_of(1, [run_event(1)], records=[Record("n", "\ud800", b"")]))
    assert store.log.count() == 0
    store.commit(commit_of(1, [run_event(1)]))
    assert store.log.count() == 1
    assert store.aggregates.read(from_s=T0, to_s=T0 + 60).coverage.n_runs == 1


def test_numbers_beyond_64_bits_are_refused(store: SqliteStore) -> None:
    with pytest.raises(InvalidInputError, match="64 bits"):
        store.commit(commit_of(1, [run_event(1 << 70)]))
    assert store.log.count() == 0


def test_what_was_erased_is_gone_from_the_bytes_of_the_files(tmp_path: Path, store: SqliteStore) -> None:
    events = [run_event(n, session_id="s3cret-session") for n in range(1, 50)]
    store.commit(commit_of(1, [*events, feedback_event(60, session_id="s3cret-session", comment="s3cret-words")]))
    body = store.journal.put_body("s3cret-text")
    store.log.erase(Selector(session="s3cret-session"))
    store.journal.erase_body(body)
    left = b"".join(path.read_bytes() for path in tmp_path.glob("hive.db*"))
    assert b"s3cret" not in left


def test_long_erasures_are_done_piece_by_piece(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "STEP", 3)
    events = [run_event(n, session_id=f"s{n % 2}", trace_id=f"t{n}") for n in range(1, 21)]
    said = [feedback_event(30 + n, trace_id=f"t{n}", rating=1.0) for n in range(1, 21)]
    store.commit(commit_of(1, [*events, *said]))
    assert store.log.erase(Selector(session="s0")) == 20
    assert {e.seq for _, e in store.log.read()} == {n for n in range(1, 51) if n % 2} - set(range(21, 31))
    assert store.aggregates.read(from_s=T0, to_s=T0 + 60).coverage.n_runs == 10
    assert store.log.retain(before_s=T0 + 1) == 20


def test_a_store_opens_while_another_program_writes_for_long(tmp_path: Path, store: SqliteStore) -> None:
    store.commit(commit_of(1, [run_event(1)]))
    with _other_program(tmp_path / "hive.db") as other:
        other.execute("BEGIN IMMEDIATE")
        late = SqliteStore(_url(tmp_path), busy_timeout_s=0.05)
        assert late.log.count() == 1
        other.execute("ROLLBACK")
    late.commit(commit_of(2, [run_event(2)]))
    assert late.log.count() == 2
    late.close()


def test_joins_of_dropped_events_are_dropped_too(tmp_path: Path, store: SqliteStore) -> None:
    store.commit(commit_of(1, [run_event(n, at_s=T0 + n, session_id="s") for n in range(1, 6)]))
    store.commit(commit_of(2, [run_event(n, at_s=T0 + n, session_id="s") for n in range(1, 6)]))
    store.log.retain(before_s=T0 + 4)
    with _other_program(tmp_path / "hive.db") as other:
        assert other.execute("SELECT count(*) FROM joins").fetchone() == (2,)
    store.log.retain(before_s=T0 + 9)
    with _other_program(tmp_path / "hive.db") as other:
        assert other.execute("SELECT count(*) FROM joins").fetchone() == (0,)


def test_paths_may_hold_spaces_and_signs_and_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("sqlite:///new folder/50%25 ünï#1.db")
    store.commit(commit_of(1, [run_event(1)]))
    store.close()
    assert (tmp_path / "new folder" / "50% ünï#1.db").is_file()
    reader = SqliteStore("sqlite:///new folder/50%25 ünï#1.db", read_only=True)
    assert reader.log.count() == 1
    reader.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://host/x.db", "sqlite:///x/", "sqlite:///a?b", "x"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        SqliteStore(url)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 129, 200])
def test_events_are_written_each_once_and_in_order_however_many_come_together(store: SqliteStore, n: int) -> None:
    events = [run_event(i) for i in range(1, n + 1)]
    store.commit(commit_of(1, events[: n // 2]))
    store.commit(commit_of(2, events))  # half of them are there already
    assert [event for _, event in store.log.read()] == events


# --- an older version ---------------------------------------------------------------------------

_BACK_TO_1 = """
DROP INDEX cells_by_revision;
DROP INDEX exemplars_by_revision;
ALTER TABLE cells DROP COLUMN revision;
ALTER TABLE exemplars DROP COLUMN revision;
DELETE FROM meta WHERE name IN ('folded', 'epoch');
UPDATE meta SET value = '1' WHERE name = 'schema_version';
"""


def _version_1(folder: Path) -> int:
    """A file as version 1 left it, with folded and waiting deltas; answers how many runs it holds."""
    store = SqliteStore(_url(folder))
    for number in range(1, 21):
        store.commit(commit_of(number, [run_event(number)]))
    store.close()
    connection = sqlite3.connect(folder / "hive.db")
    connection.executescript(_BACK_TO_1)
    connection.close()
    return 20


def _n_runs(store: SqliteStore) -> int:
    return store.aggregates.read(from_s=T0 - 60, to_s=T0 + 60).coverage.n_runs


def test_a_file_of_version_1_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    n_runs = _version_1(tmp_path)
    store = SqliteStore(_url(tmp_path))
    assert _n_runs(store) == n_runs
    assert isinstance(store.aggregates, FollowedAggregates)
    first = store.aggregates.changes(after="", from_s=0.0)
    for number in range(21, 60):
        store.commit(commit_of(number, [run_event(number)]))
    changed = store.aggregates.changes(after=first.mark, from_s=0.0)
    assert not changed.is_whole
    assert _n_runs(store) == 59
    store.close()
    again = SqliteStore(_url(tmp_path))
    assert _n_runs(again) == 59
    again.close()


def test_a_file_of_version_1_can_be_read_as_it_is(tmp_path: Path) -> None:
    n_runs = _version_1(tmp_path)
    store = SqliteStore(_url(tmp_path), read_only=True)
    assert _n_runs(store) == n_runs
    assert isinstance(store.aggregates, FollowedAggregates)
    for mark in ("", store.aggregates.changes(after="", from_s=0.0).mark):
        changes = store.aggregates.changes(after=mark, from_s=0.0)
        assert changes.is_whole
        counted = [s.cell.n_runs for s in (*changes.replaced, *changes.added)]
        assert sum(counted) == n_runs
    store.close()
    connection = sqlite3.connect(tmp_path / "hive.db")
    assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == ("1",)
    connection.close()


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_is_removed_while_it_is_open_is_told_once_and_begun_anew(
    tmp_path: Path, store: SqliteStore, is_replaced: bool
) -> None:
    store.commit(commit_of(1, [run_event(1)]))
    for path in tmp_path.glob("hive.db*"):
        path.unlink()
    if is_replaced:
        with closing(SqliteStore(_url(tmp_path))) as other:
            other.commit(commit_of(1, [run_event(5)], producer="q"))
    with pytest.raises(StoreUnreachableError, match="removed or replaced while it was open"):
        store.commit(commit_of(2, [run_event(2)]))
    store.commit(commit_of(2, [run_event(2)]))
    store.commit(commit_of(3, [run_event(3)]))
    with closing(SqliteStore(_url(tmp_path))) as again:
        for reader in (again, store):
            assert [e.seq for _, e in reader.log.read()] == ([5, 2, 3] if is_replaced else [2, 3])
            assert reader.check() == []


def test_who_only_reads_a_file_that_is_removed_makes_no_empty_one(tmp_path: Path, store: SqliteStore) -> None:
    store.commit(commit_of(1, [run_event(1)]))
    for path in tmp_path.glob("hive.db*"):
        path.unlink()
    with pytest.raises(StoreUnreachableError):
        store.commit(commit_of(2, [run_event(2)]))
    for _ in range(2):
        with pytest.raises(StoreUnreachableError, match="removed or replaced"):
            store.journal.head()
    assert list(tmp_path.glob("hive.db*")) == []


def test_a_thread_whose_commit_fails_leaves_nothing_to_the_one_that_commits_meanwhile(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process then writes under the number that the failed commit had."""
    refused = commit_of(9, [run_event(n) for n in range(900, 905)], producer="q", records=[Record("n", "\ud800", b"")])
    keep, threads = store._written.keep, list[threading.Thread]()

    def fail() -> None:
        with suppress(InvalidInputError):
            store.commit(refused)

    def keep_late() -> None:
        if not threads:
            threads.append(threading.Thread(target=fail))
            threads[0].start()
            threads[0].join(0.3)  # it waits for us, where all is well
        keep()

    monkeypatch.setattr(store._written, "keep", keep_late)
    store.commit(commit_of(1, [run_event(1)]))
    threads[0].join()
    with closing(SqliteStore(store.url)) as other:
        other.commit(commit_of(1, [run_event(2, producer="r")], producer="r"))
    for number in range(2, 20):
        store.commit(commit_of(number, [run_event(number + 10)]))
    counted = store.aggregates.read(from_s=T0 - 86_400, to_s=T0 + 86_400).coverage.n_runs
    assert counted == store.log.count() == 20

"""Files of older versions are upgraded with a copy beside them; newer ones are refused and left as they are."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hivefeedback.errors import StoreUnreachableError, StoreVersionError
from hivefeedback.hooks import Record
from hivefeedback.model import JournalEntry
from hivefeedback.testing.store_samples import T0, commit_of, feedback_event, run_event
from hivefeedback_stores.json import JsonStore
from hivefeedback_stores.sqlite import SqliteStore

_TO_2 = "DROP TABLE blocks; UPDATE meta SET value = '2' WHERE name = 'schema_version';"
_TO_1 = """
DROP INDEX cells_by_revision;
DROP INDEX exemplars_by_revision;
ALTER TABLE cells DROP COLUMN revision;
ALTER TABLE exemplars DROP COLUMN revision;
DELETE FROM meta WHERE name IN ('folded', 'epoch');
UPDATE meta SET value = '1' WHERE name = 'schema_version';
"""
_OLDER = {"1": _TO_2 + _TO_1, "2": _TO_2}


def _older(folder: Path, version: str) -> str:
    """A file as an older version left it; its URL."""
    url = f"sqlite:///{folder}/hive.db"
    store = SqliteStore(url)
    for number in range(1, 21):
        store.commit(commit_of(number, [run_event(2 * number), feedback_event(2 * number + 1, comment="so")]))
    store.state.put(Record("n", "k", b"v"))
    store.journal.append(JournalEntry(at_s=T0, state="declared"), expected_head=0)
    store.journal.put_body("a text")
    store.close()
    with closing(sqlite3.connect(folder / "hive.db")) as connection:
        connection.executescript(_OLDER[version])
    return url


def _told(store: SqliteStore) -> tuple[object, ...]:
    view = store.aggregates.read(from_s=T0 - 60, to_s=T0 + 60)
    record = store.state.get("n", "k")
    return list(store.log.read()), view.coverage.n_runs, store.journal.read(), record, store.journal.put_body("a text")


@pytest.mark.parametrize("version", _OLDER)
def test_an_older_file_is_upgraded_and_what_it_was_lies_beside_it(
    version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = _older(tmp_path, version)
    with caplog.at_level(logging.WARNING):
        store = SqliteStore(url)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"from schema {version} to 3" in line
    assert f"hive.db.v{version}.bak" in line
    events, n_runs, *_ = told = _told(store)
    assert (len(events), n_runs) == (40, 20)  # type: ignore[arg-type]  # the first is a list
    store.close()
    copy = tmp_path / f"hive.db.v{version}.bak"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (version,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again = SqliteStore(f"sqlite:///{copy}")  # somebody puts the copy back
    assert _told(again) == told
    again.close()


def test_a_file_that_is_up_to_date_is_not_copied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        store = SqliteStore(f"sqlite:///{tmp_path}/hive.db")
        store.commit(commit_of(1, [run_event(1)]))
        store.close()
    assert not list(tmp_path.glob("*.bak*"))
    assert caplog.records == []


def test_an_older_file_that_is_only_read_stays_as_it_is(tmp_path: Path) -> None:
    url = _older(tmp_path, "1")
    before = (tmp_path / "hive.db").read_bytes()
    store = SqliteStore(url, read_only=True)
    assert len(store.log.read()) == 40
    store.close()
    assert (tmp_path / "hive.db").read_bytes() == before
    assert not list(tmp_path.glob("*.bak*"))


def test_without_room_for_a_copy_nothing_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = _older(tmp_path, "2")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hivefeedback_stores.sqlite_backup.os.replace", full)
        with pytest.raises(StoreUnreachableError, match=r"hive\.db\.v2\.bak.*No space left"):
            SqliteStore(url)
    assert not list(tmp_path.glob("*.bak*"))
    with closing(sqlite3.connect(tmp_path / "hive.db")) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == ("2",)
    store = SqliteStore(url)
    assert len(store.log.read()) == 40
    store.close()


def test_two_processes_that_open_an_older_file_upgrade_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = _older(tmp_path, "1")
    one = SqliteStore(url)
    two = SqliteStore(url)
    one.commit(commit_of(1, [run_event(1, producer="q")], producer="q"))
    two.commit(commit_of(1, [run_event(1, producer="s")], producer="s"))
    assert len(one.log.read()) == 42
    assert len(caplog.records) == 1
    one.close()
    two.close()


# --- JSON: there is one version so far ----------------------------------------------------------

_JSON_1 = """{"hivefeedback":{"version":1,"revision":7,"salt":"0123","horizon":[0,0,0],"next_position":3},
"checkpoint":null,
"lease":{"holder":"","token":2,"beat":9,"length_s":0.0},
"journal":[
{"seq":1,"at_s":1700000400.0,"state":"declared","mutation_id":"","by":"","why":"","mutation":null,"plan_hash":"",\
"verdicts":[],"patch":[],"rollout":null,"content_hash":"","numbers":{},"token":0}
],
"texts":[
{"hash":"ab","text":"a text"}
],
"cells":[],
"newest":[],
"records":[
{"namespace":"n","key":"k","version":3,"value":"v"}
],
"commits":[
{"producer":"p","epoch":1,"applied":[1,[]]}
],
"events":[
{"position":2,"event":{"producer":"p","epoch":1,"seq":1,"event_id":"r-p-1-1","event_time_s":1700000400.0,\
"ingest_time_s":1700000400.0,"body":{"type":"run","deployment":"a","operation":"op"}}}
]}
"""


def test_a_json_file_of_the_first_version_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "hive.json"
    path.write_text(_JSON_1, encoding="utf-8")
    for _ in range(2):
        store = JsonStore(f"json:///{path}")
        assert [e.event_id for _, e in store.log.read()] == ["r-p-1-1"]
        assert store.journal.body("ab") == "a text"
        assert store.journal.head() == 1
        assert store.state.get("n", "k") == Record("n", "k", b"v", 3)
        store.commit(commit_of(1, [run_event(1)]))  # was applied, as the file says
        assert store.log.count() == 1
        store.close()
    assert not list(tmp_path.glob("*.bak*"))


def test_a_json_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hive.json"
    path.write_text(_JSON_1.replace('"version":1,"rev', '"version":2,"rev'), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match="upgrade hivefeedback"):
        JsonStore(f"json:///{path}")
    assert path.read_bytes() == before

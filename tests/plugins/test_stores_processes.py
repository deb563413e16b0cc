"""Several real processes on one store: nothing is lost, whenever one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hivefeedback.hooks import Store
from hivefeedback.stats import View
from hivefeedback_stores.plugin import StoresPlugin

URLS = {"sqlite": "sqlite:///{}/hive.db", "json": "json:///{}/hive.json"}
PRELUDE = """
import os, sys
from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record
from hivefeedback.model import JournalEntry
from hivefeedback.testing.store_samples import commit_of, run_event
from hivefeedback_stores.plugin import StoresPlugin

url, name = sys.argv[1], sys.argv[2]
store = StoresPlugin().hive_stores()[url.split(":")[0]](url)

def commit(number):
    events = [run_event(number * 10 + i, producer=name) for i in range(5)]
    store.commit(commit_of(number, events, producer=name))

def retried(attempt):
    while True:
        try:
            return attempt()
        except ConflictError:
            continue

def count():
    old = store.state.get("n", "count")
    value = int(old.value) if old else 0
    store.state.put(Record("n", "count", b"%d" % (value + 1)), expected=old.version if old else 0)
"""
WRITER = (
    PRELUDE
    + """
for number in range(1, int(sys.argv[3]) + 1):
    commit(number)
    retried(count)
    entry = JournalEntry(at_s=1.0, state="edited", by=name)
    retried(lambda: store.journal.append(entry, expected_head=store.journal.head()))
store.close()
"""
)
RESTLESS = (
    PRELUDE
    + """
for number in range(1, 1_000_000):
    commit(number)
    print(number, flush=True)
"""
)
FORKER = (
    PRELUDE
    + """
commit(1)
store.aggregates.read(from_s=0, to_s=1)
child = os.fork()
if child == 0:
    name = "child"
    commit(1)
    commit(2)
    os._exit(0 if store.log.count() >= 15 else 1)
commit(2)
_, status = os.waitpid(child, 0)
commit(3)
store.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""
)


def _start(script: str, url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, url, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def _open(url: str) -> Store:
    return StoresPlugin().hive_stores()[url.split(":")[0]](url)


def _everything(store: Store) -> View:
    return store.aggregates.read(from_s=0, to_s=4e9)


@pytest.mark.parametrize(("scheme", "n_processes", "n_steps"), [("sqlite", 2, 30), ("json", 4, 12)])
def test_processes_that_write_at_once_lose_nothing_to_each_other(
    tmp_path: Path, scheme: str, n_processes: int, n_steps: int
) -> None:
    url = URLS[scheme].format(tmp_path)
    writers = [_start(WRITER, url, f"p{i}", str(n_steps)) for i in range(n_processes)]
    for writer in writers:
        _finish(writer)
    store = _open(url)
    total = n_processes * n_steps
    record = store.state.get("n", "count")
    assert record is not None
    assert int(record.value) == record.version == total
    assert [e.seq for e in store.journal.read()] == list(range(1, total + 1))
    assert store.log.count() == _everything(store).coverage.n_runs == 5 * total
    assert list(store.check()) == []
    store.close()


@pytest.mark.parametrize("scheme", ["sqlite", "json"])
def test_a_process_killed_between_and_within_commits_leaves_whole_commits_only(tmp_path: Path, scheme: str) -> None:
    url = URLS[scheme].format(tmp_path)
    n_said = 0
    for trial, n_lines in enumerate((1, 3, 8, 15)):
        process = _start(RESTLESS, url, f"p{trial}")
        assert process.stdout is not None
        for _ in range(n_lines):
            assert process.stdout.readline()
        process.kill()
        rest, _ = process.communicate(timeout=60)
        n_said += n_lines + len(rest.splitlines())
        store = _open(url)
        n_events = store.log.count()
        assert list(store.check()) == []
        assert n_events % 5 == 0
        assert n_events >= 5 * n_said
        assert _everything(store).coverage.n_runs == n_events
        n_said = n_events // 5
        store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("scheme", ["sqlite", "json"])
def test_parent_and_child_both_go_on_after_a_fork(tmp_path: Path, scheme: str) -> None:
    url = URLS[scheme].format(tmp_path)
    _finish(_start(FORKER, url, "parent"))
    store = _open(url)
    assert store.log.count() == _everything(store).coverage.n_runs == 25
    assert list(store.check()) == []
    store.close()

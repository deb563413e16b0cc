"""Files cut off or with a flipped bit, and commits that come twice, late or out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from hivefeedback.errors import StoreCorruptError, StoreVersionError
from hivefeedback.hooks import Record, Store
from hivefeedback.model import JournalEntry
from hivefeedback.testing.store_samples import T0, commit_of, run_event
from hivefeedback_stores.json import JsonStore
from hivefeedback_stores.sqlite import SqliteStore

N_RUNS = 600
DAY = 86_400
OPENERS: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda folder: SqliteStore(f"sqlite:///{folder}/hive.db"),
    "json": lambda folder: JsonStore(f"json:///{folder}/hive.json"),
}


@pytest.fixture(autouse=True, scope="module")
def _blocks_of_few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hivefeedback_stores.sqlite_log.FEWEST", 16)
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SQLite file with something in every table."""
    folder = tmp_path_factory.mktemp("filled")
    store = SqliteStore(f"sqlite:///{folder}/hive.db")
    for number in range(1, 7):
        first = (number - 1) * N_RUNS // 6
        events = [run_event(n, session_id=f"s{n % 9}") for n in range(first + 1, first + N_RUNS // 6 + 1)]
        store.commit(commit_of(number, events, records=[Record("n", str(number), b"v" * 40)]))
    for head in range(5):
        why = store.journal.put_body(f"why {head}")
        store.journal.append(JournalEntry(at_s=T0, state="edited", why=why), expected_head=head)
    store.close()
    return (folder / "hive.db").read_bytes()


def _use(path: Path) -> tuple[int, int]:
    """Everything that a process reads; how many events and counted runs there are."""
    store = SqliteStore(f"sqlite:///{path}")
    try:
        read = len(store.log.read())
        entries = store.journal.read()
        for entry in entries:
            store.journal.body(entry.why)
        store.state.list("n")
        n_runs = store.aggregates.read(from_s=0, to_s=4e9).coverage.n_runs
        store.commit(commit_of(9, [run_event(9000)]))
        assert entries == tuple(sorted(entries, key=lambda e: e.seq))
        return read, n_runs
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_file_that_was_cut_off_is_told_with_its_name_and_never_taken_for_whole(
    tmp_path: Path, filled: bytes, seed: int
) -> None:
    path = tmp_path / "hive.db"
    cut = filled[: Random(seed).randrange(1, len(filled) - 4096)]
    path.write_bytes(cut)
    with pytest.raises(StoreCorruptError, match=r"hive\.db"):
        _use(path)
    assert path.read_bytes() == cut, "it stays as it is, for who can mend it"


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_is_told_or_does_no_harm(tmp_path: Path, filled: bytes, seed: int) -> None:
    """A bit in what nobody reads, or in a number, shows in nothing; one that breaks the file is told."""
    path, rng = tmp_path / "hive.db", Random(seed)
    flipped = bytearray(filled)
    flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    path.write_bytes(flipped)
    said = ""
    try:
        n_events, n_runs = _use(path)
    except (StoreCorruptError, StoreVersionError) as error:
        said = str(error)
    if said:
        assert "hive.db" in said
    else:
        assert n_events <= N_RUNS
        assert n_runs >= 0


def test_no_page_can_be_overwritten_without_the_check_saying_so(tmp_path: Path, filled: bytes) -> None:
    path, page_size = tmp_path / "hive.db", int.from_bytes(filled[16:18], "big")
    for begin in range(page_size, len(filled), page_size):
        path.write_bytes(filled[:begin] + b"\xa5" * page_size + filled[begin + page_size :])
        said: list[str] = []
        try:
            store = SqliteStore(f"sqlite:///{path}")
            try:
                said += store.check()
            finally:
                store.close()
        except StoreCorruptError as error:
            said.append(str(error))
        assert said, f"page at {begin}"


@pytest.mark.parametrize("scheme", OPENERS)
def test_deltas_that_come_twice_and_out_of_order_across_restarts_count_once(tmp_path: Path, scheme: str) -> None:
    commits = [commit_of(n, [run_event(n)]) for n in range(1, 31)]
    rng = Random(3)
    sent = commits + rng.sample(commits, 15)
    rng.shuffle(sent)
    for start in range(0, len(sent), 9):
        store = OPENERS[scheme](tmp_path)
        for commit in sent[start : start + 9]:
            store.commit(commit)
        store.close()
    store = OPENERS[scheme](tmp_path)
    assert store.log.count() == 30
    assert store.aggregates.read(from_s=T0, to_s=T0 + 60).coverage.n_runs == 30
    store.close()


@pytest.mark.parametrize("scheme", OPENERS)
def test_a_delta_beyond_retention_is_taken_and_goes_with_the_next_upkeep(tmp_path: Path, scheme: str) -> None:
    """A host that was away for more than a year: what it says is no error, and is not kept."""
    store, now_s = OPENERS[scheme](tmp_path), T0 + 500 * DAY
    store.commit(commit_of(1, [run_event(1, at_s=now_s)]))
    store.aggregates.compact(now_s=now_s)
    store.commit(commit_of(2, [run_event(2, at_s=T0)]))
    store.aggregates.compact(now_s=now_s + DAY)
    store.log.retain(before_s=now_s - 30 * DAY)
    view = store.aggregates.read(from_s=0, to_s=now_s + DAY)
    assert view.coverage.n_runs == 1
    assert min(s.start_s for s in view.slices) > now_s - DAY
    assert store.log.count() == 1
    assert list(store.check()) == []
    store.close()


@pytest.mark.parametrize("scheme", OPENERS)
def test_a_late_delta_of_an_earlier_start_of_the_process_is_counted_once(tmp_path: Path, scheme: str) -> None:
    store = OPENERS[scheme](tmp_path)
    store.commit(commit_of(1, [run_event(1, epoch=2)], epoch=2))
    late = commit_of(1, [run_event(1, epoch=1)], epoch=1)
    for _ in range(2):
        store.commit(late)
    assert store.log.count() == store.aggregates.read(from_s=T0, to_s=T0 + 60).coverage.n_runs == 2
    store.close()

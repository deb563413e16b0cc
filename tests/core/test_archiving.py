"""The log stays within its age and size; what leaves it is archived before, exactly once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.control import archiving
from hivefeedback.errors import ConfigurationError, StoreUnreachableError
from hivefeedback.hooks import Store
from hivefeedback.model import Event
from hivefeedback.testing import FakeClock
from hivefeedback.testing.store_samples import commit_of, run_event
from hivefeedback_stores.archive import FolderArchive, open_archive
from tests.plugins.redis_servers import INSTALL, name_of, running

URLS = ("sqlite:///{}/hive.db", "json:///{}/hive.json", "memory://{}", "redis", "redis-shards")
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def redis_url(skip_or_fail: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = skip_or_fail("redis-server", INSTALL)
    with running(program, tmp_path_factory.mktemp("redis"), "--appendonly", "yes") as server:
        yield server.url("")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=URLS)
def begin(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Callable[..., FeedbackLoop]:
    def make(**settings: object) -> FeedbackLoop:
        url = str(request.param).format(tmp_path)
        if url in ("redis", "redis-shards"):
            options = "&shards=3" if url == "redis-shards" else ""
            url = request.getfixturevalue("redis_url") + name_of(tmp_path) + options
        return FeedbackLoop(store=url, deployments=["a"], clock=clock, retain_events_s=DAY_S, **settings)  # type: ignore[arg-type]  # settings of any kind

    return make


def record(loop: FeedbackLoop, n: int, **fields: str) -> list[str]:
    return [loop.record(Run("a", "op", "ok", 0.1, **fields)) for _ in range(n)]  # type: ignore[arg-type]  # ids


def ids_in(log: Sequence[tuple[int, Event]]) -> list[str]:
    return [event.event_id for _, event in log if event.event_id.startswith("r")]


def ids_of(store: Store) -> list[str]:
    return ids_in(store.log.read(limit=100_000))


def archived(folder: Path) -> list[str]:
    return ids_in(open_archive(folder).read(limit=100_000))


def test_what_is_too_old_is_in_the_archive_and_not_in_the_log(
    begin: Callable[..., FeedbackLoop], clock: FakeClock, tmp_path: Path
) -> None:
    with begin(archive=str(tmp_path / "archive")) as loop:
        old = record(loop, 30)
        clock.advance(DAY_S + 60.0)
        new = record(loop, 20)
        loop.turn()
        assert (archived(tmp_path / "archive"), ids_of(loop.store)) == (old, new)
        assert loop.stats(window_s=3 * DAY_S).rows[0].n_runs == 50
        clock.advance(DAY_S + 60.0)
        loop.turn()
        assert (archived(tmp_path / "archive"), ids_of(loop.store)) == ([*old, *new], [])


def test_without_an_archive_old_events_are_dropped_as_before(
    begin: Callable[..., FeedbackLoop], clock: FakeClock
) -> None:
    with begin() as loop:
        record(loop, 30)
        clock.advance(DAY_S + 60.0)
        new = record(loop, 20)
        loop.turn()
        assert ids_of(loop.store) == new


@pytest.mark.parametrize("has_archive", [False, True])
def test_the_oldest_beyond_a_number_leave_the_log(
    has_archive: bool, begin: Callable[..., FeedbackLoop], clock: FakeClock, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    with begin(retain_events_n=1000, archive=str(folder) if has_archive else "") as loop:
        loop.store.commit(commit_of(1, [run_event(n, at_s=clock(), deployment="abc"[n % 3]) for n in range(1, 1501)]))
        before = loop.store.log.read(limit=100_000)
        loop.turn()
        left = loop.store.log.read(limit=100_000)
        assert 1000 <= len(left) <= 1020  # what the turn itself noted came later
        assert left[0][1] == before[-1000][1]
        if has_archive:
            kept = [event for _, event in open_archive(folder).read(limit=100_000)]
            assert [*kept, *(e for _, e in left)][: len(before)] == [e for _, e in before]


def test_much_is_archived_in_the_course_of_several_turns(
    begin: Callable[..., FeedbackLoop], clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "PAGE", 20)
    monkeypatch.setattr(archiving, "PAGES", 2)
    with begin(archive=str(tmp_path / "archive")) as loop:
        old = record(loop, 100)
        clock.advance(DAY_S + 60.0)
        counts = list[int]()
        while not counts or counts[-1] < 100:
            loop.turn()
            counts.append(len(archived(tmp_path / "archive")))
            clock.advance(60.0)
        assert counts[0] < counts[1] < 100
        assert archived(tmp_path / "archive") == old
        assert ids_of(loop.store) == []


def _full(archive: FolderArchive, events: Sequence[Event]) -> None:
    raise StoreUnreachableError("the disk is full")


def test_what_cannot_be_archived_stays_in_the_log_and_goes_later(
    begin: Callable[..., FeedbackLoop],
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with begin(archive=str(tmp_path / "archive"), retain_events_n=1000) as loop:
        old = record(loop, 30)
        clock.advance(DAY_S + 60.0)
        write = FolderArchive.write
        monkeypatch.setattr(FolderArchive, "write", _full)
        with caplog.at_level(logging.ERROR):
            loop.turn()
        assert "the disk is full" in caplog.text
        assert ids_of(loop.store) == old
        monkeypatch.setattr(FolderArchive, "write", write)
        clock.advance(3700.0)
        loop.turn()
        assert (archived(tmp_path / "archive"), ids_of(loop.store)) == (old, [])


def test_a_process_that_is_killed_between_archive_and_log_loses_and_doubles_nothing(
    begin: Callable[..., FeedbackLoop], clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = begin(archive=str(tmp_path / "archive"))
    old = record(loop, 30)
    clock.advance(DAY_S + 60.0)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(loop.store.log), "drop", killed)
        with pytest.raises(KeyboardInterrupt):
            loop.turn()
    assert (archived(tmp_path / "archive"), ids_of(loop.store)) == (old, old)
    clock.advance(60.0)
    loop.turn()
    assert (archived(tmp_path / "archive"), ids_of(loop.store)) == (old, [])
    loop.close()


def test_an_erasure_reaches_the_archive(begin: Callable[..., FeedbackLoop], clock: FakeClock, tmp_path: Path) -> None:
    with begin(archive=str(tmp_path / "archive")) as loop:
        for user in ("ann", "bob"):
            (run_id,) = record(loop, 1, user_id=user)
            loop.feedback(Feedback("success", True, run_id=run_id, comment=f"from {user}"))
        clock.advance(DAY_S + 60.0)
        record(loop, 1, user_id="ann")
        loop.turn()
        assert loop.erase(user="ann") == 3
        kept = [event for _, event in open_archive(tmp_path / "archive").read()]
        assert [e.body.comment for e in kept if isinstance(e.body, Feedback)] == ["from bob"]
        assert ids_of(loop.store) == []


def test_an_archive_that_cannot_be_reached_stops_an_erasure_before_anything_went(
    begin: Callable[..., FeedbackLoop], tmp_path: Path
) -> None:
    (tmp_path / "archive").write_text("no folder", encoding="utf-8")
    with begin(archive=str(tmp_path / "archive")) as loop:
        record(loop, 3, session_id="s")
        with pytest.raises(StoreUnreachableError, match="archive"):
            loop.erase(session="s")
        assert len(ids_of(loop.store)) == 3


def test_a_format_that_nobody_offers_is_refused_at_the_start(begin: Callable[..., FeedbackLoop]) -> None:
    with pytest.raises(ConfigurationError, match="'jsonl', 'parquet'"):
        begin(archive="somewhere", archive_format="xml")

"""Worker processes beside applications: one leads, another takes over, and nothing is done twice."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.cli.reader import reading
from hivefeedback.model import Mutation, MutationKind, Run
from hivefeedback.settings import load_settings
from hivefeedback.testing import EvenPolicy
from tests.e2e.workers import GIVE_UP_S, LEASE_S, Worker, until
from tests.plugins.redis_servers import INSTALL, running

Start = Callable[..., Worker]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path, skip_or_fail: Callable[[str, str], str]) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hive.db'}"
        return
    with running(skip_or_fail("redis-server", INSTALL), tmp_path / "redis") as server:
        yield server.url()


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    started: list[Worker] = []

    def make(**env: str) -> Worker:
        started.append(Worker(url, **env))
        return started[-1]

    yield make
    for worker in started:
        worker.kill()


@pytest.fixture
def application(url: str) -> Iterator[FeedbackLoop]:
    """It serves, and runs no turn of its own."""
    with FeedbackLoop(url, ["a", "b"], on_store_error="raise", policy=EvenPolicy()) as loop:
        yield loop


def propose(loop: FeedbackLoop, n: int) -> str:
    """A change that waits for nobody but the one who applies it."""
    return loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="a", to=f"a-{n}"), by="test")


def n_begun(loop: FeedbackLoop, mutation_id: str) -> int:
    """How often a canary of it began."""
    entries = loop.store.journal.read()
    return sum(e.mutation_id == mutation_id and e.state == "canary" for e in entries)


def test_where_the_leader_is_killed_the_other_applies_within_its_lease_and_nothing_is_applied_twice(
    application: FeedbackLoop, start: Start
) -> None:
    first = start()
    first.until_turn()
    second = start()
    second.until_turn()
    assert (first.leads, second.leads) == (True, False)
    ids = [propose(application, 1)]
    until(lambda: n_begun(application, ids[0]) > 0, "the leader's turn")
    first.kill()
    killed_s = time.monotonic()
    application.rollback(ids[0], by="test", why="make room")
    ids.append(propose(application, 2))
    until(lambda: n_begun(application, ids[1]) > 0, "the takeover")
    assert time.monotonic() - killed_s < LEASE_S + LEASE_S / 3 + 4.0, "the lease, a look at it, and a turn"
    second.until_turn()
    assert second.leads
    assert [n_begun(application, name) for name in ids] == [1, 1]
    tokens = [e.token for e in application.store.journal.read() if e.state == "canary"]
    assert tokens == sorted(tokens), "who leads later has the larger token"
    assert len(set(tokens)) == 2
    seqs = Counter(e.seq for e in application.store.journal.read())
    assert max(seqs.values()) == 1


def test_told_to_end_a_worker_gives_the_lease_back_at_once(application: FeedbackLoop, start: Start) -> None:
    first = start(HIVEFEEDBACK_LEASE_S="30")
    first.until_turn()
    second = start(HIVEFEEDBACK_LEASE_S="30")
    second.until_turn()
    assert not second.leads
    assert first.end(signal.SIGTERM) == 0, first.said()
    assert until(lambda: second.leads, "the takeover") < 25.0, "nobody waited for the lease to run out"
    assert second.end(signal.SIGINT) == 130
    assert "Traceback" not in second.said()


def test_told_twice_to_end_a_worker_does_not_wait_for_a_store_that_it_opens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = Worker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        silent.settimeout(GIVE_UP_S)
        connection, _ = silent.accept()
        try:
            worker.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                worker.process.wait(0.8)  # a second signal sooner is the same one
            assert worker.end() == 0, worker.said()
            assert "what was in progress was abandoned" in worker.said()
        finally:
            connection.close()
            worker.kill()


def test_a_worker_waits_for_what_a_process_that_ended_waited_for(url: str, start: Start) -> None:
    with FeedbackLoop(url, ["a"], judgements={"x": []}, judgement_horizon_s=1.0, on_store_error="raise") as loop:
        loop.record(Run("a", "x", "ok", 0.1))
    worker = start(HIVEFEEDBACK_UNJUDGED="ok", HIVEFEEDBACK_JUDGEMENT_HORIZON_S="1")
    with reading(load_settings(store=url), time.time) as reader:

        def n_awaiting() -> int:
            return reader.view(3600.0).coverage.n_awaiting

        assert reader.view(3600.0).coverage.n_runs == 1
        until(lambda: n_awaiting() == 0, "the end of waiting")
        assert worker.end() == 0, worker.said()
        (cell,) = reader.view(3600.0).totals().values()
        assert (cell.judged["reward"].n, n_awaiting()) == (1, 0), "it is settled once"

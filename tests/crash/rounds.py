"""A round: four processes on a new store, killed one by one at random instants and started again."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from tests.crash.audit import audit, read_said
from tests.crash.child import Order, lines_of, live
from tests.plugins.redis_servers import AOF, INSTALL, running

__all__ = ["N_PROCESSES", "URLS", "Outcome", "play"]

T = TypeVar("T")
N_PROCESSES: Final = 4
URLS: Final = {
    "sqlite": "sqlite:///{}/hive.db",
    "json": "json:///{}/hive.json",
    "redis": "redis://127.0.0.1:{}/0?name=crash",
    "redis-shards": "redis://127.0.0.1:{}/0?name=crash&shards=3",
}
"""What the stores are called; a folder, or a server's port."""
MOST_RUNS: Final = {"sqlite": 1_000_000, "json": 2500, "redis": 1_000_000, "redis-shards": 1_000_000}
"""Runs of a round; the JSON store keeps the newest 1000 of each of four deployments."""
_LIVES_S: Final = (0.02, 0.5)
"""Shortest and longest time between two kills: a process starts, works and leads in it, or does not get so far."""
_DEADLINE_S: Final = 60.0
"""Longest wait for a process of a busy machine to begin or to take over."""


@dataclass(kw_only=True)
class Outcome:
    """What came of a round.

    Args:
        problems: Sentences; empty: all is well.
        n_kills: Processes that were killed.
        n_runs, n_feedback, n_changes: What was acknowledged.
        n_leaders: How often leadership changed hands.
        takeovers_s: From the kill of a leader to the first turn of the next one.
    """

    problems: list[str] = field(default_factory=list)
    n_kills: int = 0
    n_runs: int = 0
    n_feedback: int = 0
    n_changes: int = 0
    n_leaders: int = 0
    takeovers_s: list[float] = field(default_factory=list)


def play(folder: Path, store: str, n_kills: int, seed: int, *, is_taken_over: bool = True) -> Outcome:
    """Play a round and look at what it left.

    Args:
        folder: An empty one, for the store and what the processes write down. A Redis of the round's own
            runs in it; it stays up, since what its stop loses is said elsewhere.
        store: A name in ``URLS``.
        n_kills: At least four: all processes die in the end.
        seed: Of who is killed when, and of what the processes do. What exactly they were doing at that
            instant is up to the machine.
        is_taken_over: Wait once until another process has taken over from a leader that was killed.
    """
    with _place(folder, store) as place:
        url = URLS[store].format(place)
        return _played(_Players(folder, url, seed, MOST_RUNS[store] // (n_kills + N_PROCESSES)), n_kills, is_taken_over)


@contextmanager
def _place(folder: Path, store: str) -> Iterator[str]:
    """Where the store lies."""
    if not store.startswith("redis"):
        yield str(folder)
        return
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError(f"redis-server is not installed: {INSTALL}")
    with running(program, folder / "redis", *AOF) as server:
        yield str(server.port)


def _played(players: _Players, n_kills: int, is_taken_over: bool) -> Outcome:
    try:
        players.start()
        n_single = max(0, n_kills - N_PROCESSES - 1)
        for _ in range(n_single // 2):
            players.wait_and_kill_one()
        if is_taken_over:
            players.kill_the_leader()
        else:
            players.wait_and_kill_one()
        for _ in range(n_single - n_single // 2):
            players.wait_and_kill_one()
    finally:
        players.kill_all()
    outcome = players.outcome
    outcome.problems += audit(players.url, players.folder)
    said = read_said(players.folder)
    outcome.n_runs, outcome.n_feedback = len(said.runs), len(said.feedback)
    outcome.n_changes, outcome.n_leaders = len(said.proposed) + len(said.undone), len(said.led)
    return outcome


def _pass(seconds: float) -> None:
    """Let real processes do something."""
    threading.Event().wait(seconds)


class _Players:
    def __init__(self, folder: Path, url: str, seed: int, most_runs: int) -> None:
        self.folder, self.url, self._rng, self._most_runs = folder, url, Random(seed), most_runs
        self._alive: dict[str, BaseProcess] = {}
        self._n_started = 0
        self.outcome = Outcome()
        # a server that has imported everything forks them in milliseconds; elsewhere each starts anew
        has_server = "forkserver" in multiprocessing.get_all_start_methods()
        self._context: SpawnContext | ForkServerContext
        if has_server:
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(["tests.crash.child"])
        else:
            self._context = multiprocessing.get_context("spawn")

    def start(self) -> None:
        for _ in range(N_PROCESSES):
            self._start_one()
        self._wait(lambda: all(lines_of(path) for path in self._files()), "a process did not begin")

    def _files(self) -> list[Path]:
        return [self.folder / f"{name}.txt" for name in self._alive]

    def _start_one(self) -> None:
        self._n_started += 1
        name = f"p{self._n_started}"
        order = Order(
            url=self.url, name=name, seed=self._rng.getrandbits(32), said=self.folder, most_runs=self._most_runs
        )
        process = self._context.Process(target=live, args=(order,), daemon=True)
        process.start()
        self._alive[name] = process

    def wait_and_kill_one(self) -> None:
        """Kill one after a while, more often than by chance the leader, and start another."""
        _pass(self._rng.uniform(*_LIVES_S))
        leader = self._leader()
        is_leader = leader in self._alive and self._rng.random() < 0.5
        self._kill(leader if is_leader else self._rng.choice(sorted(self._alive)))
        self._start_one()

    def _leader(self) -> str:
        """Who led last, as far as was written down; empty: nobody yet."""
        led = read_said(self.folder).led
        return max(((max(times), name) for by in led.values() for name, times in by.items()), default=(0.0, ""))[1]

    def _kill(self, name: str) -> float:
        process = self._alive.pop(name)
        at_s = time.monotonic()
        process.kill()
        process.join()
        self.outcome.n_kills += 1
        return at_s

    def kill_the_leader(self) -> None:
        """Kill it, see how long the others are without one, and start another."""
        leader = self._wait(lambda: self._leader() in self._alive and self._leader(), "nobody leads")
        if not leader:
            return
        newest = max(read_said(self.folder).led)
        at_s = self._kill(leader)
        if self._wait(lambda: max(read_said(self.folder).led) > newest, "nobody took over"):
            later = [by for token, by in read_said(self.folder).led.items() if token > newest]
            self.outcome.takeovers_s.append(min(t for by in later for times in by.values() for t in times) - at_s)
        self._start_one()

    def _wait(self, is_true: Callable[[], T], what: str) -> T | None:
        """What it answers once that is true; None and a problem where that takes too long."""
        end = time.monotonic() + _DEADLINE_S
        while not (answer := is_true()):
            if time.monotonic() > end or not all(p.is_alive() for p in self._alive.values()):
                self.outcome.problems.append(what)
                return None
            _pass(0.01)
        return answer

    def kill_all(self) -> None:
        """All at once, as when the machine stops."""
        for process in self._alive.values():
            process.kill()
        for name in sorted(self._alive):
            self._kill(name)

"""Redis with eight processes: how much they ship, whether all of it counts once, what following it costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hivefeedback.stats import Window
from hivefeedback_stores.redis import RedisStore
from tests.bench.row import Row
from tests.plugins.redis_servers import AOF, INSTALL, RedisServer, cluster, running

__all__ = ["redis_rows"]

N_PROCESSES = 8
ASKED = 100_000
"""Runs per second of all processes together."""
_EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
_N_DELTAS, _N_COMMITS, _N_EVENTS = 16, 16, 1250


class Shippers:
    """Eight processes that are ready to ship."""

    def __init__(self, mode: str, url: str, n_commits: int, n_events: int = 0, every_s: float = 0.0) -> None:
        arguments = [str(n_commits), str(n_events), str(every_s)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.shipper", mode, url, f"bench{i}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for i in range(N_PROCESSES)
        ]
        self.cpu_s = 0.0
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def ship(self, meanwhile: Callable[[], object] = lambda: None) -> tuple[int, float]:
        """Let them go; answers how many runs they shipped, and how many seconds the slowest took."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        meanwhile()
        n_runs, wall_s = 0, 0.0
        for process in self._processes:
            said, _ = process.communicate()
            n, took_s, cpu_s = said.split()
            n_runs += int(n)
            wall_s = max(wall_s, float(took_s))
            self.cpu_s += float(cpu_s)
        return n_runs, wall_s


def redis_rows() -> Iterator[Row]:
    """Deltas, every event, a restart in the middle, a follower, a Cluster."""
    program = shutil.which("redis-server")
    if program is None:
        print(f"Redis is left out: {INSTALL}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        with running(program, Path(folder) / "speed", *_EVERYSEC) as server:
            yield _speed_row(server, "deltas", "Redis, 8 processes ship deltas", _N_DELTAS, 0)
            yield _speed_row(server, "events", "Redis, 8 processes ship every event", _N_COMMITS, _N_EVENTS)
        with running(program, Path(folder) / "paced", *_EVERYSEC) as server:
            yield from _paced_rows(server)
        with running(program, Path(folder) / "loops", *_EVERYSEC) as server:
            yield _loops_row(server)
        with running(program, Path(folder) / "killed", *AOF) as server:
            yield _killed_row(server)
        with cluster(program, Path(folder) / "cluster", *_EVERYSEC) as nodes:
            yield _spread_row(nodes)


def _speed_row(server: RedisServer, mode: str, name: str, n_commits: int, n_events: int) -> Row:
    n_runs, wall_s = Shippers(f"raw-{mode}", server.url(), n_commits, n_events).ship()
    server.cli("DEL", "raw")
    floor = n_runs / wall_s
    store = RedisStore(server.url(mode))
    before_s = _cpu_s(server)
    n_runs, wall_s = Shippers(mode, server.url(mode), n_commits, n_events).ship()
    redis_us = (_cpu_s(server) - before_s) / n_runs * 1e6
    is_all = _counted(store) == n_runs
    store.close()
    return Row(
        name=name,
        ours=n_runs / wall_s,
        unit="runs/s",
        floor=floor,
        floor_name="pipelined XADD of the same bytes",
        limit=ASKED / floor if mode == "deltas" else 0.0,
        is_more_better=True,
        note=f"{'100 000 runs/s asked' if mode == 'deltas' else 'no target'}; Redis itself {redis_us:.2f} µs per run; "
        f"{'each counted once' if is_all else 'NOT ALL COUNTED'}",
    )


def _paced_rows(server: RedisServer) -> Iterator[Row]:
    """Everybody ships once a second what makes 100 000 runs/s, while one process follows it all."""
    n_seconds = 10
    shippers = Shippers("deltas", server.url(), n_seconds, 0, 1.0)
    store, window = RedisStore(server.url()), Window()
    used: list[float] = []

    def follow() -> None:
        cpu_s, end_s = time.process_time(), time.monotonic() + n_seconds
        while time.monotonic() < end_s:
            window.take_in(store.aggregates.changes(after=window.mark, from_s=0.0), from_s=0.0)  # type: ignore[attr-defined]  # one shard
            _pass(1.0)
        used.append(time.process_time() - cpu_s)

    before_s = _cpu_s(server)
    n_runs, wall_s = shippers.ship(follow)
    wall_s = max(wall_s, n_seconds)  # the last second has no next one
    redis_cores = (_cpu_s(server) - before_s) / wall_s
    yield Row(
        name="Redis, who follows 100 000 runs/s of deltas",
        ours=used[0] / n_seconds,
        unit="cores",
        limit=1.0,
        note=f"shipped at {n_runs / wall_s:,.0f} runs/s; Redis {redis_cores:.2f} cores, all that ship "
        f"{shippers.cpu_s / wall_s:.2f} with what they fold",
    )
    store.close()


def _loops_row(server: RedisServer) -> Row:
    """Eight applications record 12 500 runs a second each, and ship their deltas."""
    shippers = Shippers("loop", server.url(), 8)
    before_s = _cpu_s(server)
    n_runs, wall_s = shippers.ship()
    redis_us = (_cpu_s(server) - before_s) / n_runs * 1e6
    store = RedisStore(server.url())
    lost = n_runs - _counted(store)
    store.close()
    own_us = shippers.cpu_s / n_runs * 1e6
    return Row(
        name="Redis, 8 loops record and ship (edge mode)",
        ours=n_runs / wall_s,
        unit="runs/s",
        limit=ASKED * 0.95,  # the last flush takes its time as well
        is_more_better=True,
        note=f"paced at 100 000; {lost:,} lost; CPU per run {own_us:.1f} µs, Redis {redis_us:.2f} µs",
    )


def _killed_row(server: RedisServer) -> Row:
    """The server is killed three times while they ship."""
    shippers = Shippers("deltas", server.url(), 12, 0, 0.3)
    store = RedisStore(server.url())

    def kill() -> None:
        for _ in range(3):
            _pass(0.6)
            server.kill()
            _pass(0.2)
            server.start()

    n_runs, _ = shippers.ship(kill)
    off = abs(_counted(store) - n_runs)
    store.close()
    return Row(
        name="Redis, runs lost or doubled by 3 kills with AOF",
        ours=off,
        unit="runs",
        limit=0.0,
        note=f"of {n_runs:,}; appendfsync always",
    )


def _spread_row(nodes: list[RedisServer]) -> Row:
    url = f"redis://127.0.0.1:{nodes[0].port}?cluster=true&shards=12"
    RedisStore(url).close()
    before = [_cpu_s(node) for node in nodes]
    n_runs, wall_s = Shippers("many-events", url, _N_COMMITS, _N_EVENTS).ship()
    cpu_s = [_cpu_s(node) - b for node, b in zip(nodes, before, strict=True)]
    store = RedisStore(url)
    is_all = _counted(store) == n_runs
    store.close()
    return Row(
        name="Redis Cluster of 3, the busiest node's share",
        ours=max(cpu_s) / sum(cpu_s),
        unit="of all CPU",
        limit=0.6,
        note=f"12 shards, {N_PROCESSES * _N_COMMITS} producers, {n_runs / wall_s:,.0f} runs/s on these cores, "
        f"{'each counted once' if is_all else 'NOT ALL COUNTED'}",
    )


def _pass(seconds: float) -> None:
    """Let real processes do something."""
    threading.Event().wait(seconds)


def _counted(store: RedisStore) -> int:
    return store.aggregates.read(from_s=0.0, to_s=4e9).coverage.n_runs


def _cpu_s(server: RedisServer) -> float:
    """What the server has used so far, as it says itself."""
    said = dict(line.split(":") for line in server.cli("INFO", "cpu").splitlines() if ":" in line)
    return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])

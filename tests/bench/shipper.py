"""One of several processes that ship: ``python -m tests.bench.shipper MODE URL NAME COMMITS EVENTS EVERY_S``.

Prepares everything, says ``ready``, waits for a line, ships, and says how many runs it shipped, in how many
seconds and with which CPU. Modes: ``deltas`` (each commit tells of 12 500 runs: their delta, and as events the
failures and a sample of 1 %), ``events`` (each run is an event), ``many-events`` (each commit is another
producer's), ``raw-…`` (a pipelined XADD of the same bytes), ``loop`` (an application with ``event_log: edge``
records 12 500 runs a second, for COMMITS seconds).
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from hivefeedback import FeedbackLoop
from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Commit
from hivefeedback.model import Event, Run, encode_event
from hivefeedback.stats import CellKey, Delta, bucket_of
from hivefeedback_stores.redis import RedisStore
from hivefeedback_stores.redis_aggregates import delta_bytes

RUNS_PER_DELTA = 12_500
_FAILED, _SAMPLED = 0.05, 0.01


def run_of(rng: random.Random, number: int, at_s: float) -> Run:
    """A run as an application records it, without a decision."""
    return Run(
        f"m{rng.randrange(5)}",
        f"text-to-text/{rng.randrange(20)}",
        "timeout" if rng.random() < _FAILED else "ok",
        rng.lognormvariate(0.0, 0.6),
        run_id=f"{rng.getrandbits(64):016x}{number:08x}",
        tokens_in=rng.randrange(200, 2000),
        tokens_out=rng.randrange(50, 500),
        cost_usd=rng.uniform(0.0005, 0.01),
        started_at_s=at_s,
    )


def commits_of(mode: str, name: str, n_commits: int, n_events: int) -> list[Commit]:
    """What is shipped."""
    if mode.endswith("deltas"):
        return _deltas(name, n_commits)
    rng, now_s = random.Random(name), time.time()
    commits: list[Commit] = []
    for number in range(1, n_commits + 1):
        producer, nth = (f"{name}.{number}", 1) if mode == "many-events" else (name, number)
        runs = [run_of(rng, nth * n_events + i, now_s) for i in range(n_events)]
        commits.append(Commit(producer, 1, nth, _events(producer, nth, runs, now_s), _delta(runs, now_s)))
    return commits


def _deltas(name: str, n_commits: int) -> list[Commit]:
    """The same sums each time, since making them is not what is measured; the events are new ones."""
    rng, now_s = random.Random(name), time.time()
    runs = [run_of(rng, i, now_s) for i in range(RUNS_PER_DELTA)]
    delta, n_kept = _delta(runs, now_s), sum(run.outcome != "ok" or rng.random() < _SAMPLED for run in runs)
    commits: list[Commit] = []
    for number in range(1, n_commits + 1):
        kept = [run_of(rng, number * RUNS_PER_DELTA + i, now_s) for i in range(n_kept)]
        commits.append(Commit(name, 1, number, _events(name, number, kept, now_s), delta))
    return commits


def _delta(runs: Sequence[Run], now_s: float) -> Delta:
    delta = Delta()
    for run in runs:
        delta.cell(CellKey(run.deployment, run.operation, fingerprint="fp"), bucket_of(now_s)).add_run(run)
    return delta


def _events(producer: str, number: int, runs: Sequence[Run], now_s: float) -> list[Event]:
    first = number * len(runs)
    return [Event(producer, 1, first + i, run.run_id, now_s, now_s, run) for i, run in enumerate(runs)]


def _committed(url: str, commits: Sequence[Commit]) -> Callable[[int], object]:
    store = RedisStore(url)

    def ship(n: int) -> None:
        while True:
            try:
                store.commit(commits[n])
                return
            except StoreUnreachableError:  # the server is being restarted; the number makes a repeat harmless
                _pass(0.05)

    return ship


def _raw(url: str, commits: Sequence[Commit]) -> Callable[[int], object]:
    import redis

    client: Any = redis.Redis.from_url(url.split("?")[0])
    rows = [[*map(encode_event, c.events), delta_bytes(c.delta)] for c in commits]

    def ship(n: int) -> None:
        pipe = client.pipeline(transaction=False)
        for row in rows[n]:
            pipe.xadd("raw", {"b": row})
        pipe.execute()

    return ship


def _record(url: str, n_seconds: int) -> None:
    """Record at the pace that was asked for, or as fast as it goes, until all of it is committed."""
    rng, step_s = random.Random(url), 0.02
    pool = [msgspec.structs.replace(run_of(rng, 0, 0.0), run_id="", started_at_s=None) for _ in range(5000)]
    names = [f"m{i}" for i in range(5)]
    with FeedbackLoop(store=url, deployments=names, event_log="edge", plugins_allow=["stores", "policies"]) as loop:
        loop.flush()
        print("ready", flush=True)
        sys.stdin.readline()
        start_s, cpu_s = time.monotonic(), time.process_time()
        per_step, n_runs = int(RUNS_PER_DELTA * step_s), 0
        for step in range(round(n_seconds / step_s)):
            _pass(start_s + step * step_s - time.monotonic())
            for _ in range(per_step):
                loop.record(pool[n_runs % len(pool)])
                n_runs += 1
        loop.flush(timeout_s=60.0)
        print(n_runs, time.monotonic() - start_s, time.process_time() - cpu_s, flush=True)


def _pass(seconds: float) -> None:
    if seconds > 0.0:
        threading.Event().wait(seconds)


def main() -> int:
    """Ship."""
    mode, url, name = sys.argv[1:4]
    n_commits, n_events, every_s = int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
    if mode == "loop":
        _record(url, n_commits)
        return 0
    commits = commits_of(mode, name, n_commits, n_events)
    ship = (_raw if mode.startswith("raw") else _committed)(url, commits)
    print("ready", flush=True)
    sys.stdin.readline()
    start_s, cpu_s = time.monotonic(), time.process_time()
    for n in range(n_commits):
        _pass(start_s + n * every_s - time.monotonic())
        ship(n)
    n_runs = n_commits * (RUNS_PER_DELTA if mode.endswith("deltas") else n_events)
    print(n_runs, time.monotonic() - start_s, time.process_time() - cpu_s, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

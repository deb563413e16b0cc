"""The recorder: throughput of one core, and the delay that it adds to another thread."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from hivefeedback import FeedbackLoop, Run
from hivefeedback.model import Event, encode_event
from tests.bench.row import Row

__all__ = ["recorder_rows", "wakeup_rows"]

N_RUNS = 60_000


def _runs(n: int) -> list[Run]:
    rng = random.Random(1)
    return [
        Run(
            f"m{rng.randrange(5)}",
            f"text-to-text/{rng.randrange(20)}",
            "ok",
            rng.uniform(0.1, 3.0),
            tokens_in=rng.randrange(2000),
            tokens_out=rng.randrange(500),
        )
        for _ in range(n)
    ]


def _process_cpu(loop: FeedbackLoop, runs: list[Run]) -> float:
    """CPU seconds of the whole process for taking in, learning and committing the runs."""
    start = time.process_time()
    for i in range(0, len(runs), 5000):
        for run in runs[i : i + 5000]:
            loop.record(run)
        loop.flush()
    return time.process_time() - start


def recorder_rows() -> Iterator[Row]:
    """Ring → collect hook → score → policy → aggregates, without a store and committed to SQLite."""
    runs = _runs(N_RUNS)
    names = [f"m{i}" for i in range(5)]
    with FeedbackLoop(store="memory://", deployments=names, seed=1, ring_size=1 << 17) as loop:
        _process_cpu(loop, runs[:5000])
        best = min(_process_cpu(loop, runs) for _ in range(3))
        yield Row(
            name="recorder, no store",
            ours=N_RUNS / best,
            unit="runs/s per core",
            limit=150_000,
            is_more_better=True,
            note="CPU of all threads; memory:// keeps the newest events",
        )
    yield _decided_row(runs, names)
    with tempfile.TemporaryDirectory() as folder:
        floor = max(_raw_rows_per_s(Path(folder) / f"raw{i}.db", runs) for i in range(3))
        with FeedbackLoop(store=f"sqlite:///{folder}/hive.db", deployments=names, seed=1, ring_size=1 << 17) as loop:
            _process_cpu(loop, runs[:5000])
            wall_s = min(_stream(loop, runs) for _ in range(3))
        yield Row(
            name="recorder, committed to SQLite",
            ours=N_RUNS / wall_s,
            unit="runs/s",
            floor=floor,
            floor_name="raw executemany of the same rows",
            limit=0.35,
            is_more_better=True,
        )


def _stream(loop: FeedbackLoop, runs: list[Run]) -> float:
    """Seconds from the first run to the commit of the last one; nobody waits for a commit in between."""
    start = time.perf_counter()
    for run in runs:
        loop.record(run)
    loop.flush()
    return time.perf_counter() - start


def _decided_row(runs: list[Run], names: list[str]) -> Row:
    """The way that an application goes: what ``decide()`` answers is called, and told of."""
    with FeedbackLoop(store="memory://", deployments=names, seed=1, ring_size=1 << 17) as loop:
        _learning_cpu(loop, runs[:5000])
        best = min(_learning_cpu(loop, runs) for _ in range(3))
    return Row(
        name="recorder, runs with decisions",
        ours=len(runs) / best,
        unit="pairs/s per core",
        limit=40_000,
        is_more_better=True,
        note="CPU of the loop's own threads for a decision and its run",
    )


def _learning_cpu(loop: FeedbackLoop, runs: list[Run]) -> float:
    """CPU seconds of all threads but the caller's, while it decides and records."""
    start = time.process_time() - time.thread_time()
    for i in range(0, len(runs), 5000):
        for run in runs[i : i + 5000]:
            d = loop.decide(run.operation)
            loop.record(Run(d.deployment or "", run.operation, "ok", run.duration_s, decision_id=d.decision_id))
        loop.flush()
    return time.process_time() - time.thread_time() - start


def _raw_rows_per_s(path: Path, runs: list[Run]) -> float:
    rows = [("p", 1, i, encode_event(Event("p", 1, i, f"r{i}", 0.0, 0.0, run))) for i, run in enumerate(runs)]
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE t (producer TEXT, epoch INT, seq INT, body BLOB, UNIQUE (producer, epoch, seq))")
    start = time.perf_counter()
    for i in range(0, len(rows), 1000):
        with connection:
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows[i : i + 1000])
    elapsed_s = time.perf_counter() - start
    connection.close()
    return len(rows) / elapsed_s


def wakeup_rows() -> Iterator[Row]:
    """How much later a thread that sleeps 1 ms wakes up while the recorder takes 10 000 runs/s."""
    without = _delays(None)
    with FeedbackLoop(store="memory://", deployments=["a", "b", "c"], seed=1) as loop:
        during = _delays(loop)
    yield Row(
        name="wake-up delay added at 10 000 runs/s, p99",
        ours=(during - without) * 1000,
        unit="ms",
        limit=1.0,
        note=f"p99 {without * 1000:.2f} ms without, {during * 1000:.2f} ms with",
    )


def _delays(loop: FeedbackLoop | None, seconds: float = 4.0) -> float:
    """p99 of the lateness of 1 ms sleeps, in seconds, while another thread records."""
    end = threading.Event()
    feeder = threading.Thread(target=_feed, args=(loop, end), daemon=True)
    feeder.start()
    late = []
    until = time.perf_counter() + seconds
    while (start := time.perf_counter()) < until:
        time.sleep(0.001)
        late.append(time.perf_counter() - start - 0.001)
    end.set()
    feeder.join()
    late.sort()
    return late[int(len(late) * 0.99)]


def _feed(loop: FeedbackLoop | None, end: threading.Event) -> None:
    runs = _runs(1000)
    n = 0
    while not end.is_set():
        for _ in range(20):  # 20 runs every 2 ms
            run = runs[n % len(runs)]
            n += 1
            if loop is not None:
                loop.record(run)
        time.sleep(0.002)

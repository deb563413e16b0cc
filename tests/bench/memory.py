"""Memory does not grow with the runs that were recorded, nor without end with runs that never end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from hivefeedback import FeedbackLoop, Run
from tests.bench.row import Row

__all__ = ["memory_rows"]

WARM, N_RUNS, N_OPEN = 200_000, 1_000_000, 50_000


def memory_rows() -> Iterator[Row]:
    """In a process of its own, so that nothing that came before counts."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory"], check=True, capture_output=True, text=True
    ).stdout
    warm, full, never = json.loads(said)
    yield Row(
        name="memory, from 200 000 to 1 000 000 runs",
        ours=full - warm,
        unit="MB more",
        limit=16,
        note=f"{warm:.0f} MB after 200 000, SQLite",
    )
    yield Row(name="memory, 50 000 runs that never end", ours=never - full, unit="MB more", limit=64)


def _rss_mb() -> float:
    """Resident memory of this process; of Linux."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _measure() -> list[float]:
    found: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        FeedbackLoop(store=f"sqlite:///{folder}/hive.db", deployments=["a", "b"], seed=1) as loop,
    ):
        for goal in (WARM, N_RUNS):
            done = 0 if goal == WARM else WARM
            for start in range(done, goal, 5000):
                for i in range(start, start + 5000):
                    loop.record(Run("ab"[i % 2], f"text-to-text/{i % 20}", "ok", 0.5, trace_id=f"t{i}"))
                loop.flush()
            found.append(_rss_mb())
        kept = [loop.track("a", operation="x").__enter__() for _ in range(N_OPEN)]
        loop.flush()
        found.append(_rss_mb())
        del kept
    return found


if __name__ == "__main__":
    print(json.dumps(_measure()))

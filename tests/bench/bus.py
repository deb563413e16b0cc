"""The event bus: what a commit costs without a subscriber, and with one."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hivefeedback import FeedbackLoop, Run
from hivefeedback.model import Event
from tests.bench.row import Row, cpu_us

__all__ = ["bus_rows"]

_N_RUNS = 30_000


def bus_rows() -> Iterator[Row]:
    """Handing events to nobody, and the CPU of a run that one subscriber hears of."""
    with FeedbackLoop(store="memory://", deployments=["a", "b"], seed=1, ring_size=1 << 17) as loop:
        events = [Event("p", 1, i, f"r{i}", 0.0, 0.0, Run("a", "x")) for i in range(1000)]
        yield Row(
            name="a commit's events handed on, no subscriber",
            ours=cpu_us(lambda: loop._bus.publish(events)),
            unit="µs per commit",
            limit=1.0,
            note="of up to thousands of events, which nobody looks at",
        )
        _cpu_s(loop, 3000)
        without = min(_cpu_s(loop, _N_RUNS) for _ in range(3))
        told: list[str] = []
        with loop.subscribe(lambda event: told.append(event.event_id), kinds=("run",)):
            heard = min(_cpu_s(loop, _N_RUNS) for _ in range(3))
    yield Row(
        name="a run that one subscriber hears of",
        ours=heard / _N_RUNS * 1e6,
        floor=without / _N_RUNS * 1e6,
        floor_name="the same without a subscriber",
        unit="µs of CPU",
        limit=2.0,
        note="all threads, the subscriber's own too",
    )


def _cpu_s(loop: FeedbackLoop, n: int) -> float:
    """CPU seconds of the whole process for taking in, learning and telling some runs."""
    start = time.process_time()
    for _ in range(n // 1000):
        for _ in range(1000):
            loop.record(Run("a", "x", duration_s=0.5))
        loop.flush()
    return time.process_time() - start

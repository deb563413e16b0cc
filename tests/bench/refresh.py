"""Refresh of weights, and the import."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.testing import FakeClock
from tests.bench.row import Row

__all__ = ["import_rows", "refresh_rows"]


def refresh_rows() -> Iterator[Row]:
    """One touched operation × 20 deployments, and all 20 × 20."""
    clock, rng = FakeClock(), random.Random(1)
    names = [f"m{i}" for i in range(20)]
    operations = [f"text-to-text/{i}" for i in range(20)]
    with FeedbackLoop(store="memory://", deployments=names, seed=1, clock=clock) as loop:
        for i in range(2000):
            operation = operations[i % 20]
            decision = loop.decide(operation)
            run_id = loop.record(Run(decision.deployment or "", operation, "ok", 1.0, decision_id=decision.decision_id))
            loop.feedback(Feedback(name="success", value=rng.random() < 0.7, run_id=run_id))
            clock.advance(1)
        assert loop._engine is not None
        refresher = loop._engine.recorder._p.refresher
        for what, rows, limit in (("one operation × 20", operations[:1], 100.0), ("all 20 × 20", operations, 1000.0)):
            times = []
            for _ in range(300):
                for row in rows:
                    refresher.touch(row)
                start = time.thread_time_ns()
                refresher.refresh(())
                times.append((time.thread_time_ns() - start) / 1000)
            times.sort()
            yield Row(name=f"refresh of weights, {what}", ours=times[len(times) // 2], unit="µs", limit=limit)


def import_rows() -> Iterator[Row]:
    """``import hivefeedback`` against its own unavoidable imports, in fresh interpreters."""
    floor_ms = _import_ms("import pluggy, opentelemetry.trace, msgspec")
    ours_ms = _import_ms("import hivefeedback")
    yield Row(
        name="import hivefeedback",
        ours=ours_ms,
        unit="ms",
        floor=floor_ms,
        floor_name="import pluggy, opentelemetry.trace, msgspec",
        limit=1.5,
    )


def _import_ms(statement: str) -> float:
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    times = []
    for _ in range(11):
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        times.append(float(answer.stdout))
    return sorted(times)[5] * 1000

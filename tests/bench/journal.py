"""How fast changes are validated and executed with a journal that is on the disk when the call returns."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hivefeedback import FeedbackLoop
from hivefeedback.model import JsonValue, Mutation, MutationKind
from tests.bench.row import Row

__all__ = ["journal_rows"]

N_CHANGES = 100
_ROUTE: JsonValue = {"candidates": ["a", "b"], "weights": {"a": 0.4, "b": 0.6}}


def journal_rows() -> Iterator[Row]:
    """``propose()`` runs the gates and writes one entry, the turn builds the
    changes and opens their canaries."""
    with tempfile.TemporaryDirectory() as folder:
        fsyncs = _fsyncs_per_s(Path(folder) / "raw")
        with FeedbackLoop(
            store=f"sqlite:///{folder}/hive.db",
            deployments=["a", "b"],
            seed=1,
            options={"limits": {"max_per_hour": 10 * N_CHANGES}},
        ) as loop:
            validated_s, executed_s = _changed(loop)
    note = f"the disk does {fsyncs:,.0f} fsyncs/s"
    for what, seconds, limit in (("validate", validated_s, 50), ("execute", executed_s, 20)):
        yield Row(
            name=f"{what}, durable journal",
            ours=N_CHANGES / seconds,
            unit="changes/s",
            limit=limit,
            is_more_better=True,
            note=note,
        )


def _changed(loop: FeedbackLoop) -> tuple[float, float]:
    """Seconds for all proposals, and for the turn that executes what was approved."""
    names, start = list[str](), time.perf_counter()
    for i in range(N_CHANGES):
        mutation = Mutation(kind=MutationKind.ROUTE_CHANGE, target=f"text-to-text/{i}", to=_ROUTE)
        names.append(loop.propose(mutation, by="bench", why="measured"))
    proposing_s = time.perf_counter() - start
    for name in names:
        loop.approve(name, by="bench", why="measured")
    start = time.perf_counter()
    loop.turn()
    executing_s = time.perf_counter() - start
    assert {loop.ledger.lives[name].state for name in names} == {"canary"}
    return proposing_s, executing_s


def _fsyncs_per_s(path: Path, n: int = 200) -> float:
    with path.open("wb") as file:
        start = time.perf_counter()
        for _ in range(n):
            file.write(b"x" * 400)
            file.flush()
            os.fsync(file.fileno())
    return n / (time.perf_counter() - start)

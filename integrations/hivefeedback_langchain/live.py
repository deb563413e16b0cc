"""The runs that have started and not ended: a bounded map without locks.

Some runs never end: a cancelled ``ainvoke`` emits neither end nor error, an abandoned stream ends
only when it is collected. So the map is bounded by number and by age, and the end of a run closes
what still lives below it. Callbacks arrive from many threads at once; each step is one dict
operation, and no lock is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

__all__ = ["LiveRun", "LiveRuns"]

SWEEP_EVERY = 64
"""Starts between two looks at the oldest entries; the cost of a sweep is spread over them."""
SWEEP_MOST = 256
"""Entries that one sweep looks at, so that no caller pays for many."""


class LiveRun(Struct, eq=False):
    """One run between its start and its end.

    ``kind`` is empty for a chain inside another run: it is only a link between its parent and its
    children, and never recorded. Times are of the process's own timer, but ``started_at_s``.
    """

    kind: str
    run_id: UUID
    parent_id: UUID | None
    parent: LiveRun | None
    metadata: Mapping[str, Any]
    name: str
    started_s: float
    started_at_s: float
    heard_s: float
    ttft_s: float | None = None
    children: dict[int, LiveRun] | None = None
    ambient_trace: str = ""
    ambient_span: str = ""
    attempt: int = 1
    retry_of: str = ""
    is_interrupted: bool = False
    input: str | None = None

    @property
    def root(self) -> LiveRun:
        """The run without a parent above it, itself where it has none."""
        run = self
        while run.parent is not None:
            run = run.parent
        return run

    @property
    def trace_id(self) -> str:
        """The ambient trace of a root, else its run id, so that it is known before the run ends.

        Of a parent that was never seen (the handler hangs on the model alone) the siblings share a trace.
        """
        return self.ambient_trace or (self.parent_id or self.run_id).hex

    @property
    def span_above(self) -> str:
        """Span id of the nearest run above that is recorded; empty for a root."""
        above = self.parent
        while above is not None and not above.kind:
            above = above.parent
        return above.run_id.hex[16:] if above is not None else ""


class LiveRuns:
    """At most ``cap`` live runs; those whose tree was not heard of for ``ttl_s`` are overdue."""

    def __init__(self, *, cap: int, ttl_s: float) -> None:
        self._runs: dict[int, LiveRun] = {}
        self._cap = cap
        self._ttl_s = ttl_s
        self._since_sweep = 0

    def __len__(self) -> int:
        return len(self._runs)

    def models(self) -> list[LiveRun]:
        """Calls to models that are under way."""
        return [run for run in list(self._runs.values()) if run.kind == "llm"]

    def get(self, run_id: UUID) -> LiveRun | None:
        """The live run of that id."""
        return self._runs.get(run_id.int)

    def add(self, run: LiveRun) -> list[LiveRun]:
        """Add a run; answers those that had to go, their descendants with them."""
        key = run.run_id.int
        self._runs[key] = run
        parent = run.parent
        if parent is not None:
            if parent.children is None:
                parent.children = {}
            parent.children[key] = run
            run.root.heard_s = run.started_s
        self._since_sweep += 1
        if self._since_sweep >= SWEEP_EVERY or len(self._runs) > self._cap:
            self._since_sweep = 0
            return self.sweep(run.started_s)
        return []

    def pop(self, run_id: UUID) -> LiveRun | None:
        """Take a run out; its children stay until ``close``."""
        run = self._runs.pop(run_id.int, None)
        if run is not None and run.parent is not None and run.parent.children is not None:
            run.parent.children.pop(run_id.int, None)
        return run

    def close(self, run: LiveRun) -> list[LiveRun]:
        """Take out everything that still lives below a run, the deepest first."""
        if not run.children:
            return []
        closed: list[LiveRun] = []
        for child in list(run.children.values()):
            if self.pop(child.run_id) is not None:
                closed += (*self.close(child), child)
        return closed

    def sweep(self, now_s: float) -> list[LiveRun]:
        """Take out overdue runs, and the oldest ones where there are too many."""
        gone: list[LiveRun] = []
        for run in self._oldest():
            heard_s = run.root.heard_s
            if heard_s <= now_s - self._ttl_s or len(self._runs) > self._cap:
                if self.pop(run.run_id) is not None:
                    gone += (*self.close(run), run)
            elif heard_s > run.started_s and self._runs.pop(run.run_id.int, None) is not None:
                self._runs[run.run_id.int] = run  # its tree is active: a second chance
            else:
                break
        return gone

    def _oldest(self) -> Iterator[LiveRun]:
        for _ in range(SWEEP_MOST):
            try:
                yield next(iter(self._runs.values()))
            except (StopIteration, RuntimeError):  # empty, or another thread changed it just now
                return

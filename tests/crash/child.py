"""One of the processes: it records, judges, changes and leads until it is killed.

What it was told is done it writes down, a line for each thing, after the call returned. A line that was
written outlives the process, so what stands there is what was acknowledged.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConflictError, RefusedError
from hivefeedback.hooks import Plugin, hookimpl
from hivefeedback.model import Deployment, Feedback, Mutation, MutationKind, Outlook, Rollout, Run, StepCounts
from hivefeedback.stats import View
from hivefeedback.testing import EvenPolicy

__all__ = ["AWAITED", "DEPLOYMENTS", "LEASE_S", "Order", "lines_of", "live", "open_loop"]

DEPLOYMENTS: Final = ("d0", "d1", "d2", "d3")
AWAITED: Final = "judged"
"""Operation whose runs earn nothing before they are judged; all others are of ``free``."""
LEASE_S: Final = {"sqlite": 4.0, "json": 15.0, "redis": 4.0}
"""By scheme. Longer than a busy machine or a store that others write keeps a process waiting: who is silent
for so long is taken for dead, and what it had not committed by then is settled by another process too."""
_TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a process is started with.

    Args:
        url: The store.
        name: Of the process; unique among all that were ever started on the store.
        seed: Of what it does.
        said: The folder of what all processes wrote down.
        most_runs: How many it records; the JSON store keeps a short log, from which more could not be recounted.
    """

    url: str
    name: str
    seed: int
    said: Path
    most_runs: int


class Promotes(Plugin):
    """Promotes every canary that somebody was served."""

    name = "promotes"

    @hookimpl
    def hive_monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Outlook:
        """Always the same."""
        return Outlook(rollout_id=rollout.rollout_id, decided="promote", reason="why not", monitor="promotes")


def open_loop(url: str, *, clock: Callable[[], float] | None = None, seed: int = 0) -> FeedbackLoop:
    """A loop as all processes have it."""
    return FeedbackLoop(
        url,
        [Deployment(name) for name in DEPLOYMENTS],
        policy=EvenPolicy(),
        plugins=[Promotes()],
        clock=clock,
        seed=seed,
        plugins_allow=["stores", "model_swap"],
        on_store_error="raise",
        judgements={AWAITED: []},
        lease_s=LEASE_S[url.partition(":")[0]],
        config_poll_s=0.05,
        canary_steps=[1.0],
        canary_min_units=1,
    )


def live(order: Order) -> None:
    """Do things in random order until killed."""
    errors = os.open(order.said / f"{order.name}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    try:
        _Process(order).run()
    except BaseException:
        traceback.print_exc()
        raise


def lines_of(path: Path, *, last_bytes: int | None = None) -> list[list[str]]:
    """What a process wrote down, in words; its last line only where it is whole."""
    data = path.read_bytes() if path.exists() else b""
    lines = data[-last_bytes:].split(b"\n")[1:-1] if last_bytes and len(data) > last_bytes else data.split(b"\n")[:-1]
    return [line.decode().split() for line in lines]


class _Process:
    def __init__(self, order: Order) -> None:
        self._order, self._rng = order, Random(order.seed)
        self._notes = os.open(order.said / f"{order.name}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._loop = open_loop(order.url, seed=order.seed)
        self._number = 0
        self._runs: list[str] = []
        self._n_left = order.most_runs
        self._mutations: list[str] = []

    def run(self) -> None:
        engine = self._loop._engine
        self._note("up", engine.identity.producer if engine is not None else "")
        acts = (self.record, self.record_durably, self.judge, self.propose, self.turn, self.undo)
        while True:
            self._rng.choices(acts, weights=(30, 10, 30, 5, 20, 5))[0]()

    def _note(self, *words: object) -> None:
        os.write(self._notes, (" ".join(map(str, words)) + "\n").encode())

    def _next_name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._order.name}-{self._number}"

    def _run(self) -> Run:
        operation = self._rng.choice([AWAITED, "free"])
        decision = self._loop.decide(operation)
        outcome = self._rng.choice(["ok", "ok", "ok", "timeout", "refused", "cancelled"])
        return Run(decision.deployment or "d0", operation, outcome, 0.01, decision_id=decision.decision_id)

    def record(self) -> None:
        n_runs = min(self._rng.randint(1, 20), self._n_left)
        self._n_left -= n_runs
        run_ids = [self._loop.record(self._run()) for _ in range(n_runs)]
        if self._loop.flush(10.0):
            for run_id in run_ids:
                self._note("run", run_id)
        self._runs += run_ids

    def record_durably(self) -> None:
        if self._n_left <= 0:
            return
        self._n_left -= 1
        run_id = self._loop.record(self._run(), durable=True)
        if not self._loop.counters["not_durable"]:
            self._note("run", run_id)

    def judge(self) -> None:
        runs = self._known_runs()
        said = []
        for run_id in self._rng.choices(runs, k=self._rng.randint(1, 6)) if runs else ():
            key = self._next_name("f")
            value = self._rng.randrange(5) / 4
            self._loop.feedback(Feedback("helpful", value, run_id=run_id, idempotency_key=key))
            said.append((key, run_id))
        if self._loop.flush(10.0):
            for key, run_id in said:
                self._note("said", key, run_id)

    def _known_runs(self) -> list[str]:
        """Runs of its own, and what another process wrote down, dead or alive."""
        others = sorted(self._order.said.glob("*.txt"))
        found = lines_of(self._rng.choice(others), last_bytes=_TAIL_BYTES)
        return [words[1] for words in found if words[0] == "run"] + self._runs[-10:]

    def propose(self) -> None:
        swap = Mutation(kind=MutationKind.MODEL_SWAP, target=self._rng.choice(DEPLOYMENTS), to=self._next_name("m"))
        try:
            mutation_id = self._loop.propose(swap, by=self._order.name)
        except RefusedError:  # another change of this target is open
            return
        self._note("proposed", mutation_id)
        self._mutations.append(mutation_id)

    def turn(self) -> None:
        turn = self._loop.turn()
        if turn.leader:
            self._note("led", turn.turn_id.removeprefix("t-").partition(".")[0], time.monotonic())

    def undo(self) -> None:
        if not self._mutations:
            return
        mutation_id = self._rng.choice(self._mutations[-3:])
        try:
            self._loop.rollback(mutation_id, by=self._order.name)
        except (RefusedError, ConflictError):  # it was taken back already, or is served nowhere yet
            return
        self._note("undone", mutation_id)

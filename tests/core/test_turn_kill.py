"""Processes that are killed while they change the configuration leave one truth."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import pytest

from hivefeedback.control import JournalKeeper
from hivefeedback.model import Configuration, JournalEntry, fold
from hivefeedback_stores.sqlite import SqliteStore

N_PROCESSES, N_KILLS, DEADLINE_S = 4, 12, 60.0
LEGAL: Final = {
    "": {"proposed"},
    "proposed": {"validated", "rejected"},
    "validated": {"canary", "rejected"},
    "canary": {"promoted", "rolled_back"},
    "promoted": {"rolled_back"},
    "rejected": set[str](),
    "rolled_back": set[str](),
}
CHILD: Final = """
import itertools, os, sys, time
from hivefeedback.control import Control, ControlOptions
from hivefeedback.errors import ConflictError, RefusedError
from hivefeedback.model import Deployment
from hivefeedback.testing.control import FakeStages, swap
from hivefeedback_stores.sqlite import SqliteStore

url, target = sys.argv[1:]
stages = FakeStages(outlooks={"m": "promote"}, answers={"limits": "yes"})
control = Control(SqliteStore(url), stages, ControlOptions(lease_s=0.1), time.time, f"{target}-{os.getpid()}")
control.declare([Deployment("d0"), Deployment("d1"), Deployment("d2"), Deployment("d3")])
for i in itertools.count():
    try:
        mutation_id = control.propose(swap(target, to=f"{os.getpid()}-{i}"))
    except RefusedError:  # what the process before left open on this target was promoted meanwhile
        continue
    print(mutation_id, flush=True)
    control.turn()
    if i % 3 == 2:
        try:
            control.rollback(mutation_id, by="child")
            print("undone", mutation_id, flush=True)
        except (RefusedError, ConflictError):
            pass
"""


class Child:
    """One process, and the file into which it writes what it was told is done."""

    def __init__(self, url: str, target: str, said: Path) -> None:
        self.target, self.said = target, said
        self.errors = said.with_suffix(".err")
        with said.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen([sys.executable, "-c", CHILD, url, target], stdout=out, stderr=err)

    def lines(self) -> list[str]:
        return self.said.read_text(encoding="utf-8").splitlines()

    def wait_for(self, n_lines: int, until_s: float) -> None:
        while len(self.lines()) < n_lines:
            assert self.process.poll() is None, self.errors.read_text(encoding="utf-8")
            assert time.monotonic() < until_s, "the child is too slow"
            time.sleep(0.002)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def states(entries: list[JournalEntry], mutation_id: str) -> list[str]:
    return [e.state for e in entries if e.mutation_id == mutation_id]


@pytest.mark.timeout(180)
def test_a_kill_at_any_instant_loses_nothing_and_applies_nothing_twice(tmp_path: Path) -> None:
    url, rng, until_s = f"sqlite:///{tmp_path / 'hive.db'}", Random(7), time.monotonic() + DEADLINE_S
    children = [Child(url, f"d{i}", tmp_path / f"{i}.txt") for i in range(N_PROCESSES)]
    said: list[str] = []
    try:
        for kill in range(N_KILLS):
            at = rng.randrange(N_PROCESSES)
            children[at].wait_for(rng.randint(1, 6), until_s)
            children[at].kill()
            said += children[at].lines()
            children[at] = Child(url, children[at].target, tmp_path / f"again-{kill}.txt")
    finally:
        for child in children:
            child.kill()
            said += child.lines()
    store = SqliteStore(url)
    entries = list(store.journal.read())
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert sum(e.state == "declared" for e in entries) == N_PROCESSES
    broken = [p.read_text(encoding="utf-8") for p in tmp_path.glob("*.err")]
    assert not [text for text in broken if "Traceback" in text]
    for line in said:
        name = line.removeprefix("undone ")
        assert "proposed" in states(entries, name), f"{name} was acknowledged and is lost"
        assert not line.startswith("undone") or "rolled_back" in states(entries, name)
    for name in {e.mutation_id for e in entries if e.mutation_id}:
        before = ""
        for state in states(entries, name):
            assert state in LEGAL[before], f"{name}: {states(entries, name)}"
            before = state
    folded = Configuration()
    for entry in entries:
        folded = fold(folded, entry)
    assert JournalKeeper(store).configuration == folded

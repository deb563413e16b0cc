"""Whether a store holds what its dead processes were told that it holds, each thing once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from hivefeedback import FeedbackLoop
from hivefeedback.model import Configuration, Feedback, JournalEntry, Run, fold
from hivefeedback.recording.feedback.owners import HANDED, OWNER
from hivefeedback.testing import FakeClock
from tests.core.loops import events
from tests.core.recount import assert_recount
from tests.crash.child import AWAITED, lines_of, open_loop

__all__ = ["LEGAL", "Said", "audit", "read_said"]

LEGAL: Final = {
    "": {"proposed"},
    "proposed": {"validated", "rejected", "awaiting_approval"},
    "awaiting_approval": {"approved", "rejected"},
    "approved": {"canary", "rejected"},
    "validated": {"validated", "canary", "rejected"},  # judged by its proposer and by the leader at once
    "canary": {"canary", "promoted", "rolled_back", "paused"},
    "paused": {"promoted", "rolled_back"},
    "promoted": {"rolled_back"},
    "rejected": set[str](),
    "rolled_back": set[str](),
}
"""What may follow what in the life of a change."""
_LOOKS: Final = 8


@dataclass
class Said:
    """What all processes wrote down.

    Args:
        runs: Ids of runs that were acknowledged.
        feedback: Key of acknowledged feedback → the run that it is about.
        proposed, undone: Ids of mutations.
        led: Token → the processes that led under it, each with the times of its turns.
        errors: What processes wrote about themselves that they should not have had to.
    """

    runs: list[str] = field(default_factory=list)
    feedback: dict[str, str] = field(default_factory=dict)
    proposed: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    led: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def read_said(folder: Path) -> Said:
    """Everything that stands in the processes' files."""
    said = Said()
    for path in sorted(folder.glob("*.txt")):
        for kind, *words in lines_of(path):
            if kind == "run":
                said.runs.append(words[0])
            elif kind == "said":
                said.feedback[words[0]] = words[1]
            elif kind == "proposed":
                said.proposed.append(words[0])
            elif kind == "undone":
                said.undone.append(words[0])
            elif kind == "led":
                said.led.setdefault(int(words[0]), {}).setdefault(path.stem, []).append(float(words[1]))
    for path in sorted(folder.glob("*.err")):
        text = path.read_text(encoding="utf-8")
        if "Traceback" in text:
            said.errors.append(f"{path.stem} died of itself: {text.strip().splitlines()[-1]}")
    return said


def _expire_owners(loop: FeedbackLoop) -> None:
    """Let the signs of life of the dead expire now, and not in fifteen seconds."""
    for record in loop.store.state.list(OWNER):
        loop.store.state.delete(OWNER, record.key)


def audit(url: str, folder: Path) -> list[str]:
    """Sentences about what is wrong; empty: nothing. All processes must be dead."""
    said = read_said(folder)
    clock = FakeClock(time.time())
    with open_loop(url, clock=clock) as loop:
        _expire_owners(loop)
        _settle(loop, clock)
        return [*said.errors, *_lost(loop, said), *_miscounted(loop), *_journal(loop, said), *loop.store.check()]


def _settle(loop: FeedbackLoop, clock: FakeClock) -> None:
    """Let the heir take in what was on its way between processes."""
    for _ in range(_LOOKS):
        clock.advance(31.0)
        loop.decide("other")
        loop.flush()
        if not loop.store.state.list(HANDED):
            return


def _lost(loop: FeedbackLoop, said: Said) -> Iterator[str]:
    logged = events(loop)
    runs = Counter(e.event_id for e in logged if isinstance(e.body, Run))
    heard = Counter(e.body.idempotency_key for e in logged if isinstance(e.body, Feedback))
    yield from (f"run {i} was acknowledged and is {runs[i]} times in the log" for i in said.runs if runs[i] != 1)
    yield from (f"run {i} is {n} times in the log" for i, n in runs.items() if n != 1)
    yield from (f"feedback {k} was acknowledged and is {heard[k]} times there" for k in said.feedback if heard[k] != 1)


def _miscounted(loop: FeedbackLoop) -> Iterator[str]:
    for what in loop.store.state.list(HANDED):
        yield f"{what.key} waits for its owner for ever"
    try:
        assert_recount(loop, awaited=frozenset({AWAITED}))
    except AssertionError as error:
        yield f"aggregates differ from a recount of the log: {' '.join(str(error).split())[:400]}"


def _journal(loop: FeedbackLoop, said: Said) -> Iterator[str]:
    entries = list(loop.store.journal.read())
    if [e.seq for e in entries] != list(range(1, len(entries) + 1)):
        yield "the journal has holes"
    yield from _lives(entries, said)
    tokens = [e.token for e in entries if e.token]
    yield from (f"token {b} wrote after token {a}" for a, b in pairwise(tokens) if b < a)
    yield from (f"token {t} was held by {sorted(by)}" for t, by in said.led.items() if len(by) > 1)
    folded = Configuration()
    for entry in entries:
        folded = fold(folded, entry)
    if loop.configuration != folded:
        yield "the configuration is not the fold of the journal"


def _lives(entries: Sequence[JournalEntry], said: Said) -> Iterator[str]:
    lives: dict[str, list[str]] = {}
    for entry in entries:
        if entry.mutation_id:
            lives.setdefault(entry.mutation_id, []).append(entry.state)
    for name, states in lives.items():
        if any(after not in LEGAL[before] for before, after in pairwise(["", *states])):
            yield f"mutation {name} went {' → '.join(states)}"
    has: Callable[[str, str], bool] = lambda name, state: state in lives.get(name, ())  # noqa: E731  # one word
    yield from (f"mutation {n} was acknowledged and is lost" for n in said.proposed if not has(n, "proposed"))
    yield from (f"rollback of {n} was acknowledged and is lost" for n in said.undone if not has(n, "rolled_back"))

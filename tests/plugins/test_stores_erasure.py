"""What belongs to an erasure, in a log where everything has one session."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from hivefeedback.hooks import Selector
from hivefeedback.model import Event, Feedback, Run
from hivefeedback_stores.erasure import JOINS, Join, Placed, Remembered, said_of, to_erase
from hivefeedback_stores.takeback import shares_of


class Log:
    """A source that counts what it is asked."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events, self.asked = list(enumerate(events, 1)), Counter[str]()

    def matching(self, selector: Selector) -> list[Placed]:
        return [(p, e) for p, e in self.events if getattr(e.body, "session_id", None) == selector.session]

    def with_id(self, event_id: str) -> list[Placed]:
        self.asked["with_id"] += 1
        return [(p, e) for p, e in self.events if e.event_id == event_id]

    def runs_by(self, join: Join, value: str) -> list[Placed]:
        self.asked["runs_by"] += 1
        return [(p, e) for p, e in self.events if isinstance(e.body, Run) and getattr(e.body, join) == value]

    def said_by(self, join: str, value: str) -> list[Placed]:
        self.asked["said_by"] += 1
        return [(p, e) for p, e in self.events if isinstance(e.body, Feedback) and getattr(e.body, join) == value]


def talk(n: int, seed: int = 1) -> list[Event]:
    """Runs of one session, and as much that is said of it; some of it names a trace as well."""
    rng = random.Random(seed)
    events = []
    for seq in range(1, 2 * n + 1):
        trace = rng.choice(("", "", "", f"t{rng.randrange(n)}"))
        body: Run | Feedback
        if seq % 2:
            body = Run("a", "x", session_id="s", trace_id=trace)
        else:
            body = Feedback("helpful", rng.random(), session_id="s", trace_id=trace)
        at_s = 1000.0 + rng.randrange(n)
        events.append(Event("p", 1, seq, f"e{seq}", at_s, at_s, body))
    return events


def meant(log: Log, said: Event) -> Event | None:
    """The run that feedback is about, worked out anew."""
    join = next(join for join in JOINS if getattr(said.body, join))
    runs = [
        e for _, e in sorted(log.runs_by(join, getattr(said.body, join)), key=lambda at: (at[1].event_time_s, at[0]))
    ]
    if join == "trace_id":
        return runs[0] if runs else None
    before = [e for e in runs if e.event_time_s <= said.event_time_s]
    return before[-1] if before else None


def test_what_was_said_belongs_to_the_run_that_it_meant_when_it_came() -> None:
    log = Log(talk(60))
    feedback = [(p, e) for p, e in log.events if isinstance(e.body, Feedback)]
    for _, run in log.events:
        if isinstance(run.body, Run):
            expected = [(p, e) for p, e in feedback if meant(log, e) == run]
            assert said_of(log, run) == expected
            assert Remembered(log).said_of(run) == expected


def test_a_long_session_is_looked_through_once() -> None:
    log = Log(talk(300))
    known = Remembered(log)
    gone = to_erase(known, Selector(session="s"))
    shares_of(known, gone.values())
    assert len(gone) == 600
    assert log.asked["runs_by"] < 300, "once for the session, and once for each trace"
    assert log.asked["said_by"] < 1000, "for each run once by its id, and once for the session and each trace"

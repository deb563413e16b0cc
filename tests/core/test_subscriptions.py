"""Subscribers hear of what is learnt, each at its own speed, and of what was stored before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.engine.bus.subscription import ATTEMPTS
from hivefeedback.errors import ClosedError, InvalidInputError
from hivefeedback.model import Event
from tests.core.faulty import FaultyStores
from tests.core.loops import live_loop, sync_loop, until


class Heard:
    """A subscriber that keeps what it was told, and the thread that it was told on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[str] = set()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.current_thread().name)

    @property
    def runs(self) -> list[str]:
        """Operations of the runs, in order."""
        return [e.body.operation for e in self.events if isinstance(e.body, Run)]


class Broken:
    """A subscriber that raises on some operations."""

    def __init__(self, *bad: str) -> None:
        self.bad, self.calls, self.good = set(bad), 0, 0

    def __call__(self, event: Event) -> None:
        self.calls += 1
        if isinstance(event.body, Run) and event.body.operation in self.bad:
            raise ValueError(f"cannot do {event.body.operation}")
        self.good += 1


def record(loop: FeedbackLoop, *operations: str, deployment: str = "a") -> list[str]:
    return [loop.record(Run(deployment, operation)) for operation in operations]


# --- filters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, ["t/medical", "t/medical/dosage", "t/medicine", "t/medical", "", "", "", ""]),
        ({"kinds": ("run",)}, ["t/medical", "t/medical/dosage", "t/medicine", "t/medical"]),
        ({"kinds": "run", "operation": "t/medical"}, ["t/medical", "t/medical/dosage", "t/medical"]),
        ({"kinds": ("run",), "deployment": "b"}, ["t/medical"]),
        ({"kinds": ("run", "feedback"), "deployment": "b"}, ["t/medical"]),
        ({"kinds": ["feedback"]}, [""]),
        ({"kinds": ("control",)}, ["", "", ""]),
        ({"where": lambda event: event.body.__class__ is Run and event.seq % 2 == 0}, None),
    ],
)
def test_a_subscriber_is_told_what_it_asks_for(choice: dict[str, Any], expected: list[str] | None) -> None:
    """S4.2: pub/sub with filters, by kind, deployment, operation and any condition."""
    heard = Heard()
    with sync_loop() as loop:
        record(loop, "before")
        loop.subscribe(heard, **choice)
        record(loop, "t/medical", "t/medical/dosage", "t/medicine")
        record(loop, "t/medical", deployment="b")
        loop.feedback(Feedback("helpful", 1.0, agent_id="agent"))
    found = [getattr(event.body, "operation", "") for event in heard.events]
    if expected is None:
        assert 0 < len(found) < 4
        return
    assert [x for x in found if x] == [x for x in expected if x]
    if "control" not in choice.get("kinds", ("control",)):
        assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"kinds": ("runs",)}, "kind 'runs' of event is not known; known: decision, run"),
        ({"kinds": 7}, "kind 7"),
        ({"where": "x"}, "where is 'x'"),
        ({"deployment": 5}, "deployment is 5"),
        ({"since": -1}, "position -1"),
        ({"since": True}, "position True"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_at_once(choice: dict[str, Any], said: str) -> None:
    with sync_loop() as loop, pytest.raises(InvalidInputError, match=said):
        loop.subscribe(print, **choice)


def test_what_cannot_be_called_is_refused_and_who_is_async_is_told_how() -> None:
    async def fn(event: Event) -> None:
        """Never called."""

    with sync_loop() as loop:
        with pytest.raises(InvalidInputError, match="cannot be called"):
            loop.subscribe("fn")  # type: ignore[arg-type]  # that is the point
        with pytest.raises(InvalidInputError, match="async with loop"):
            loop.subscribe(fn)
        loop.subscribe(print, name="x")
        with pytest.raises(InvalidInputError, match="'x' is there already"):
            loop.subscribe(print, name="x")
    with pytest.raises(ClosedError):
        loop.subscribe(print)


def test_subscribers_see_events_as_they_are_stored() -> None:
    heard = Heard()
    with sync_loop() as loop:
        loop.subscribe(heard, kinds=("run",))
        loop.record(Run("a", "x", user_id="ann", input="secret", output="secret"))
    (event,) = heard.events
    assert isinstance(event.body, Run)
    assert event.body.user_id not in ("", "ann")
    assert event.body.input is event.body.output is None


# --- a given clock --------------------------------------------------------------------------------


def test_in_a_deterministic_loop_subscribers_are_told_on_the_callers_thread_before_record_returns() -> None:
    heard = Heard()
    with sync_loop() as loop:
        loop.subscribe(heard, kinds=("run",))
        (run_id,) = record(loop, "x")
        assert [e.event_id for e in heard.events] == [run_id]
    assert heard.threads == {threading.current_thread().name}


def test_a_subscriber_may_use_the_loop_and_hears_of_what_it_records_at_the_next_call() -> None:
    heard: list[str] = []
    with sync_loop() as loop:

        def answer(event: Event) -> None:
            assert isinstance(event.body, Run)
            heard.append(event.body.operation)
            loop.record(Run("b", event.body.operation + "!"))
            assert loop.flush()

        loop.subscribe(answer, kinds=("run",))
        record(loop, "x")
        assert heard[0] == "x"
        assert len(heard) <= 3  # it does not run round for ever
        assert loop.stats(window_s=60.0)


# --- threads --------------------------------------------------------------------------------------


def test_in_a_live_loop_nobody_is_told_on_the_thread_that_records() -> None:
    """S4.2: in-memory pub/sub, off the application's thread."""
    heard = Heard()
    with live_loop() as loop:
        loop.subscribe(heard, kinds=("run",), name="mine")
        record(loop, *(f"x/{i}" for i in range(500)))
        until(lambda: len(heard.events) == 500)
    assert heard.runs == [f"x/{i}" for i in range(500)]
    assert heard.threads == {"hivefeedback-subscriber-mine"}


def test_who_raises_is_told_again_then_the_event_is_given_up_and_nobody_else_notices() -> None:
    heard, broken = Heard(), Broken("bad")
    with live_loop() as loop:
        loop.subscribe(heard, kinds=("run",))
        failing = loop.subscribe(broken, kinds=("run",), name="shaky")
        record(loop, "x", "bad", "y")
        until(lambda: len(heard.events) == 3)
        until(lambda: broken.good == 2)
        assert broken.calls == 2 + ATTEMPTS
        assert (failing.n_delivered, failing.n_failed, failing.state) == (2, 1, "open")
        assert failing.last_error == "ValueError: cannot do bad"
        assert loop.counters["subscriber_failed"] == 1
        (letter,) = until(loop.dead_letters)
    assert (letter.cause, letter.kind, letter.subscriber) == ("subscriber", "run", "shaky")


def test_who_fails_on_every_event_is_quarantined_and_costs_itself_alone() -> None:
    heard, broken = Heard(), Broken("bad")
    with sync_loop(plugin_max_errors=3) as loop:
        failing = loop.subscribe(broken, kinds=("run",), name="shaky")
        loop.subscribe(heard, kinds=("run",))
        record(loop, "bad", "x", *["bad"] * 10)
        assert failing.state == "quarantined"
        assert broken.calls == 1 + 4 * ATTEMPTS
        assert len(heard.events) == 12
        assert loop.counters["subscriber_quarantined"] == 1
        mended = loop.subscribe(heard, kinds=("run",), name="shaky")  # its name is free again
        assert mended.state == "open"


def test_a_condition_that_raises_is_a_failure_of_its_subscriber() -> None:
    def where(event: Event) -> bool:
        raise KeyError("gone")

    with sync_loop() as loop:
        failing = loop.subscribe(print, kinds=("run",), where=where)
        record(loop, "x")
        assert failing.n_failed == 1


def test_who_hangs_loses_events_up_to_a_bound_and_nobody_waits() -> None:
    """S4.2 C16: the queue of a slow subscriber is bounded; what it loses is counted."""
    gate, heard = threading.Event(), Heard()

    def hang(event: Event) -> None:
        gate.wait(30.0)

    with live_loop(ring_size=100) as loop:
        slow = loop.subscribe(hang, kinds=("run",), name="slow")
        quick = loop.subscribe(heard, kinds=("run",), name="quick")
        for n in range(20):
            record(loop, *["x"] * 50)
            assert loop.flush(20.0)
            until(lambda n=n: len(heard.events) == 50 * (n + 1))  # type: ignore[misc]  # bound now, not when it is asked
        assert quick.n_dropped == 0
        assert slow.n_dropped >= 800
        assert loop.counters["subscriber_dropped"] == slow.n_dropped
        gate.set()


def test_a_subscriber_that_never_returns_does_not_keep_the_loop_open() -> None:
    gate = threading.Event()
    began = threading.Event()

    def hang(event: Event) -> None:
        began.set()
        gate.wait(60.0)

    loop = live_loop()
    subscription = loop.subscribe(hang, kinds=("run",))
    record(loop, "x")
    assert began.wait(20.0)
    record(loop, "y", "z")
    loop.flush()
    closing = threading.Thread(target=loop.close, args=(1.0,))
    closing.start()
    closing.join(20.0)
    assert not closing.is_alive()
    assert subscription.n_dropped >= 2
    gate.set()


def test_what_was_recorded_before_the_end_is_told_and_nothing_after_a_close() -> None:
    heard, gone = Heard(), Heard()
    with live_loop() as loop:
        loop.subscribe(heard, kinds=("run",))
        with loop.subscribe(gone, kinds=("run",)) as subscription:
            record(loop, "x")
            until(lambda: gone.runs)
        subscription.close()  # again: nothing
        record(loop, *["y"] * 100)
    assert heard.runs == ["x", *["y"] * 100]
    assert gone.runs == ["x"]
    assert subscription.state == "closed"


def test_subscribers_hear_on_while_the_store_is_gone() -> None:
    faulty, heard = FaultyStores(), Heard()
    with live_loop(store="faulty://bus", plugins=[faulty]) as loop:
        loop.subscribe(heard, kinds=("run",))
        followed = loop.subscribe(Heard(), kinds=("run",), since=0, name="follower")
        faulty.faults.gone("commit", "read")
        record(loop, "x")
        until(lambda: heard.runs)
        until(lambda: any("store_errors" in name for name in loop.counters))
        faulty.faults.back()
        until(lambda: followed.n_delivered == 1)
    assert heard.runs == ["x"]


# --- the log --------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hive.db'}"


def test_what_is_stored_is_told_first_and_then_what_comes_without_hole_or_repeat(url: str) -> None:
    """S4.2: persistence and replay through the log, while other threads record."""
    with live_loop(store=url) as loop:
        record(loop, *(f"old/{i}" for i in range(700)))
        loop.flush()
        heard = Heard()
        writer = threading.Thread(target=record, args=(loop, *(f"new/{i}" for i in range(700))))
        writer.start()
        subscription = loop.subscribe(heard, kinds=("run",), since=0)
        writer.join()
        until(lambda: len(heard.events) >= 1400)
        loop.flush()
    assert heard.runs == [*(f"old/{i}" for i in range(700)), *(f"new/{i}" for i in range(700))]
    assert subscription.position > 0


def test_after_a_restart_a_subscriber_goes_on_where_it_was(url: str) -> None:
    """S4.2 C20: SQLite is durable, so that a subscriber misses nothing while its process is away."""
    heard = Heard()
    with sync_loop(store=url) as loop:
        record(loop, "one")
        subscription = loop.subscribe(heard, kinds=("run",), since=0)
        record(loop, "two")
    position = subscription.position
    with sync_loop(store=url) as loop:
        record(loop, "three")
    with sync_loop(store=url) as loop:
        loop.subscribe(heard, kinds=("run",), since=position)
        record(loop, "four")
    assert heard.runs == ["one", "two", "three", "four"]


def test_an_event_on_which_a_subscriber_was_closed_is_told_again_when_it_goes_on(url: str) -> None:
    heard = Heard()
    with sync_loop(store=url) as loop:

        def close_and_fail(event: Event) -> None:
            subscription.close()
            raise ValueError

        subscription = loop.subscribe(close_and_fail, kinds=("run",), since=0)
        record(loop, "x")
        assert (subscription.state, subscription.n_failed) == ("closed", 0)
        loop.subscribe(heard, kinds=("run",), since=subscription.position)
        record(loop, "y")
    assert heard.runs == ["x", "y"]


def test_who_follows_the_log_hears_of_other_processes_too(url: str) -> None:
    heard, here = Heard(), Heard()
    with live_loop(store=url) as loop, live_loop(store=url) as other:
        loop.subscribe(heard, kinds=("run",), since=0)
        loop.subscribe(here, kinds=("run",))
        record(other, "elsewhere")
        until(lambda: heard.runs)
    assert heard.runs == ["elsewhere"]
    assert here.runs == []


def test_memory_is_volatile(tmp_path: Path) -> None:
    """C20: with ``memory://`` nothing of an ended process can be told again."""
    with sync_loop() as loop:
        record(loop, "x")
        assert [e.event_id for _, e in loop.replay_events(kinds=("run",))]
    with sync_loop() as loop:
        assert list(loop.replay_events(kinds=("run",))) == []


def test_events_are_replayed_from_a_position(url: str) -> None:
    """S4.2: replay by hand."""
    with live_loop(store=url) as loop:
        record(loop, "x", "t/y", "t/z")
        first, *rest = loop.replay_events(kinds=("run",))
        assert isinstance(first[1].body, Run)
        assert [e.body.operation for _, e in rest if isinstance(e.body, Run)] == ["t/y", "t/z"]
        assert [p for p, _ in loop.replay_events(first[0], kinds=("run",))] == [p for p, _ in rest]
        assert len(list(loop.replay_events(kinds=("run",), operation="t"))) == 2
        with pytest.raises(InvalidInputError, match="position"):
            loop.replay_events("x")  # type: ignore[arg-type]  # that is the point


# --- forks ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_in_a_forked_child_subscribers_hear_of_the_child_and_the_log_is_followed_by_the_parent(tmp_path: Path) -> None:
    code = """
import os, sys, time
from hivefeedback import FeedbackLoop, Run
loop = FeedbackLoop(sys.argv[1], ["a", "b"], plugins_allow=["stores", "policies"])
heard, followed = [], []
loop.subscribe(lambda e: heard.append(e.body.operation), kinds=("run",))
loop.subscribe(lambda e: followed.append(e.body.operation), kinds=("run",), since=0)
loop.record(Run("a", "parent")); loop.flush()
def wait(test):
    end = time.monotonic() + 20
    while not test():
        assert time.monotonic() < end, (heard, followed)
        time.sleep(0.01)
wait(lambda: heard == ["parent"] and followed == ["parent"])
child = os.fork()
if child == 0:
    loop.record(Run("b", "child")); loop.flush(20.0)
    loop.close()
    os._exit(0 if heard == ["parent", "child"] and followed == ["parent"] else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
wait(lambda: followed == ["parent", "child"])
assert heard == ["parent"]
loop.close()
"""
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, url], capture_output=True, text=True, timeout=60.0, check=False
    )
    assert done.returncode == 0, done.stderr


# --- many at once ---------------------------------------------------------------------------------


def test_who_subscribes_while_others_come_and_go_is_heard_of() -> None:
    class Listener:
        def put(self, events: Any) -> None: ...

        def finish(self, timeout_s: float, /) -> None: ...

    with sync_loop() as loop:
        bus, stay = loop._bus, [[Listener() for _ in range(250)] for _ in range(8)]

        def come_and_go(mine: list[Listener]) -> None:
            for listener in mine:
                passing = Listener()
                bus.listen(passing)
                bus.listen(listener)
                bus.leave(passing)

        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=come_and_go, args=(mine,)) for mine in stay]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval_s)
        assert set(bus._listening) == {listener for mine in stay for listener in mine}


# --- nobody listens -------------------------------------------------------------------------------


def test_without_a_subscriber_a_commits_events_are_not_looked_at() -> None:
    class Untouched(list[Event]):
        def __iter__(self) -> Any:
            raise AssertionError("looked at")

    with sync_loop() as loop:
        loop._bus.publish(Untouched())


def test_a_loop_that_is_off_has_subscribers_that_hear_nothing() -> None:
    heard = Heard()
    with FeedbackLoop(mode="off") as loop:
        loop.subscribe(heard)
        record(loop, "x")
        assert list(loop.replay_events()) == []
        assert loop.dead_letters() == []
        assert loop.system() is None
    assert heard.events == []

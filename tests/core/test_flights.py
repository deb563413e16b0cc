"""Runs under way: who counts them, and who looks."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.engine.flights import Flights
from hivefeedback.model import Decision, Deployment
from hivefeedback.testing import FakeClock

A, B = Deployment("a", capability=80.0), Deployment("b", capability=78.0)


@pytest.fixture
def loop() -> FeedbackLoop:
    return FeedbackLoop(store="memory://", deployments=[A, B], clock=FakeClock(), seed=1)


def test_a_tracked_run_is_under_way_until_its_block_ends(loop: FeedbackLoop) -> None:
    """C3: also where the block raises."""
    with loop.track("a", operation="chat"):
        with suppress(KeyError), loop.track("a", operation="chat"):
            assert loop.flights.counts() == {"a": 2}
            raise KeyError("x")
        assert loop.flights.counts() == {"a": 1}
    assert loop.flights.counts() == {}


async def test_an_async_block_and_an_async_call_count_too(loop: FeedbackLoop) -> None:
    """C3: the awaited twins."""
    async with loop.track("b"):
        assert loop.flights.counts() == {"b": 1}

    async def served(decision: Decision) -> dict[str, int]:
        return loop.flights.counts()

    counts = await loop.acall(served, "chat")
    assert sum(counts.values()) == 1
    assert loop.flights.counts() == {}


def test_each_attempt_of_a_call_counts_for_who_serves_it(loop: FeedbackLoop) -> None:
    """C3: a fallback is under way at the next one, not at the first."""
    seen = []

    def served(decision: Decision) -> str:
        seen.append((decision.deployment, loop.flights.counts()))
        if len(seen) == 1:
            raise TimeoutError
        return "done"

    assert loop.call(served, "chat") == "done"
    assert [counts for _, counts in seen] == [{name: 1} for name, _ in seen]
    assert len({name for name, _ in seen}) == 2
    assert loop.flights.counts() == {}


def test_a_loop_that_is_asked_by_load_looks_at_its_runs_under_way(loop: FeedbackLoop) -> None:
    """C3: the first is free again once its run ended."""
    assert loop.rank(by="load")[0].deployment == "a"
    with loop.track("a"):
        row = loop.rank(by="load")[0]
        assert (row.deployment, row.parts["in_flight"]) == ("b", 0.0)
    assert loop.rank(by="load")[0].deployment == "a"


def test_agents_spread_by_load_and_the_record_stays_that_of_the_formula(loop: FeedbackLoop) -> None:
    """S3.9, C3: the agents that were assigned keep their deployments busy."""
    found = loop.assign(["x", "y", "z"], by="load", is_load_aware=True)
    assert [one.model_id for one in found] == ["a", "b", "a"]
    assert [one.performance_score for one in found] == [80.0, 78.0, 80.0]
    found = loop.assign(["x", "y"], by="load", is_load_aware=True, in_flight={"a": 9})
    assert [one.model_id for one in found] == ["b", "b"]
    assert [one.model_id for one in loop.assign(["x", "y"], by="load")] == ["a", "a"]


def test_runs_under_way_count_for_agents_without_being_told(loop: FeedbackLoop) -> None:
    """C3: ``is_load_aware`` looks at what this process serves."""
    with loop.track("a"), loop.track("a"):
        assert loop.assign(["x"], is_load_aware=True)[0].model_id == "b"


def test_counting_from_many_threads_loses_nothing() -> None:
    """C3: there is no lock on the application's thread."""
    flights = Flights()

    def work() -> None:
        for _ in range(2000):
            flights.began("a")
            flights.began("b")
            flights.ended("b")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flights.counts() == {"a": 16_000}


def test_what_never_began_cannot_end_and_names_are_bounded() -> None:
    """Bad input: a lost end, no name at all, very many names."""
    flights = Flights()
    for name in ("a", "", None, ["a"]):
        flights.ended(name)
    for name in ("", None, ["a"]):
        flights.began(name)
    assert flights.counts() == {}
    for i in range(10_050):
        flights.began(f"d{i}")
    assert len(flights.counts()) == 10_000
    flights.clear()
    assert flights.counts() == {}


def test_mode_off_counts_and_ranks_without_harm() -> None:
    """DESIGN 10: every call is a no-op."""
    loop = FeedbackLoop(mode="off", deployments=[A, B])
    with loop.track("a"):
        assert loop.rank(by="load")[0].deployment == "a"
        assert loop.assign(["x"], by="load", is_load_aware=True)[0].model_id in {"a", "b"}
    loop.close()


def test_what_keeps_its_own_map_is_asked_while_it_lives(loop: FeedbackLoop) -> None:
    """C3: integrations pay nothing per call; a broken one costs its own answer alone."""

    class Serving:
        def now(self) -> dict[str, int]:
            return {"a": 3}

    def broken() -> dict[str, int]:
        raise RuntimeError("x")

    serving = Serving()
    loop.flights.watch(serving.now)
    loop.flights.watch(broken)
    loop.flights.watch(lambda: {"b": 1})
    with loop.track("a"):
        assert loop.flights.counts() == {"a": 4, "b": 1}
    del serving
    assert loop.flights.counts() == {"b": 1}
    assert len(loop.flights._sources) == 2

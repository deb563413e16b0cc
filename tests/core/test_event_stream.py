"""Events for coroutines: as they come, until the stream is left or the loop closes."""

from __future__ import annotations

import asyncio

import pytest

from hivefeedback import Run
from hivefeedback.model import Event
from tests.core.loops import live_loop, sync_loop


async def _operations(stream: object, n: int) -> list[str]:
    found: list[str] = []
    async for event in stream:  # type: ignore[attr-defined]  # any stream
        found.append(event.body.operation)
        if len(found) == n:
            break
    return found


async def test_a_coroutine_reads_what_comes_while_it_waits() -> None:
    """S4.2: subscribers may be asynchronous."""
    async with live_loop() as loop, loop.events(kinds=("run",)) as events:
        reading = asyncio.create_task(_operations(events, 100))
        for i in range(100):
            loop.record(Run("a", f"x/{i}"))
        assert await asyncio.wait_for(reading, 20.0) == [f"x/{i}" for i in range(100)]


async def test_a_deterministic_loop_can_be_read_on_its_own_thread() -> None:
    loop = sync_loop()
    async with loop.events(kinds=("run",)) as events:
        loop.record(Run("a", "x"))
        assert await _operations(events, 1) == ["x"]
    loop.close()


async def test_the_end_of_the_loop_ends_the_stream_once_all_is_read() -> None:
    loop = live_loop()
    async with loop.events(kinds=("run",)) as events:
        loop.record(Run("a", "x"))
        await loop.aclose()
        assert await asyncio.wait_for(_operations(events, 9), 20.0) == ["x"]


async def test_after_the_block_nothing_is_kept_for_it() -> None:
    with sync_loop() as loop:
        async with loop.events() as events:
            pass
        loop.record(Run("a", "x"))
        assert [event async for event in events] == []


async def test_who_reads_too_slowly_loses_events_and_they_are_counted() -> None:
    with sync_loop(ring_size=16) as loop:
        async with loop.events(kinds=("run",)) as events:
            for _ in range(100):
                loop.record(Run("a", "x"))
            assert events.n_dropped > 50
            assert loop.counters["subscriber_dropped"] == events.n_dropped


async def test_a_condition_that_raises_is_seen_by_who_gave_it() -> None:
    def where(event: Event) -> bool:
        raise KeyError("gone")

    with sync_loop() as loop:
        async with loop.events(where=where) as events:
            loop.record(Run("a", "x"))
            with pytest.raises(KeyError, match="gone"):
                await _operations(events, 1)


def test_an_event_loop_that_ended_without_leaving_costs_nothing() -> None:
    with sync_loop() as loop:
        stream = loop.events()

        async def enter() -> None:
            await stream.__aenter__()

        asyncio.run(enter())
        loop.record(Run("a", "x"))
        loop.record(Run("a", "x"))
        assert not loop.counters

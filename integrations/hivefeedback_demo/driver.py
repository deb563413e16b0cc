"""Keeps calls in the air, checks answers, gives feedback (some of it late), and lets the loop turn."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hivefeedback.model import Feedback
from hivefeedback_demo.book import Book, Call
from hivefeedback_demo.plan import Plan
from hivefeedback_demo.play import Question
from hivefeedback_demo.traffic import Traffic, Way

if TYPE_CHECKING:
    from hivefeedback import FeedbackLoop, Turn

__all__ = ["Driver"]

log = logging.getLogger(__name__)


class Driver:
    """Runs the application.

    Args:
        loop, traffic, book: What it works with.
        asked: Questions without end.
        plan: Sizes.
        seed: Of who asks how, and of what comes late.
        on_turn: Told of each turn.
    """

    def __init__(
        self,
        loop: FeedbackLoop,
        traffic: Traffic,
        book: Book,
        asked: Iterator[Question],
        plan: Plan,
        seed: int,
        on_turn: Callable[[Turn], None],
    ) -> None:
        self._loop, self._traffic, self.book, self._asked, self._plan = loop, traffic, book, asked, plan
        self._rng = random.Random(f"driver {seed}")
        self._on_turn = on_turn
        self._late: set[asyncio.Task[None]] = set()
        self.began, self.began_at_s = time.monotonic(), time.time()
        self.phase = 1
        self.factors: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began

    async def run(self, is_done: Callable[[int], bool]) -> int:
        """Ask until ``is_done(number of answers in this run)``; answers that number."""
        start = len(self.book.calls)

        async def work() -> None:
            while not is_done(len(self.book.calls) - start):
                await self._one()

        async with asyncio.TaskGroup() as group:
            for _ in range(self._plan.workers):
                group.create_task(work())
        return len(self.book.calls) - start

    async def turns(self) -> None:
        """Let the loop turn until cancelled."""
        while True:
            await asyncio.sleep(self._loop.settings.turn_every_s)
            self._on_turn(await self._loop.aturn())

    async def settle(self) -> None:
        """Wait for feedback that is still on its way."""
        if self._late:
            await asyncio.wait(self._late)

    async def _one(self) -> None:
        question, factors = next(self._asked), self.factors
        way: Way = "litellm" if self._rng.random() < 0.5 else "langchain"
        try:
            reply = await self._traffic.ask(question, way)
        except Exception as error:  # noqa: BLE001 - the application's own border: a failed call is counted, the next goes on
            self.book.failed += 1
            log.warning("a call failed: %r", error)
            await asyncio.sleep(0.1)
            return
        is_right = bool(reply.judged.value)
        self.book.calls.append(
            Call(question, reply.model, way, is_right, self.phase, self.elapsed_s, reply.seconds, factors)
        )
        if self._rng.random() < self._plan.late_share:
            task = asyncio.create_task(self._later(reply.judged, self._rng.random() * self._plan.late_s))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            self._loop.feedback(reply.judged)

    async def _later(self, judged: Feedback, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._loop.feedback(judged)

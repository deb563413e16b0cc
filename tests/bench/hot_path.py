"""``decide()`` and ``record()`` on the caller's thread."""

from __future__ import annotations

import itertools
import random
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from hivefeedback import Decision, FeedbackLoop, Run
from hivefeedback.model import Offer
from tests.bench.row import Row, cpu_us

__all__ = ["decide_rows", "record_rows"]

OPERATION = "text-to-text/medical"


def _ready_loop(n_candidates: int) -> FeedbackLoop:
    loop = FeedbackLoop(store="memory://", deployments=[f"m{i}" for i in range(n_candidates)], mode="act", seed=1)
    loop.decide(OPERATION)
    loop.decide(OPERATION, [f"m{i}" for i in range(n_candidates)])
    deadline = time.monotonic() + 10
    while loop.decide(OPERATION).reason != "policy" and time.monotonic() < deadline:
        loop.flush()
    return loop


def decide_rows() -> Iterator[Row]:
    """With 5, 20 and 100 candidates: all, a prepared tuple, and a fresh list."""
    for n in (5, 20, 100):
        names = tuple(f"m{i}" for i in range(n))
        with _ready_loop(n) as loop:
            offer = loop.decide(OPERATION).offer
            assert offer is not None
            floor_us = cpu_us(_decide_floor(offer))
            calls: dict[str, Callable[[], object]] = {
                "all": partial(loop.decide, OPERATION),
                "a prepared tuple": partial(loop.decide, OPERATION, names),
                "a fresh list": partial(loop.decide, OPERATION, list(names)),
            }
            for what, call in calls.items():
                yield Row(
                    name=f"decide(), {n} candidates, {what}",
                    ours=cpu_us(call),
                    unit="µs",
                    floor=floor_us,
                    floor_name="lookup + draw + bisect + building the Decision with its id",
                    limit=4.0,
                )


def _decide_floor(offer: Offer) -> Callable[[], object]:
    offers, numbers, draw_from = {OPERATION: offer}, itertools.count(), random.Random(1).random

    def floor() -> Decision:
        found = offers[OPERATION]
        draw = int(draw_from() * found.total)
        index = bisect_right(found.cumulative, draw)
        return Decision(f"d-1-{next(numbers)}", OPERATION, found, index, draw, found.reason, 0.0)

    return floor


def _short() -> Run:
    return Run("m1", OPERATION, "ok", 0.5)


def _long() -> Run:
    return Run(
        "m1",
        OPERATION,
        "ok",
        0.5,
        decision_id="d-1-7",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        response_id="chatcmpl-7",
        session_id="s-7",
        tokens_in=812,
        tokens_out=133,
        cost_usd=0.0021,
        ttft_s=0.2,
    )


def record_rows() -> Iterator[Row]:
    """A short run, and one as an integration records it."""
    with _ready_loop(5) as loop:
        kept: deque[Run] = deque(maxlen=100_000)
        for name, build in (("four fields", _short), ("as an integration builds it", _long)):
            floor_us = cpu_us(lambda b=build: kept.append(b()), n=5000)  # type: ignore[misc]  # bound now
            ours_us = cpu_us(lambda b=build: loop.record(b()), n=5000)  # type: ignore[misc]  # bound now
            yield Row(
                name=f"record(), {name}",
                ours=ours_us,
                unit="µs",
                floor=floor_us,
                floor_name="building the run + deque.append",
                limit=3.0,
            )
            loop.flush()

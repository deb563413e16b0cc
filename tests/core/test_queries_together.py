"""All questions of one window: from the kept window as from the store, and while runs come in."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

from hivefeedback import FeedbackLoop, Run
from hivefeedback.model import Feedback
from hivefeedback.queries import Basis, assign, compare, insights, rank, recommend, stats_of, trend
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S, RANKERS
from tests.core.loops import live_loop, sync_loop

NAMES = ("a", "b", "openai/gpt-4o", "größe")
OUTCOMES = ("ok", "ok", "ok", "ok", "timeout", "model_error", "refused", "cancelled")


def fill(loop: FeedbackLoop, clock: FakeClock, n: int = 600) -> None:
    rng = random.Random(3)
    for _ in range(n):
        run_id = loop.record(
            Run(
                rng.choice(NAMES),
                rng.choice(("x", "x/y", "z")),
                rng.choice(OUTCOMES),
                rng.lognormvariate(0.0, 0.5),
                agent_id=rng.choice(("g", "h")),
                cost_usd=rng.choice((None, 0.01, 0.02)),
                tokens_out=rng.randrange(50),
            )
        )
        if rng.random() < 0.3:
            loop.feedback(Feedback(name=rng.choice(("rating", "relevance")), run_id=run_id, rating=rng.randint(1, 5)))
        clock.advance(rng.uniform(0.0, 60.0))


def answers(basis: Basis) -> list[object]:
    """What is answered to one of each."""
    found: list[object] = [
        stats_of(basis.view, operation=o, by=by) for o in (None, "x") for by in ((), ("deployment",))
    ]
    found += [compare(basis), compare(basis, operation="x", deployments=["b", "a"]), insights(basis)]
    found += [rank(basis, by=by, operation="x") for by in ("adaptive", "speed", "quality")]
    found += [recommend(basis), assign(basis, agents=["1", "2"], is_load_aware=True)]
    found += [trend(basis, metric=m, bucket_s=600.0) for m in ("success_rate", "p95_s", "mean_duration_s", "rating")]
    return found


def test_the_kept_window_answers_what_the_store_answers() -> None:
    clock = FakeClock(NOW_S)
    with sync_loop(*NAMES, clock=clock, allow=RANKERS) as loop:
        fill(loop, clock)
        loop.store.aggregates.compact(now_s=clock())
        for window_s in (600.0, 3600.0, 86400.0):
            kept = loop._basis(window_s)
            view = kept.view
            stored = replace(kept, view=loop.store.aggregates.read(from_s=view.asked_from_s, to_s=view.asked_to_s))
            for ours, theirs in zip(answers(kept), answers(stored), strict=True):
                assert ours == theirs


def test_an_answer_is_the_same_each_time_and_leaves_the_window_as_it_is() -> None:
    clock = FakeClock(NOW_S)
    with sync_loop(*NAMES, clock=clock, allow=RANKERS) as loop:
        fill(loop, clock, 200)
        first = answers(loop._basis(86400.0))
        assert answers(loop._basis(86400.0)) == first


def test_questions_from_several_threads_are_answered_while_runs_come_in() -> None:
    """Nobody waits for ever, nobody sees half of a cell."""
    failures: list[BaseException] = []
    ended = threading.Event()

    def ask(loop: FeedbackLoop) -> None:
        try:
            for _ in range(5):
                for row in loop.compare():
                    assert row.values.get("success_rate", 1.0) <= 1.0
                loop.recommend(min_runs=1)
                loop.trend("p95_s", window_s=3600.0, bucket_s=60.0)
                loop.insights()
                loop.blacklist()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to the test's own thread
            failures.append(error)

    def feed(loop: FeedbackLoop) -> None:
        rng = random.Random(4)
        while not ended.is_set():
            loop.record(Run(rng.choice(NAMES), "x", rng.choice(OUTCOMES), rng.random()))
            ended.wait(0.001)

    with live_loop(*NAMES, allow=RANKERS) as loop:
        feeder = threading.Thread(target=feed, args=(loop,))
        askers = [threading.Thread(target=ask, args=(loop,)) for _ in range(3)]
        for thread in (feeder, *askers):
            thread.start()
        for thread in askers:
            thread.join(60.0)
        ended.set()
        feeder.join(10.0)
        assert not any(thread.is_alive() for thread in (feeder, *askers))
    assert failures == []

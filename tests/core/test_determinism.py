"""The same seed, clock and calls give the same log, byte for byte, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hivefeedback.model import (
    BatchCommitted,
    ConfigurationPublished,
    Control,
    Run,
    SegmentStarted,
    WeightsRefreshed,
    encode_event,
)
from hivefeedback.testing import EvenPolicy, FakeClock
from tests.core.loops import decisions, events, sync_loop, told

PROGRAM = """
import sys
from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.model import Mutation, MutationKind, encode_event
from hivefeedback.testing import FakeClock

clock = FakeClock()
loop = FeedbackLoop(
    sys.argv[1], ["a", "b", "c"], prompts={"p": "hi {n}"}, policy=sys.argv[2], seed=11, clock=clock,
    judgements={"x/judged": ["helpful"]},
)
outcomes = ["ok", "ok", "timeout", "ok", "refused", "ok", "model_error", "cancelled"]
for i in range(400):
    clock.advance(7.0 if i % 50 else 4000.0)
    candidates = [None, ("a", "b"), ("c", "a", "z")][i % 3]
    operation = ["x", "x/judged", "y/deep"][i % 3]
    d = loop.decide(operation, candidates, f"s{i % 17}" if i % 2 else None)
    run_id = loop.record(Run(
        d.deployment, operation, outcomes[(i * 7) % 8], 0.1 * (i % 5), decision_id=d.decision_id,
        trace_id=f"t{i}", agent_id=f"g{i % 4}", tokens_in=i, attributes={"z": 1, "a": "b"},
        output="abc", reference="abc",
    ))
    if i % 4 == 0:
        loop.feedback(Feedback("helpful", (i % 5) / 4, run_id=run_id))
    if i == 120:
        loop.add_deployment(Deployment("d", model="m"))
    if i == 200:
        loop.prompts.add("p", "hello {n}")
    if i % 100 == 99:
        loop.turn()
loop.close()
loop = FeedbackLoop(sys.argv[1], ["a", "b", "c"], policy=sys.argv[2], seed=11, clock=clock)
for i in range(20):
    loop.decide("x")
after = 0
while page := loop.store.log.read(after=after):
    for after, event in page:
        sys.stdout.buffer.write(encode_event(event) + b"\\n")
loop.close()
"""


def log_of(store: str, policy: str, hash_seed: str) -> bytes:
    environment: Mapping[str, str] = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, store, policy],
        env=environment,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("policy", ["hierarchical", "thompson"])
def test_two_processes_write_the_same_log_byte_for_byte(policy: str, tmp_path: Path) -> None:
    one = log_of("memory://one", policy, "1")
    two = log_of(f"sqlite:///{tmp_path / 'two.db'}", policy, "2")
    assert one.count(b"\n") > 1000
    assert one.splitlines() == two.splitlines()


def test_another_seed_gives_other_draws() -> None:
    def draws(seed: int) -> list[int | None]:
        with sync_loop(seed=seed) as loop:
            return [loop.decide("x").draw for _ in range(10)]

    assert draws(1) == draws(1) != draws(2)


def test_each_start_on_a_store_is_an_epoch_of_its_own_so_that_no_id_comes_twice() -> None:
    ids: list[str] = []
    for _ in range(3):
        with sync_loop(store="memory://epochs") as loop:
            ids += [loop.decide("x").decision_id, loop.record(Run("a", "x"))]
    assert len(set(ids)) == 6
    with sync_loop(store="memory://epochs") as loop:
        loop.decide("x")
        starts = told(loop, SegmentStarted)
        epochs = {e.epoch for e in events(loop) if isinstance(e.body, Control)}
    assert (len(starts), epochs) == (4, {1, 2, 3, 4})


def test_a_segment_begins_with_a_checkpoint_and_publishes_what_it_serves() -> None:
    policy = EvenPolicy()
    with sync_loop(policy=policy, seed=9) as loop:
        assert events(loop) == []  # a process that records nothing leaves no trace in the log
        loop.decide("x")
        first, second = (e.body.what for e in events(loop)[:2] if isinstance(e.body, Control))
    found = [first, second]
    (start,) = [w for w in found if isinstance(w, SegmentStarted)]
    assert (start.seed, start.policy, start.config_version) == (9, "even", loop.configuration.version)
    assert start.policy_state
    assert isinstance(found[0], SegmentStarted)


def test_batch_ends_refreshed_rows_and_served_configurations_are_events() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock) as loop:
        d = loop.decide("x")
        loop.record(Run("a", "x", decision_id=d.decision_id))
        loop.add_deployment("c")
        loop.record(Run("a", "x"))
        batches, rows = told(loop, BatchCommitted), told(loop, WeightsRefreshed)
        served = told(loop, ConfigurationPublished)
        logged = decisions(loop)
        run_seqs = [e.seq for e in events(loop) if isinstance(e.body, Run)]
    assert [b.n_events for b in batches] == [1] * 3
    assert [b.last_seq for b in batches[1:]] == run_seqs
    assert {row for r in rows for row in r.rows} == {"x"}
    assert [r.weights_version for r in rows] == sorted({r.weights_version for r in rows})
    assert served[-1].config_version == loop.configuration.version
    assert logged[0].weights_version >= 0


def test_what_a_decision_logs_names_weights_that_were_announced() -> None:
    with sync_loop() as loop:
        for _ in range(5):
            d = loop.decide("x")
            loop.record(Run(str(d.deployment), "x", decision_id=d.decision_id))
        announced: set[int] = set()
        for event in events(loop):
            body = event.body
            if isinstance(body, Control) and isinstance(body.what, WeightsRefreshed):
                announced.add(body.what.weights_version)
        used = {d.weights_version for d in decisions(loop) if d.reason == "policy"}
    assert used
    assert used <= announced


def test_events_of_a_loop_without_threads_are_in_order_and_encode_alike() -> None:
    def log() -> list[bytes]:
        with sync_loop(seed=4) as loop:
            for _ in range(20):
                loop.record(Run("a", "x", decision_id=loop.decide("x").decision_id))
            return [encode_event(e) for e in events(loop)]

    assert log() == log()

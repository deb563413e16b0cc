"""Process and host are sampled off the application's thread, and a broken sampler costs itself alone."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from math import inf, nan

from hivefeedback import FeedbackLoop, Run
from hivefeedback.hooks import Plugin, Samples
from hivefeedback.model import Event, SystemSample
from hivefeedback.testing import FakeClock
from tests.core.loops import live_loop, sync_loop, told, until


class Sampler(Plugin):
    """Measures made-up things."""

    name = "sampler"

    def __init__(self, every_s: float = 10.0, **values: float) -> None:
        self.every_s, self.values = every_s, values
        self.threads: list[str] = []

    def sample(self) -> Mapping[str, float]:
        self.threads.append(threading.current_thread().name)
        return self.values


class BrokenSampler(Plugin):
    """Raises whatever it is asked."""

    name = "broken"
    sample_error = OSError("no such device")

    @property
    def every_s(self) -> float:
        raise self.sample_error

    def sample(self) -> Mapping[str, float]:
        raise self.sample_error


def samples(loop: FeedbackLoop) -> list[dict[str, float]]:
    loop.flush()
    return [what.values for what in told(loop, SystemSample)]


def test_a_deterministic_loop_samples_by_its_clock() -> None:
    """S4.1: system metrics are collected, as control events."""
    clock, sampler = FakeClock(), Sampler(10.0, cpu_share=0.5)
    assert isinstance(sampler, Samples)
    with sync_loop(clock=clock, plugins=[sampler]) as loop:
        for _ in range(60):
            loop.record(Run("a", "x"))
            clock.advance(1.0)
        assert samples(loop) == [{"queue_depth": 0.0, "cpu_share": 0.5}] * 6
        state = loop.system()
        assert state is not None
        assert (state.get("cpu_share"), state.get("gpu_memory_used_mb")) == (0.5, None)
        assert state.at_s == clock()


def test_a_live_loop_samples_on_no_thread_of_the_application() -> None:
    sampler, heard = Sampler(1.0, cpu_share=0.5), list[Event]()
    with live_loop(plugins=[sampler], config_poll_s=0.05) as loop:
        loop.record(Run("a", "x"))
        loop.subscribe(heard.append, kinds=("system_sample",))
        until(lambda: heard)
        state = loop.system()
    assert state is not None
    assert state.get("cpu_share") == 0.5
    assert threading.current_thread().name not in sampler.threads


def test_a_process_that_records_nothing_leaves_no_sample_behind() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, plugins=[Sampler(1.0, x=1.0)]) as loop:
        for _ in range(5):
            clock.advance(10.0)
            loop.flush()
        assert samples(loop) == []


def test_without_a_sampler_nothing_is_measured() -> None:
    with sync_loop() as loop:
        loop.record(Run("a", "x"))
        assert loop.system() is None
        assert samples(loop) == []


def test_a_sampler_that_wants_no_samples_is_asked_only_by_who_wants_to_know() -> None:
    sampler = Sampler(inf, x=1.0)
    clock = FakeClock()
    with sync_loop(clock=clock, plugins=[sampler]) as loop:
        for _ in range(10):
            loop.record(Run("a", "x"))
            clock.advance(100.0)
        assert sampler.threads == []
        state = loop.system()
    assert state is not None
    assert state.get("x") == 1.0


def test_what_is_no_finite_number_is_left_out() -> None:
    with sync_loop(plugins=[Sampler(1.0, x=1.0, bad=nan, worse=inf)]) as loop:
        state = loop.system()
    assert state is not None
    assert dict(state.values) == {"queue_depth": 0.0, "x": 1.0}


def test_a_sampler_that_raises_is_named_and_the_others_are_heard() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, plugins=[BrokenSampler(), Sampler(1.0, x=1.0)]) as loop:
        for _ in range(20):
            loop.record(Run("a", "x"))
            clock.advance(2.0)
        broken = next(info for info in loop.plugins() if info.name == "broken")
        assert broken.state == "quarantined"
        assert "no such device" in broken.last_error
        assert len(samples(loop)) == 20

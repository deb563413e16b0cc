"""The system collector: CPU and memory of process and host, GPU memory where there is a GPU."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from hivefeedback import FeedbackLoop, Run
from hivefeedback.errors import ConfigurationError, MissingExtraError
from hivefeedback.testing import FakeClock
from hivefeedback_collectors import SystemCollector, SystemOptions
from hivefeedback_collectors.gpu import Gpus
from hivefeedback_collectors.host import Host, Times
from tests.core.loops import live_loop, sync_loop, until

ALLOW = ("stores", "system")


class FakeHost(Host):
    """A host whose clock ticks as the test says."""

    def __init__(self, *times: Times) -> None:
        self._times = list(times)

    def times(self) -> Times:
        return self._times.pop(0)

    def memory(self) -> dict[str, float]:
        return {"process_memory_mb": 50.0}


class NoGpuError(Exception):
    """What the maker's library raises."""


def nvml(*memories: tuple[int, int], fails: bool = False) -> Any:
    """A library that knows GPUs with (used, total) bytes."""

    def init() -> None:
        if fails:
            raise NoGpuError("driver not loaded")

    return SimpleNamespace(
        NVMLError=NoGpuError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: len(memories),
        nvmlDeviceGetHandleByIndex=lambda index: memories[index],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=handle[0], total=handle[1]),
    )


def no_gpu() -> Any:
    raise ImportError("No module named 'pynvml'")


def test_a_sample_of_this_process_has_memory_at_once_and_cpu_from_the_second_one_on() -> None:
    """S4.1 S4.20: process and host CPU and memory, measured on the machine that runs this."""
    clock = FakeClock(0.0)
    collector = SystemCollector(gpus=Gpus(no_gpu), clock=clock)
    first = collector.sample()
    assert "process_cpu_cores" not in first
    assert first["process_memory_mb"] > 1.0
    assert 0.0 < first["host_memory_used_share"] <= 1.0
    assert first["host_memory_available_mb"] > 0.0
    clock.advance(1.0)
    sum(i * i for i in range(200_000))
    second = collector.sample()
    assert second["process_cpu_cores"] >= 0.0
    assert 0.0 <= second.get("host_cpu_share", 0.0) <= 1.0


def test_cpu_is_the_difference_of_two_samples() -> None:
    clock = FakeClock(0.0)
    host = FakeHost(Times(1.0, 100.0, 40.0), Times(6.0, 140.0, 50.0))
    collector = SystemCollector(lambda: host, Gpus(no_gpu), clock)
    collector.sample()
    clock.advance(10.0)
    assert collector.sample() == {"process_memory_mb": 50.0, "process_cpu_cores": 0.5, "host_cpu_share": 0.25}


def test_in_a_forked_child_whose_time_begins_anew_no_share_is_below_zero() -> None:
    clock = FakeClock(0.0)
    host = FakeHost(Times(9.0, 100.0, 40.0), Times(0.0, 140.0, 30.0))
    collector = SystemCollector(lambda: host, Gpus(no_gpu), clock)
    collector.sample()
    clock.advance(10.0)
    found = collector.sample()
    assert (found["process_cpu_cores"], found["host_cpu_share"]) == (0.0, 0.0)


def test_gpus_are_summed_up() -> None:
    gpus = Gpus(lambda: nvml((1_000_000, 8_000_000), (2_000_000, 8_000_000)))
    assert gpus.memory() == {"gpu_memory_used_mb": 3.0, "gpu_memory_total_mb": 16.0}
    assert gpus.memory() == {"gpu_memory_used_mb": 3.0, "gpu_memory_total_mb": 16.0}


@pytest.mark.parametrize("library", [no_gpu, lambda: nvml(fails=True), nvml], ids=["no library", "no driver", "none"])
def test_a_gpu_that_is_not_there_is_absent_and_not_zero(library: Any) -> None:
    """S4.20: GPU memory where present."""
    gpus = Gpus(library)
    assert gpus.memory() == {}
    assert gpus.memory() == {}


# --- in a loop ------------------------------------------------------------------------------------


def test_a_live_loop_samples_itself_without_being_told_to() -> None:
    """S4.1: system metrics are collected by default, every 10 s; here each second."""
    collector = SystemCollector()
    with live_loop(plugins=[collector]):
        assert collector.every_s == 10.0
    with live_loop(allow=ALLOW, config_poll_s=0.05, options={"system": {"every_s": 1.0}}) as loop:
        loop.record(Run("a", "x"))
        until(lambda: loop._engine and loop._engine.beside.sampling.latest)
        state = loop.system()
    assert state is not None
    assert (state.get("process_memory_mb") or 0.0) > 1.0
    assert state.get("queue_depth") is not None


def test_a_loop_with_a_given_clock_has_the_same_log_each_time_unless_samples_are_asked_for() -> None:
    assert _n_sampled({}) == 0
    assert _n_sampled({"system": {"every_s": 30.0}}) == 3


def _n_sampled(options: Mapping[str, Mapping[str, object]]) -> int:
    clock = FakeClock()
    with sync_loop(clock=clock, allow=ALLOW, options=options) as loop:
        for _ in range(100):
            loop.record(Run("a", "x"))
            clock.advance(1.0)
        return len(list(loop.replay_events(kinds=("system_sample",))))


@pytest.mark.parametrize("every_s", [0.0, -1.0, 0.5, inf])
def test_a_pace_that_cannot_be_is_refused_at_start(every_s: float) -> None:
    with pytest.raises(ConfigurationError, match="every_s"):
        SystemOptions(every_s=every_s)
    with pytest.raises(ConfigurationError, match="every_s"):
        FeedbackLoop("memory://", ["a"], plugins_allow=list(ALLOW), options={"system": {"every_s": every_s}})


# --- without the extra ----------------------------------------------------------------------------


class Bare(SystemCollector):
    """The collector on a machine without psutil."""

    name = "bare"

    def __init__(self) -> None:
        super().__init__(_missing)


def _missing() -> Host:
    raise MissingExtraError("the system collector", "system")


def test_without_the_extra_nothing_is_measured_and_nobody_is_bothered(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), live_loop(plugins=[Bare()], config_poll_s=0.05) as loop:
        loop.record(Run("a", "x"))
        assert loop.system() is None
        assert loop.system() is None
        assert not loop.counters
        info = next(info for info in loop.plugins() if info.name == "bare")
        assert (info.state, info.errors) == ("ok", 0)
    said = [r for r in caplog.records if "hivefeedback[system]" in r.getMessage()]
    assert [r.levelname for r in said] == ["INFO"]


def test_who_asked_for_samples_is_told_once_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, plugins=[Bare()], options={"bare": {"every_s": 1.0}}) as loop:
        for _ in range(20):
            loop.record(Run("a", "x"))
            clock.advance(10.0)
        assert loop.counters["system_not_sampled"] == 1
    said = [r for r in caplog.records if "pip install 'hivefeedback[system]'" in r.getMessage()]
    assert [r.levelname for r in said] == ["WARNING"]


def test_a_host_without_psutil_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtraError, match=r"hivefeedback\[system\]"):
        Host()


def test_the_library_of_the_gpus_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus().memory() == {}

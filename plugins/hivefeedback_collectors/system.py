"""Measures process and host every few seconds: CPU, memory, GPU memory where there is one.

Needs the extra ``system``; without it nothing is measured and everything else goes on. Each sample is a
control event ``system_sample`` and is answered by ``loop.system()``. Options::

    options:
      system: {every_s: 30}
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from hivefeedback.errors import ConfigurationError, MissingExtraError
from hivefeedback.hooks import Plugin, Voice
from hivefeedback_collectors.gpu import Gpus
from hivefeedback_collectors.host import Host, Times

__all__ = ["SystemCollector", "SystemOptions"]

log = logging.getLogger(__name__)

_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemOptions:
    """How often to look.

    Args:
        every_s: Seconds between two samples, at least 1. Default: 10, so that a minute's rise is seen and a
            sample costs nothing; none in a loop with a given clock, whose log should be the same each time.
    """

    every_s: float | None = None

    def __post_init__(self) -> None:
        if self.every_s is not None and not 1.0 <= self.every_s < inf:
            raise ConfigurationError(f"option every_s of 'system' is {self.every_s}; expected at least 1 (seconds)")


class SystemCollector(Plugin):
    """Answers measures; what this machine does not have is absent, never 0.

    ``process_cpu_cores`` (CPU seconds per second since the sample before), ``process_memory_mb``,
    ``host_cpu_share`` (0 … 1, of all cores), ``host_memory_used_share``, ``host_memory_available_mb``, and
    for all GPUs together ``gpu_memory_used_mb``, ``gpu_memory_total_mb``. The first sample of a process has
    no CPU, since that is a difference of two.

    Args:
        host: Opens what measures the host; raises MissingExtraError.
        gpus: Measures GPU memory.
        clock: Seconds that never go back.
    """

    name = "system"
    Options = SystemOptions

    def __init__(
        self,
        host: Callable[[], Host] = Host,
        gpus: Gpus | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._gpus, self._clock = host, gpus or Gpus(), clock
        self._host: Host | None = None
        self._options = SystemOptions()
        self._voice: Voice | None = None
        self._last: Times | None = None
        self._last_s = 0.0
        self._is_missing = False

    def configure(self, options: object) -> None:
        """Take the options."""
        assert isinstance(options, SystemOptions)
        self._options = options

    def take_voice(self, voice: Voice) -> None:
        """Keep what is spoken with: it knows whether the loop has a given clock."""
        self._voice = voice

    @property
    def every_s(self) -> float:
        """Seconds between two samples; infinite: none."""
        if self._is_missing:
            return inf
        if self._options.every_s is not None:
            return self._options.every_s
        return inf if self._voice is not None and self._voice.is_inline else _EVERY_S

    def sample(self) -> Mapping[str, float]:
        """What is to be measured now; nothing without the extra."""
        host = self._opened()
        if host is None:
            return {}
        now_s, times = self._clock(), host.times()
        values = {**host.memory(), **self._gpus.memory(), **self._cpu(now_s, times)}
        self._last, self._last_s = times, now_s
        return values

    def _opened(self) -> Host | None:
        if self._host is None and not self._is_missing:
            try:
                self._host = self._open()
            except MissingExtraError as error:
                self._say_missing(error)
        return self._host

    def _say_missing(self, error: MissingExtraError) -> None:
        """Once: loudly to who asked for samples, quietly to who only did not install them."""
        self._is_missing = True
        if self._options.every_s is not None and self._voice is not None:
            self._voice.note("system_not_sampled", str(error))
        else:
            log.info("the system is not sampled: %s", error)

    def _cpu(self, now_s: float, times: Times) -> dict[str, float]:
        last, passed_s = self._last, now_s - self._last_s
        if last is None or passed_s <= 0:
            return {}
        found = {"process_cpu_cores": max(0.0, (times.process_s - last.process_s) / passed_s)}
        host_s = times.host_s - last.host_s
        if host_s > 0:
            found["host_cpu_share"] = min(1.0, max(0.0, (times.busy_s - last.busy_s) / host_s))
        return found

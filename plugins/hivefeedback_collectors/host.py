"""What psutil tells of this process and its host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hivefeedback.errors import MissingExtraError

__all__ = ["Host", "Times"]

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Times:
    """CPU seconds so far: of this process, of all cores together, and of them those that were not idle."""

    process_s: float
    host_s: float
    busy_s: float


class Host:
    """One process on its host.

    Raises:
        MissingExtraError: psutil is not installed.
    """

    def __init__(self) -> None:
        try:
            import psutil  # type: ignore[import-untyped]  # it ships no types
        except ImportError as error:
            raise MissingExtraError("the system collector", "system") from error
        self._psutil: Any = psutil

    def times(self) -> Times:
        """CPU seconds so far. Of the process by whoever asks, since a fork has a process of its own."""
        own, host = self._psutil.Process().cpu_times(), self._psutil.cpu_times()
        all_s = sum(getattr(host, name) for name in host._fields if not name.startswith("guest"))
        idle_s = host.idle + getattr(host, "iowait", 0.0)  # guests are in user time already
        return Times(own.user + own.system, all_s, all_s - idle_s)

    def memory(self) -> dict[str, float]:
        """Memory of process and host."""
        host = self._psutil.virtual_memory()
        return {
            "process_memory_mb": self._psutil.Process().memory_info().rss / _MB,
            "host_memory_used_share": host.percent / 100.0,
            "host_memory_available_mb": host.available / _MB,
        }

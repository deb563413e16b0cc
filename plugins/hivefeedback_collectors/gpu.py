"""Memory of NVIDIA GPUs, by the library of their maker; nothing where there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["Gpus"]

log = logging.getLogger(__name__)
_MB = 1e6


class Gpus:
    """All GPUs of the host.

    Args:
        library: Opens it; raises ImportError where it is not installed. Default: ``pynvml``.
    """

    def __init__(self, library: Callable[[], Any] | None = None) -> None:
        self._open = library or _library
        self._nvml: Any = None
        self._is_absent = False

    def memory(self) -> dict[str, float]:
        """Memory of all together; empty without a GPU, its driver or its library.

        A GPU that can no longer be asked counts as absent from then on.
        """
        found = [] if self._is_absent else self._asked()
        if not found:
            self._is_absent = True
            return {}
        return {
            "gpu_memory_used_mb": sum(one.used for one in found) / _MB,
            "gpu_memory_total_mb": sum(one.total for one in found) / _MB,
        }

    def _asked(self) -> list[Any]:
        try:
            nvml = self._nvml or self._open()
        except ImportError:
            return []
        try:
            if self._nvml is None:
                nvml.nvmlInit()
                self._nvml = nvml
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            return [nvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        except nvml.NVMLError as error:
            log.debug("no GPU is sampled: %s", error)
            return []


def _library() -> Any:
    import pynvml  # type: ignore[import-untyped]  # it ships no types

    return pynvml

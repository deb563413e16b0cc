"""Collectors: look at what happens around the runs."""

from hivefeedback_collectors.system import SystemCollector, SystemOptions

__all__ = ["SystemCollector", "SystemOptions"]

"""Monitors: how an open rollout goes on."""

from hivefeedback_monitors.sequential import SequentialMonitor, SequentialOptions

__all__ = ["SequentialMonitor", "SequentialOptions"]

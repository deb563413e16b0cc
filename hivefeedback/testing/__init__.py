"""For plugin authors: contract suites, a fake clock, fake deployments."""

from hivefeedback.testing.clock import FakeClock

__all__ = ["FakeClock"]

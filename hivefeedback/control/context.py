"""What every step of control works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hivefeedback.control.executors import Executors
from hivefeedback.control.keeper import JournalKeeper
from hivefeedback.control.options import ControlOptions
from hivefeedback.control.stages import Stages
from hivefeedback.control.steady import Steady
from hivefeedback.control.views import Views
from hivefeedback.hooks import Archive, Store
from hivefeedback.stats import View

__all__ = ["Context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Store, journal, plugins, options, clock, running windows and archive of one process.

    ``clock`` answers seconds since 1970 UTC; ``steady`` says whether it jumped, where it is not simulated.
    """

    store: Store
    keeper: JournalKeeper
    stages: Stages
    executors: Executors
    options: ControlOptions
    clock: Callable[[], float]
    views: Views
    archive: Archive | None = None
    steady: Steady | None = None

    def view(self, *, since_s: float | None = None) -> View:
        """Aggregates of the turn's window, or since a time."""
        now_s = self.clock()
        from_s = now_s - self.options.turn_window_s if since_s is None else since_s
        return self.views.read(from_s=from_s, to_s=max(now_s, from_s))

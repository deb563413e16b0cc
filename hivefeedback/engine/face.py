"""What the parts of the loop's face ask of each other; ``FeedbackLoop`` is all of them and sets what stands here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from hivefeedback.control import Control
from hivefeedback.engine.engine import Engine
from hivefeedback.engine.memory import Indices
from hivefeedback.engine.values import EngineValues
from hivefeedback.errors import ClosedError
from hivefeedback.hooks import Store
from hivefeedback.model import Configuration, Feedback, Run
from hivefeedback.recording import Counters
from hivefeedback.stats import View

__all__ = ["DAY_S", "Face"]

DAY_S = 86400.0
"""How far back is looked where nothing is said."""


class Face(ABC):
    """A part of the face of a loop. ``_engine`` is None in mode ``off``."""

    settings: EngineValues
    store: Store
    _control: Control
    _engine: Engine | None
    _memories: Indices
    _clock: Callable[[], float]
    _is_closed: bool
    _is_inline: bool

    @property
    @abstractmethod
    def counters(self) -> Counters:
        """What went wrong, by name."""

    @property
    @abstractmethod
    def configuration(self) -> Configuration:
        """What is served, as this process knows it."""

    @abstractmethod
    def record(self, run: Run, *, durable: bool = False) -> str:
        """Take in a finished run."""

    @abstractmethod
    def feedback(self, feedback: Feedback) -> None:
        """Take in a signal about a run."""

    @abstractmethod
    def flush(self, timeout_s: float | None = 30.0) -> bool:
        """Wait until everything recorded so far is learnt and committed; False where time ran out."""

    @abstractmethod
    def view(self, window_s: float = DAY_S) -> View:
        """The aggregates of the last ``window_s`` seconds."""

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("the loop is closed; make a new FeedbackLoop")

"""``loop.call``: decide, call, record each attempt, next best on failure."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from types import TracebackType
from typing import Final, TypeVar

from hivefeedback.engine.flights import Flights
from hivefeedback.engine.outcomes import outcome_of
from hivefeedback.engine.tracked import Note, TrackedRun, Tracking
from hivefeedback.model import BLAMED, Decision, Run

__all__ = ["MAX_ATTEMPTS", "Attempts"]

T = TypeVar("T")

MAX_ATTEMPTS: Final = 3
"""Attempts in all where nothing else is said: two further deployments mend most failures."""


class Attempts:
    """The attempts of one call.

    Args:
        record: Takes each attempt's run.
        clock: Seconds since 1970 UTC.
        new_run_id: Makes the id of each attempt.
        decision: What was decided.
        max_attempts: Attempts in all, the first included; what is no number counts as ``MAX_ATTEMPTS``.
        flights: Counts the attempt that is under way.
        note: Counts what was not as it should be.
    """

    def __init__(
        self,
        record: Callable[[Run], str],
        clock: Callable[[], float],
        new_run_id: Callable[[], str],
        decision: Decision,
        max_attempts: object,
        flights: Flights | None = None,
        note: Note = lambda name, detail: None,
    ) -> None:
        self._record, self._clock, self._new_run_id = record, clock, new_run_id
        self._first = self.decision = decision
        self._flights, self._note = flights, note
        if decision.deployment is None:
            note("call_without_deployment", f"it is not recorded; nothing could be chosen: {decision.reason}")
            self._record = _not_recorded
        if not isinstance(max_attempts, int):
            note("bad_max_attempts", f"it is a {type(max_attempts).__name__}; {MAX_ATTEMPTS} attempts are made")
        n_attempts = max_attempts if isinstance(max_attempts, int) else MAX_ATTEMPTS
        self._left = [None, *decision.fallbacks][: max(1, n_attempts)]
        self._n_tried = 0
        self._last_run_id = ""
        self._run: TrackedRun | None = None

    def next(self) -> _Attempt:
        """The next attempt, as a context manager that yields its decision."""
        fallback = self._left.pop(0)
        if fallback is not None:
            self.decision = self._first.falling_back(fallback)
        self._n_tried += 1
        run_id = self._new_run_id()
        template = Run(
            self.decision.deployment or "",
            self.decision.operation,
            decision_id=self.decision.decision_id,
            decided_deployment=self._first.deployment or "",
            attempt=self._n_tried,
            retry_of=self._last_run_id,
            session_id=self.decision.session_id or "",
        )
        self._last_run_id = run_id
        tracking = Tracking(
            self._record, self._clock, run_id=run_id, template=template, flights=self._flights, note=self._note
        )
        self._run = tracking.run
        return _Attempt(self, tracking)

    def answered(self, answer: T) -> T:
        """What the function answered, as it is.

        An answer that is to be awaited is not there yet, so the run says nothing: not how long it took, nor how
        it ended. It is handed on all the same, for the application may await it and have its answer; a TypeError
        of ours would take that away.
        """
        if isawaitable(answer) and self._run is not None:
            self._run.outcome = "internal"
            self._note("call_of_async_function", "what it does is not measured; await loop.acall(fn, ...) instead")
        return answer

    @property
    def may_go_on(self) -> bool:
        """True while another deployment is left to try."""
        return bool(self._left)


def _not_recorded(run: Run) -> str:
    return run.run_id


class _Attempt:
    """Swallows a failure that another deployment may mend; everything else is raised on."""

    def __init__(self, attempts: Attempts, tracking: Tracking) -> None:
        self._attempts, self._tracking = attempts, tracking

    def __enter__(self) -> Decision:
        self._tracking.__enter__()
        return self._attempts.decision

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._tracking.__exit__(kind, error, trace)
        return error is not None and outcome_of(error) in BLAMED and self._attempts.may_go_on

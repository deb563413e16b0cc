"""``loop.call``: decide, call, record each attempt, next best on failure."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from hivefeedback.engine.flights import Flights
from hivefeedback.engine.outcomes import outcome_of
from hivefeedback.engine.tracked import Tracking
from hivefeedback.model import BLAMED, Decision, Run

__all__ = ["Attempts"]


class Attempts:
    """The attempts of one call.

    Args:
        record: Takes each attempt's run.
        clock: Seconds since 1970 UTC.
        new_run_id: Makes the id of each attempt.
        decision: What was decided.
        max_attempts: Attempts in all, the first included.
        flights: Counts the attempt that is under way.
    """

    def __init__(
        self,
        record: Callable[[Run], str],
        clock: Callable[[], float],
        new_run_id: Callable[[], str],
        decision: Decision,
        max_attempts: int,
        flights: Flights | None = None,
    ) -> None:
        self._record, self._clock, self._new_run_id = record, clock, new_run_id
        self._first = self.decision = decision
        self._flights = flights
        self._left = [None, *decision.fallbacks][: max(1, max_attempts)]
        self._n_tried = 0
        self._last_run_id = ""

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
        tracking = Tracking(self._record, self._clock, run_id=run_id, template=template, flights=self._flights)
        return _Attempt(self, tracking)

    @property
    def may_go_on(self) -> bool:
        """True while another deployment is left to try."""
        return bool(self._left)


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

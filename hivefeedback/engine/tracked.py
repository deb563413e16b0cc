"""``loop.track``: records a run around a block of code; errors are recorded and raised on."""

from __future__ import annotations

import time
from collections.abc import Callable
from difflib import get_close_matches
from types import TracebackType
from typing import Final

from hivefeedback.engine.flights import Flights
from hivefeedback.engine.outcomes import outcome_of
from hivefeedback.model import Run

__all__ = ["Note", "TrackedRun", "Tracking"]

Note = Callable[[str, str], object]
"""Counts one under a name; the detail is logged the first time."""


class TrackedRun:
    """What may be told of a run while it runs.

    Args:
        run_id: Known from the start, for feedback.
        outcome: ``ok`` unless set, or an exception says otherwise.
        tokens_in, tokens_out, cost_usd, ttft_s, response_id, input, output, reference, attributes:
            Set what is known.

    A field that is none (``tokens_input``) is left out and counted as ``bad_run_field``, which the log names once.
    It is no AttributeError: that would be raised by us, in the midst of the application's own call.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.outcome: str = "ok"
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.cost_usd: float | None = None
        self.ttft_s: float | None = None
        self.response_id: str = ""
        self.input: str | None = None
        self.output: str | None = None
        self.reference: str | None = None
        self.attributes: dict[str, str | int | float | bool] = {}


_FIELDS: Final = frozenset(vars(TrackedRun("")))


class Tracking:
    """Context manager, sync and async; made by ``FeedbackLoop.track``."""

    def __init__(
        self,
        record: Callable[[Run], str],
        clock: Callable[[], float],
        *,
        run_id: str,
        template: Run,
        flights: Flights | None = None,
        note: Note = lambda name, detail: None,
    ) -> None:
        self._record, self._clock, self._template = record, clock, template
        self._flights, self._note = flights, note
        self.run = TrackedRun(run_id)
        self._started_at_s = 0.0
        self._started = 0.0

    def __enter__(self) -> TrackedRun:
        if self._flights is not None:
            self._flights.began(self._template.deployment)
        self._started_at_s, self._started = self._clock(), time.perf_counter()
        return self.run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run, told = self._template, self.run
        if self._flights is not None:
            self._flights.ended(run.deployment)
        if len(vars(told)) != len(_FIELDS):
            self._note_unknown()
        is_clock_real = self._clock is time.time
        elapsed_s = time.perf_counter() - self._started if is_clock_real else self._clock() - self._started_at_s
        outcome = outcome_of(error) if error is not None and told.outcome == "ok" else told.outcome
        self._record(
            Run(
                run.deployment,
                run.operation,
                outcome,
                max(0.0, elapsed_s),
                run_id=told.run_id,
                started_at_s=self._started_at_s,
                kind=run.kind,
                decision_id=run.decision_id,
                decided_deployment=run.decided_deployment,
                attempt=run.attempt,
                retry_of=run.retry_of,
                agent_id=run.agent_id,
                session_id=run.session_id,
                user_id=run.user_id,
                trace_id=run.trace_id,
                span_id=run.span_id,
                response_id=told.response_id,
                ttft_s=told.ttft_s,
                tokens_in=told.tokens_in,
                tokens_out=told.tokens_out,
                cost_usd=told.cost_usd,
                input=told.input,
                output=told.output,
                reference=told.reference,
                attributes=told.attributes,
                error=type(error).__name__ if error is not None else "",
            )
        )

    def _note_unknown(self) -> None:
        for name in sorted(vars(self.run).keys() - _FIELDS):
            near = get_close_matches(name, _FIELDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(_FIELDS))}"
            self._note("bad_run_field", f"{name!r} is no field of a tracked run; {hint}")

    async def __aenter__(self) -> TrackedRun:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

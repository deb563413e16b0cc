"""The newest runs of each (deployment, operation), shown with the rewards that they have by now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from hivefeedback.model import Decision, Event, Run
from hivefeedback.recording.feedback.join import KnownRun
from hivefeedback.recording.learning.reward import first_reward
from hivefeedback.recording.outbox import Outbox
from hivefeedback.stats import MAX_EXEMPLARS, Exemplar

__all__ = ["Newest"]


class Newest:
    """Gathers runs until they are put into a delta as exemplars.

    Args:
        decision: A recent decision by its id.
    """

    def __init__(self, decision: Callable[[str], Decision | None]) -> None:
        self._decision = decision
        self._runs: dict[tuple[str, str], deque[KnownRun | Event]] = {}

    def add(self, known: KnownRun) -> None:
        """A run that just came in, or was just judged."""
        self._of((known.deployment, known.operation)).append(known)

    def add_all(self, name: tuple[str, str], events: Sequence[Event]) -> None:
        """Runs of a deployment and operation that were not assigned to a canary."""
        self._of(name).extend(events)

    def _of(self, name: tuple[str, str]) -> deque[KnownRun | Event]:
        newest = self._runs.get(name)
        if newest is None:
            newest = self._runs[name] = deque(maxlen=MAX_EXEMPLARS)
        return newest

    def put(self, outbox: Outbox) -> None:
        """Add the newest runs since the last call."""
        runs, self._runs = self._runs, {}
        for (deployment, operation), newest in runs.items():
            shown = [self._of_event(kept) if isinstance(kept, Event) else _exemplar(kept) for kept in newest]
            outbox.delta.add_exemplars(deployment, operation, shown)
            outbox.breathe()

    def _of_event(self, event: Event) -> Exemplar:
        run = event.body
        assert isinstance(run, Run)
        decision = self._decision(run.decision_id)
        return Exemplar(
            event.event_time_s,
            event.event_id,
            run.duration_s,
            run.outcome,
            run.trace_id,
            first_reward(run.outcome),
            prompts=decision.prompts_used if decision is not None else (),
        )

    def forget(self) -> None:
        """Runs were erased: those that were not put yet may be theirs."""
        self._runs = {}


def _exemplar(known: KnownRun) -> Exemplar:
    keys = known.keys
    is_canary = len(keys) > 1 and any(key.arm.endswith(":canary") for key in keys)  # the first is the total's
    return Exemplar(
        known.started_at_s,
        known.run_id,
        known.duration_s,
        known.outcome,
        known.trace_id,
        known.reward,
        is_canary,
        known.decision.prompts_used if known.decision is not None else (),
    )

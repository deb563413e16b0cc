"""Which run feedback names."""

from __future__ import annotations

from typing import Final

from hivefeedback.hooks.protocols import EventLog
from hivefeedback.model import Event, Feedback, Run

__all__ = ["run_named"]

_JOINS: Final = ("trace_id", "decision_id", "response_id", "session_id")


def run_named(log: EventLog, feedback: Feedback) -> Event | None:
    """The run that feedback names, from the log; None where there is no such run, or it names none.

    The first name that is given decides, in the order ``run_id``, ``trace_id``, ``decision_id``,
    ``response_id``, ``session_id``, even where a later one would find a run. An event of that id that is no
    run is none.

    Raises:
        StoreError: The log could not be read.
    """
    if feedback.run_id:
        found = log.find(feedback.run_id)
        return found if found is not None and isinstance(found.body, Run) else None
    for join in _JOINS:
        if value := getattr(feedback, join):
            return log.find_run(**{join: value})
    return None

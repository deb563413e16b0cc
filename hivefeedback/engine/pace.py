"""How often the recorder does what need not be done for each run."""

from __future__ import annotations

from typing import Final

from hivefeedback.engine.values import EngineValues
from hivefeedback.recording import Edge, EdgeOptions, RecorderOptions

__all__ = ["edge_of", "recorder_options"]

_REFRESH_EVERY_S: Final = 0.02
_REFRESH_BUDGET_S: Final = 0.0005
_SAVE_EVERY_S: Final = 5.0
_EXEMPLARS_EVERY_S: Final = 1.0
_ASK_AFTER_S: Final = 0.5
"""A framework's callback brings a run milliseconds after the application spoke of it, seldom a second."""
_SAVE_EVERY_INLINE_S: Final = 300.0
"""Simulated time runs fast, and ``flush`` and ``close`` save anyway."""


_EDGE_COMMIT_EVERY_S: Final = 1.0
"""A second's sums are as large as a tenth's, so that one store serves ten times the processes."""


def edge_of(values: EngineValues) -> Edge | None:
    """What goes into the log; None: everything."""
    if values.event_log == "full":
        return None
    return Edge(EdgeOptions(rate=values.edge_sample_rate, seed=values.seed or 0, size=values.join_memory))


def recorder_options(values: EngineValues, *, commit_every_s: float, is_inline: bool) -> RecorderOptions:
    """The recorder's options.

    Args:
        values: The settings.
        commit_every_s: How often the store wants a commit, in seconds.
        is_inline: A loop with a given clock: everything is done at once, so that a log is the same each time.
    """
    if values.event_log == "edge":
        commit_every_s = max(commit_every_s, _EDGE_COMMIT_EVERY_S)
    return RecorderOptions(
        judgement_horizon_s=values.judgement_horizon_s,
        query_success_from=values.query_success_from,
        unjudged_earns=values.unjudged == "ok",
        agents_tracked=values.agents_tracked,
        commit_every_s=0.0 if is_inline else commit_every_s,
        refresh_every_s=0.0 if is_inline else _REFRESH_EVERY_S,
        refresh_budget_s=None if is_inline else _REFRESH_BUDGET_S,
        exemplars_every_s=0.0 if is_inline else _EXEMPLARS_EVERY_S,
        ask_after_s=0.0 if is_inline else _ASK_AFTER_S,
        save_every_s=_SAVE_EVERY_INLINE_S if is_inline else _SAVE_EVERY_S,
    )

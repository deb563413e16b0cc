"""When did the policy leave a model?"""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback_demo.book import Call

__all__ = ["calls_until_left"]

WINDOW = 30
"""Calls over which the share of a model is taken."""
SHARE = 0.1
"""Below this share it counts as left: exploration and probes go on."""


def calls_until_left(calls: Sequence[Call], model: str) -> tuple[int, int] | None:
    """After how many calls a model was left: (calls in all, of these its own); None: not yet.

    It is left at the end of the first ``WINDOW`` calls of which it served less than ``SHARE``;
    these themselves do not count.

    Args:
        calls: From the moment that it got worse.
    """
    served = [c.model == model for c in calls]
    for start in range(len(served) - WINDOW + 1):
        if sum(served[start : start + WINDOW]) < SHARE * WINDOW:
            return start, sum(served[:start])
    return None

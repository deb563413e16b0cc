"""The newest runs of a (deployment, operation), each once."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from hivefeedback.stats import MAX_EXEMPLARS, Exemplar

__all__ = ["newest"]

_AGE = attrgetter("started_at_s", "run_id")


def newest(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    """The newest exemplars, newest last.

    A judgement adds its run again: what was learnt of a run is never replaced by what was not, in
    whatever order the two come.

    >>> [e.reward for e in newest([Exemplar(1.0, "r", reward=0.5), Exemplar(1.0, "r")])]
    [0.5]
    """
    latest: dict[str, Exemplar] = {}
    for exemplar in exemplars:
        known = latest.get(exemplar.run_id)
        if known is None or known.reward is None or exemplar.reward is not None:
            latest[exemplar.run_id] = exemplar
    return sorted(latest.values(), key=_AGE)[-MAX_EXEMPLARS:]

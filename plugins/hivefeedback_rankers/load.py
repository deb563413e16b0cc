"""``load``: the adaptive score, less for deployments that are busy.

Needs no extra. ``loop.rank(by="load")``, ``loop.assign(agents, by="load", is_load_aware=True)``. Runs in
flight are those of this process: of ``loop.track``, ``loop.call`` and ``loop.acall``. Options::

    options:
      load: {load_share: 0.5, adaptive: {mode: smooth}}

The source shows calls spread over deployments after its formula was switched on, but has no term
that could do it; this is the term.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from hivefeedback.hooks import PluginWithOptions, Ranked, Ranker, hookimpl
from hivefeedback_rankers.adaptive import AdaptiveOptions, AdaptiveRanker
from hivefeedback_rankers.check import check_positive, check_share
from hivefeedback_rankers.contender import Contender, ViewRanker

__all__ = ["LoadOptions", "LoadPlugin", "LoadRanker", "load_score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How much load counts.

    Args:
        load_share: Share of the score in [0, 1] that is load, the rest is ``adaptive``. With 0.3 one
            run in flight costs 6 points, which is more than good deployments differ, and far less
            than a penalty.
        half_load: Runs in flight that halve the load's score, > 0; a few, since a provider slows down
            long before it refuses.
        adaptive: Options of the other part.

    Raises:
        InvalidInputError: A value is out of range; the message names option and value.
    """

    load_share: float = 0.3
    half_load: float = 4.0
    adaptive: AdaptiveOptions = field(default_factory=AdaptiveOptions)

    def __post_init__(self) -> None:
        check_share(load_share=self.load_share)
        check_positive(half_load=self.half_load)


def load_score(in_flight: float, half_load: float) -> float:
    """100 for a free deployment, 50 with ``half_load`` runs in flight, never 0.

    >>> [round(load_score(n, 4.0)) for n in (0, 1, 4, 12)]
    [100, 80, 50, 25]
    """
    return 100.0 / (1.0 + max(0.0, in_flight) / half_load)


class LoadRanker(ViewRanker):
    """Mixes the adaptive score with how free a deployment is.

    Args:
        options: Shares and scales.
        in_flight: Runs under way per deployment, of those that have any; None where nobody counts
            them: then the order is the adaptive one, and the reason says so.

    >>> busy = LoadRanker().seeing({"a": 4})
    >>> both = [Contender(deployment="a", capability=80.0), Contender(deployment="b", capability=75.0)]
    >>> [(place.deployment, place.score) for place in busy.place(both)]
    [('b', 82.5), ('a', 71.0)]
    """

    name = "load"

    def __init__(self, options: LoadOptions | None = None, *, in_flight: Mapping[str, float] | None = None) -> None:
        self._options = options or LoadOptions()
        self._base = AdaptiveRanker(self._options.adaptive)
        self._in_flight = in_flight

    def seeing(self, in_flight: Mapping[str, float]) -> Self:
        """The same ranker, told of the runs under way."""
        return self._with(self._base, in_flight)

    def requiring(self, min_runs: int) -> Self:
        """The same ranker with another ``min_requests_for_performance``."""
        return self._with(self._base.requiring(min_runs), self._in_flight)

    def _with(self, base: AdaptiveRanker, in_flight: Mapping[str, float] | None) -> Self:
        other = type(self)(self._options, in_flight=in_flight)
        other._base = base
        return other

    def place(self, contenders: Sequence[Contender], *, operation: str = "") -> list[Ranked]:
        """Highest mixed score first; equal ones in the adaptive order."""
        places = [self._mixed(place) for place in self._base.place(contenders, operation=operation)]
        return sorted(places, key=lambda place: -place.score)

    def _mixed(self, place: Ranked) -> Ranked:
        n = 0.0 if self._in_flight is None else self._in_flight.get(place.deployment, 0.0)
        load, share = load_score(n, self._options.half_load), self._options.load_share
        score = (1.0 - share) * place.score + share * load
        parts = {**place.parts, "load": share * load, "adaptive": (1.0 - share) * place.score, "final": score}
        if self._in_flight is None:
            why = f"{place.reason}; runs in flight are not known"
        else:
            parts["in_flight"] = float(n)
            why = f"{place.reason}; {n:g} runs in flight"
        return Ranked(deployment=place.deployment, score=score, parts=parts, reason=why)


class LoadPlugin(PluginWithOptions[LoadOptions]):
    """Registers the ranker."""

    name = "load"
    Options = LoadOptions

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """The ranker."""
        return (LoadRanker(self.options),)

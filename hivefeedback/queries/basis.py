"""What an answer rests on: the aggregates of a window, what is served, the rankers, and who is shut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hivefeedback.errors import UnknownNameError
from hivefeedback.hooks import Ranked, Ranker
from hivefeedback.model import Configuration, Deployment, drawn_from
from hivefeedback.queries.cells import cells_of, is_below
from hivefeedback.queries.checks import check_ids
from hivefeedback.stats import View

__all__ = ["AskRanker", "Basis", "Shut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """An open breaker (the users' word: blacklist).

    Args:
        failures: Counted failures in a row.
        until_s: When its time is over, seconds since 1970 UTC; from then on one call may try.
    """

    failures: int
    until_s: float


class AskRanker(Protocol):
    """Runs what asks a ranker under its plugin's guard. Raises PluginError where that fails."""

    def __call__(self, ranker: Ranker, ask: Callable[[Ranker], tuple[Ranked, ...]]) -> tuple[Ranked, ...]: ...


def _directly(ranker: Ranker, ask: Callable[[Ranker], tuple[Ranked, ...]]) -> tuple[Ranked, ...]:
    return ask(ranker)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Everything that the questions are answered from; all of them are pure functions of it.

    Args:
        view: Aggregates of the window that was asked for.
        config: What is served.
        rankers: By name.
        shut: Open breakers by variant; that of a deployment itself has its id.
        now_s: When it is asked, seconds since 1970 UTC.
        in_flight: Runs under way in this process per deployment; None where nobody counts them.
        ask: Asks a ranker under the guard of its plugin; default: without one.
        is_off: True in mode ``off``: there are no rankers then, and declared capability orders.
    """

    view: View
    config: Configuration
    rankers: Mapping[str, Ranker] = field(default_factory=dict)
    shut: Mapping[str, Shut] = field(default_factory=dict)
    now_s: float = 0.0
    ask: AskRanker = _directly
    is_off: bool = False
    in_flight: Mapping[str, int] | None = None

    def seen(self, operation: str | None = None) -> tuple[str, ...]:
        """Deployments of which runs are stored, of whatever time, by name."""
        exemplars = {d for d, o in self.view.exemplars if d and is_below(o, operation)}
        return tuple(sorted(exemplars | set(cells_of(self.view, operation))))

    def in_service(self, operation: str | None = None) -> tuple[str, ...]:
        """Who can be drawn for an operation, as ``decide`` reads its route; in the host's order, or the route's."""
        return drawn_from(self.config, operation or "")

    def candidates(self, given: Sequence[str] | None, operation: str | None = None) -> tuple[str, ...]:
        """Those that were given, each once; else who can be drawn; where nobody is declared, who was seen.

        Raises:
            InvalidInputError: ``given`` is no list of texts.
            UnknownNameError: One of them is neither declared nor was ever seen.
        """
        if given is None:
            return self.in_service(operation) or self.seen(operation)
        return self.known(given)

    def known(self, given: Sequence[str]) -> tuple[str, ...]:
        """The given deployments, each once. Raises as ``candidates``."""
        names = dict.fromkeys(check_ids("deployments", given))
        known = {*self.config.deployments, *self.seen()}
        for name in names:
            if name not in known:
                raise UnknownNameError("deployment", name, sorted(known))
        return tuple(names)

    def deployment(self, deployment_id: str) -> Deployment:
        """What is declared of a deployment; the defaults where it was only seen."""
        return self.config.deployments.get(deployment_id) or Deployment(deployment_id)

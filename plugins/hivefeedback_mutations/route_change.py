"""Executes ROUTE_CHANGE: which deployments may serve an operation prefix, and by which weights.

No extra is needed. ``to`` is a list of candidates, ``{"candidates": [...], "weights": {...}}`` for
fixed weights, or None for "the policy decides as the parent prefix says"; ``""`` is every operation::

    loop.propose(Mutation(kind=MutationKind.ROUTE_CHANGE, target="text-to-text/legal", to=["b", "c"]))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.hooks import Executor, Plugin, hookimpl
from hivefeedback.model import (
    Configuration,
    DropRoute,
    JsonValue,
    Mutation,
    MutationKind,
    PatchOp,
    PutRoute,
    Receipt,
    Route,
    live_value,
    route_value,
)

__all__ = ["RouteChange", "RouteChangePlugin"]


class RouteChange:
    """Changes candidates and fixed weights of an operation prefix."""

    kind = MutationKind.ROUTE_CHANGE
    is_external = False

    def prepare(self, mutation: Mutation, config: Configuration) -> Mutation:
        """Check prefix, candidates and weights, fill ``from_`` and ``undo``."""
        if mutation.target != mutation.target.strip("/ "):
            raise InvalidInputError(f"operation prefix {mutation.target!r} must not begin or end with '/' or a blank")
        route = _route(mutation.to)
        for name in route.candidates if route else ():
            if name not in config.deployments:
                raise UnknownNameError("deployment", name, list(config.deployments))
        live = live_value(config, self.kind, mutation.target)
        to = route_value(route)
        if to == live:
            raise InvalidInputError(f"the route of {mutation.target!r} is {live!r} already")
        from_ = live if mutation.from_ is None else mutation.from_
        undo = mutation.undo or f"route {mutation.target!r} as {from_!r} again"
        return replace(mutation, to=to, from_=from_, undo=undo)

    def apply(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The new route."""
        return self._put(mutation, mutation.to)

    def verify(self, mutation: Mutation, config: Configuration) -> bool:
        """True where the prefix is routed as the mutation says."""
        return config.routes.get(mutation.target) == _route(mutation.to)

    def undo(self, mutation: Mutation, config: Configuration) -> Receipt:
        """The old route."""
        return self._put(mutation, mutation.from_)

    def _put(self, mutation: Mutation, value: JsonValue) -> Receipt:
        route = _route(value)
        op: PatchOp = DropRoute(mutation.target) if route is None else PutRoute(mutation.target, route)
        where = repr(mutation.target) if mutation.target else "every operation"
        message = f"route of {where}: {'as its parent prefix' if route is None else value!r}"
        return Receipt(mutation_id=mutation.mutation_id, patch=(op,), message=message)


def _route(value: JsonValue) -> Route | None:
    """A route from its JSON.

    Raises:
        InvalidInputError: It has another form, no candidates, or impossible weights.
    """
    if value is None:
        return None
    named, weights = (value.get("candidates"), value.get("weights")) if isinstance(value, dict) else (value, None)
    if isinstance(value, dict) and set(value) - {"candidates", "weights"}:
        raise InvalidInputError(f"a route has {sorted(value)}; expected 'candidates' and 'weights'")
    if not isinstance(named, list) or not named or not all(isinstance(n, str) and n for n in named):
        raise InvalidInputError(f"a route's candidates are {named!r}; expected a list of deployment ids, at least one")
    names = tuple(str(n) for n in named)
    if len(set(names)) < len(names):
        raise InvalidInputError(f"a route names a candidate twice: {named!r}")
    return Route(candidates=names, weights=None if weights is None else _weights(weights, names))


def _weights(weights: JsonValue, names: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(weights, dict) or set(weights) - set(names):
        raise InvalidInputError(f"a route's weights are {weights!r}; expected a weight for each of {list(names)}")
    kept: dict[str, float] = {}
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not (isfinite(weight) and weight >= 0):
            raise InvalidInputError(f"the weight of {name!r} is {weight!r}; expected a number >= 0")
        kept[name] = float(weight)
    if sum(kept.values()) <= 0:
        raise InvalidInputError(f"a route's weights sum to 0: {weights!r}; give one of them a positive weight")
    return kept


class RouteChangePlugin(Plugin):
    """Registers the executor."""

    name = "route_change"

    @hookimpl
    def hive_executors(self) -> Sequence[Executor]:
        """The executor of ROUTE_CHANGE."""
        return (RouteChange(),)

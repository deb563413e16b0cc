"""Who can be drawn for an operation, with which share, and who was."""

from __future__ import annotations

from collections.abc import Mapping

from hivefeedback.model import Configuration
from hivefeedback.stats import Sample, View, samples

__all__ = ["expected_shares", "used_by_operation"]


def expected_shares(config: Configuration, operation: str) -> tuple[Mapping[str, float], bool]:
    """Share of each deployment that may serve an operation, and whether somebody fixed them.

    Without fixed weights all are taken for equal: what a policy should make of them is not known here.

    >>> from hivefeedback.model import Deployment, Route
    >>> route = Route(weights={"a": 3, "b": 1})
    >>> config = Configuration(deployments={d: Deployment(d) for d in "abc"}, routes={"x": route})
    >>> expected_shares(config, "x/1"), len(expected_shares(config, "y")[0])
    (({'a': 0.75, 'b': 0.25}, True), 3)
    """
    found = config.route_of(operation)
    route = found[1] if found is not None else None
    names = [d for d in config.deployments if route is None or not route.candidates or d in route.candidates]
    if route is not None and route.weights:
        weights = {d: route.weights.get(d, 0.0) for d in names}
        total = sum(weights.values())
        if total > 0:
            return {d: weight / total for d, weight in weights.items() if weight > 0}, True
    return {d: 1.0 / len(names) for d in names}, False


def used_by_operation(view: View) -> dict[str, dict[str, Sample]]:
    """Operation → deployment → its counted runs, of those that have any."""
    used: dict[str, dict[str, Sample]] = {}
    for (deployment, operation), sample in samples(view, "deployment", "operation").items():
        if deployment and sample.outcomes.n > 0:
            used.setdefault(operation, {})[deployment] = sample
    return used

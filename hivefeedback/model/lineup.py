"""Who can be drawn for an operation in one arm of the configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from hivefeedback.model.change import DropDeployment, DropRoute, PutDeployment, PutPrompt, PutRoute, UsePrompt
from hivefeedback.model.deployment import Deployment
from hivefeedback.model.journal import Configuration, patched
from hivefeedback.model.offer import Lineup, integer_weights
from hivefeedback.model.rollout import Rollout

__all__ = [
    "concerns",
    "content_id",
    "drawn_from",
    "fingerprint",
    "lineup_of",
    "prompts_of",
    "served_as",
    "variant_id",
    "variant_without",
]


def content_id(*parts: str) -> str:
    """A short id of some texts, the same in every process.

    >>> content_id("a", "b") == content_id("a", "b") != content_id("ab")
    True
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(str(len(part)).encode() + b":" + part.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def variant_id(deployment: str, *rollout_ids: str) -> str:
    """Id under which a deployment learns while rollouts change it; without any it is the deployment.

    >>> variant_id("a", "m-1", "m-2")
    'a@m-1+m-2'
    """
    return f"{deployment}@{'+'.join(rollout_ids)}" if rollout_ids else deployment


def variant_without(variant: str, deployment: str, rollout_ids: Collection[str]) -> str:
    """The variant of a deployment that differs by the other rollouts only.

    >>> variant_without("a@m-1+m-2", "a", ["m-1"]), variant_without("a@m-1", "a", ["m-1"])
    ('a@m-2', 'a')
    """
    if not rollout_ids or variant == deployment:
        return variant
    return variant_id(deployment, *(r for r in variant[len(deployment) + 1 :].split("+") if r not in rollout_ids))


def lineup_of(
    config: Configuration,
    bodies: Mapping[str, str],
    operation: str,
    candidates: tuple[str, ...] | None,
    canaries: Iterable[str] = (),
) -> Lineup:
    """The candidates of an operation with the given rollouts in their canary arm.

    Args:
        config: The configuration of the control arm.
        bodies: Text of each prompt body by its hash.
        operation: The operation path.
        candidates: The host's own list, or None for the route's, else all deployments. A
            deployment that nobody declared is served under its id alone.
        canaries: Ids of the rollouts that this unit is in the canary of.
    """
    chosen = [config.rollouts[c] for c in canaries]
    arm = config
    for rollout in chosen:
        arm = patched(arm, rollout.patch)
    names, fixed = _routed(arm, operation, candidates)
    deployments = tuple(arm.deployments.get(n) or Deployment(n) for n in names)
    prompts_id = _prompts_id(arm)
    asked = candidates if candidates is not None else tuple(config.deployments)
    open_here = [r for r in config.rollouts.values() if concerns(r, operation, {*asked, *names})]
    return Lineup(
        key=content_id(*names),
        candidates=names,
        variants=tuple(_variant(n, chosen) for n in names),
        deployments=deployments,
        prompts={name: bodies.get(p.body, "") for name, p in arm.prompts.items() if p.body},
        config_version=config.version,
        fixed=fixed,
        rollouts=tuple(r.rollout_id for r in open_here),
        rollout_prompts=tuple(map(prompts_of, open_here)),
        versions={name: p.current for name, p in arm.prompts.items() if p.body},
        fingerprints=tuple(fingerprint(d, prompts_id) for d in deployments),
    )


def drawn_from(config: Configuration, operation: str) -> tuple[str, ...]:
    """Who can be drawn for an operation where the host names no candidates, in its order or the route's.

    >>> from hivefeedback.model import Route
    >>> config = Configuration(
    ...     deployments={name: Deployment(name) for name in "abc"}, routes={"x": Route(weights={"b": 1.0, "c": 0.0})}
    ... )
    >>> drawn_from(config, "x/y"), drawn_from(config, "z")
    (('b',), ('a', 'b', 'c'))
    """
    return _routed(config, operation, None)[0]


def _routed(
    arm: Configuration, operation: str, candidates: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Who may be drawn for an operation, and the fixed weight of each, where a route fixes them."""
    found = arm.route_of(operation)
    route = found[1] if found else None
    names = tuple(dict.fromkeys(candidates)) if candidates is not None else tuple(arm.deployments)
    if route is not None and route.candidates:
        routed = tuple(c for c in route.candidates if c in arm.deployments or c in names)
        if candidates is not None:
            routed = tuple(c for c in names if c in routed)
        names = routed or names  # a route that would leave nothing is ignored: fail open
    if route is None or not route.weights:
        return names, None
    names = tuple(n for n in names if route.weights.get(n, 0.0) > 0.0) or names  # weight 0 is never drawn
    return names, tuple(integer_weights([max(0.0, route.weights.get(n, 0.0)) for n in names]))


def _variant(name: str, chosen: list[Rollout]) -> str:
    """A deployment that canaries serve differently learns under an id that names all of them: what
    it is in two canaries at once says nothing about either alone."""
    return variant_id(name, *(rollout.rollout_id for rollout in chosen if _changes(rollout, name)))


def _changes(rollout: Rollout, deployment: str) -> bool:
    """True where the rollout can change what this deployment is served with."""
    return any(
        (isinstance(op, PutDeployment) and op.deployment.id == deployment) or isinstance(op, UsePrompt)
        for op in rollout.patch
    )


def prompts_of(rollout: Rollout) -> tuple[str, ...]:
    """Names of the prompts that a rollout changes, if it changes nothing else; else none.

    Where it changes more, a unit is concerned whether it asks for a prompt or not.
    """
    if not all(isinstance(op, UsePrompt | PutPrompt) for op in rollout.patch):
        return ()
    return tuple(sorted({op.name for op in rollout.patch if isinstance(op, UsePrompt)}))


def concerns(rollout: Rollout, operation: str, names: set[str]) -> bool:
    """True where the rollout can change what this operation with these candidates is served."""
    if rollout.is_paused:
        return False
    for op in rollout.patch:
        match op:
            case PutDeployment(deployment=d):
                if d.id in names:
                    return True
            case DropDeployment(deployment_id=name):
                if name in names:
                    return True
            case PutRoute(prefix=prefix) | DropRoute(prefix=prefix):
                if not prefix or operation == prefix or operation.startswith(prefix + "/"):
                    return True
            case UsePrompt() | PutPrompt():
                return True
    return False


_content_id = lru_cache(maxsize=4096)(content_id)  # asked for each deployment of each set that is prepared


def fingerprint(deployment: Deployment, prompts_id: str) -> str:
    """Content id of what a deployment is served with; weights and other deployments do not change it.

    Args:
        deployment: Model, parameters and adapter.
        prompts_id: Content id of the prompts that are served in the same arm.
    """
    d = deployment
    return _content_id(d.id, d.model, repr(sorted(d.params.items())), d.adapter or "", prompts_id)


def served_as(config: Configuration, deployment: str) -> str:
    """Content id of what a deployment is served with outside of canaries; cells of its runs are under it."""
    prompts_id = _prompts_id(config)
    return fingerprint(config.deployments.get(deployment) or Deployment(deployment), prompts_id)


def _prompts_id(config: Configuration) -> str:
    return content_id(*(f"{name}:{p.body}" for name, p in sorted(config.prompts.items())))

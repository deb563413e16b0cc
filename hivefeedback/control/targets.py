"""What mutations and patches touch, so that two changes never fight over one thing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from hivefeedback.model import (
    Configuration,
    DropDeployment,
    DropRoute,
    JsonValue,
    Ledger,
    Mutation,
    MutationKind,
    Patch,
    PutDeployment,
    PutPrompt,
    PutRoute,
    UsePrompt,
    patched,
)

__all__ = ["Target", "as_json", "busy_targets", "holds", "same_change", "same_served", "target_of", "touched"]

Target = tuple[str, str]
"""A noun and a name, such as ``("deployment", "a")``."""

_NOUNS: Final = {
    MutationKind.MODEL_SWAP: "deployment",
    MutationKind.PARAM_SET: "deployment",
    MutationKind.LORA_APPLY: "deployment",
    MutationKind.ROUTE_CHANGE: "route",
    MutationKind.PROMPT_PATCH: "prompt",
    MutationKind.MEMORY_UPDATE: "memory",
}


def target_of(mutation: Mutation) -> Target:
    """What a mutation is about.

    >>> target_of(Mutation(kind=MutationKind.PARAM_SET, target="a", to={}))
    ('deployment', 'a')
    """
    return _NOUNS[mutation.kind], mutation.target


def touched(patch: Patch) -> frozenset[Target]:
    """What a patch changes."""
    return frozenset(_touched(patch))


def _touched(patch: Patch) -> Iterable[Target]:
    for op in patch:
        match op:
            case PutDeployment(deployment=d):
                yield "deployment", d.id
            case DropDeployment(deployment_id=name):
                yield "deployment", name
            case PutRoute(prefix=prefix) | DropRoute(prefix=prefix):
                yield "route", prefix
            case PutPrompt(name=name) | UsePrompt(name=name):
                yield "prompt", name


def busy_targets(config: Configuration, ledger: Ledger) -> frozenset[Target]:
    """What an open mutation or rollout is about."""
    waiting = {target_of(life.mutation) for life in ledger.open()}
    return frozenset(waiting.union(*(touched(r.patch) for r in config.rollouts.values())))


def holds(config: Configuration, patch: Patch) -> bool:
    """True where the configuration already is as the patch would make it."""
    return same_served(patched(config, patch), config)


def same_served(one: Configuration, other: Configuration) -> bool:
    """True where two configurations serve the same, open rollouts aside."""
    return (one.deployments, one.routes, one.prompts) == (other.deployments, other.routes, other.prompts)


def same_change(mutation: Mutation) -> str:
    """A key that two mutations share if they would do the same to the same thing."""
    return as_json([mutation.kind.value, mutation.target, mutation.to])


def as_json(value: JsonValue) -> str:
    """Canonical JSON, by which values are compared whatever store they came through."""
    return msgspec.json.encode(value, order="deterministic").decode()

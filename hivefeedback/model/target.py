"""What mutations and patches touch, so that two changes never fight over one thing."""

from __future__ import annotations

from typing import Final

from hivefeedback.model.change import (
    DropAdapter,
    DropDeployment,
    DropRoute,
    Mutation,
    MutationKind,
    Patch,
    PatchOp,
    PutAdapter,
    PutDeployment,
    PutPrompt,
    PutRoute,
    UsePrompt,
)

__all__ = ["Target", "target_of", "targets_of"]

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
    """What a mutation is about. Items of a memory stand side by side, so two of them are two things.

    >>> target_of(Mutation(kind=MutationKind.PARAM_SET, target="a", to={}))
    ('deployment', 'a')
    """
    to = mutation.to
    if mutation.kind is MutationKind.MEMORY_UPDATE and isinstance(to, dict):
        what = next((str(to[name]) for name in ("body", "forget", "feedback", "text") if name in to), "")
        return "memory", f"{mutation.target}/{what}"
    return _NOUNS[mutation.kind], mutation.target


def targets_of(patch: Patch) -> frozenset[Target]:
    """What a patch changes.

    >>> sorted(targets_of((PutPrompt("p", 1, "hash"), UsePrompt("p", 1), DropRoute("chat"))))
    [('prompt', 'p'), ('route', 'chat')]
    """
    return frozenset(map(_target, patch))


def _target(op: PatchOp) -> Target:
    match op:
        case PutDeployment(deployment=d):
            return "deployment", d.id
        case DropDeployment(deployment_id=name):
            return "deployment", name
        case PutRoute(prefix=prefix) | DropRoute(prefix=prefix):
            return "route", prefix
        case PutPrompt(name=name) | UsePrompt(name=name):
            return "prompt", name
        case PutAdapter(adapter=adapter):
            return "adapter", adapter.name
        case DropAdapter(name=name):
            return "adapter", name

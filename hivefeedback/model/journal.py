"""Entries of the journal, and the configuration that is their fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hivefeedback.model.adapter import Adapter
from hivefeedback.model.change import (
    DropAdapter,
    DropDeployment,
    DropRoute,
    Mutation,
    Patch,
    PatchOp,
    PutAdapter,
    PutDeployment,
    PutPrompt,
    PutRoute,
    Route,
    UsePrompt,
    Verdict,
)
from hivefeedback.model.deployment import Deployment
from hivefeedback.model.rollout import Rollout
from hivefeedback.model.target import targets_of

__all__ = ["Configuration", "EntryState", "JournalEntry", "PromptVersions", "fold", "inverse", "patched"]

EntryState = Literal[
    "declared",
    "edited",
    "proposed",
    "validated",
    "rejected",
    "awaiting_approval",
    "approved",
    "applying",
    "canary",
    "paused",
    "promoted",
    "rolled_back",
    "failed",
    "erased",
]
"""What an entry says. ``declared`` and ``edited`` change the configuration without a mutation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line of the journal; holds no free text, which lies beside it under ``why``.

    Args:
        seq: Position, from 1; also the version of the configuration that it makes.
        at_s: When, seconds since 1970 UTC.
        state: What it says.
        mutation_id: Which mutation it moves on; empty for ``declared`` and ``edited``.
        by: Who: a person's name, ``turn``, ``recorder``, ``declared``.
        why: Hash of the reason's text (a body), or empty.
        mutation: The mutation itself, in ``proposed``.
        plan_hash: Content hash that was validated.
        verdicts: The gates' answers, in ``validated``, ``rejected``, ``awaiting_approval``.
        patch: The change of the configuration, in ``declared``, ``edited``, ``promoted`` (and in
            ``rolled_back`` after a promotion); what the canary serves, in ``canary``.
        rollout: The rollout as it stands, in ``canary`` and ``paused``.
        content_hash: Of what was declared, in ``declared``.
        numbers: What the step rests on.
        token: Fencing token of the leader that wrote it; 0 where none is needed.
    """

    seq: int = 0
    at_s: float
    state: EntryState
    mutation_id: str = ""
    by: str = ""
    why: str = ""
    mutation: Mutation | None = None
    plan_hash: str = ""
    verdicts: tuple[Verdict, ...] = ()
    patch: Patch = ()
    rollout: Rollout | None = None
    content_hash: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    token: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptVersions:
    """A named prompt: the hash of each version's text, and the version that is served."""

    bodies: tuple[str, ...] = ()
    current: int = 0

    @property
    def body(self) -> str:
        """Hash of the served text, or empty."""
        return self.bodies[self.current - 1] if 0 < self.current <= len(self.bodies) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What is served: a fold of the journal, whose last sequence number is its version."""

    version: int = 0
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    prompts: Mapping[str, PromptVersions] = field(default_factory=dict)
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    adapters: Mapping[str, Adapter] = field(default_factory=dict)

    def route_of(self, operation: str) -> tuple[str, Route] | None:
        """The route with the longest prefix of the operation, with that prefix.

        >>> c = Configuration(routes={"a": Route(candidates=("x",))})
        >>> c.route_of("a/b")[0], c.route_of("ab")
        ('a', None)
        """
        prefix = operation
        while True:
            route = self.routes.get(prefix)
            if route is not None:
                return prefix, route
            if not prefix:
                return None
            prefix = prefix.rpartition("/")[0]


def _apply(config: Configuration, op: PatchOp) -> Configuration:
    match op:
        case PutDeployment(deployment=d):
            return replace(config, deployments={**config.deployments, d.id: d})
        case DropDeployment(deployment_id=name):
            return replace(config, deployments={k: v for k, v in config.deployments.items() if k != name})
        case PutRoute(prefix=prefix, route=route):
            return replace(config, routes={**config.routes, prefix: route})
        case DropRoute(prefix=prefix):
            return replace(config, routes={k: v for k, v in config.routes.items() if k != prefix})
        case PutPrompt(name=name, version=version, body=body):
            known = config.prompts.get(name, PromptVersions())
            bodies = (*known.bodies, *("",) * (version - len(known.bodies)))
            bodies = (*bodies[: version - 1], body, *bodies[version:])
            return replace(config, prompts={**config.prompts, name: replace(known, bodies=bodies)})
        case UsePrompt(name=name, version=version):
            known = config.prompts.get(name, PromptVersions())
            return replace(config, prompts={**config.prompts, name: replace(known, current=version)})
        case PutAdapter(adapter=adapter):
            return replace(config, adapters={**config.adapters, adapter.name: adapter})
        case DropAdapter(name=name):
            return replace(config, adapters={k: v for k, v in config.adapters.items() if k != name})


def patched(config: Configuration, patch: Patch) -> Configuration:
    """The configuration with a patch applied; the version stays."""
    for op in patch:
        config = _apply(config, op)
    return config


def inverse(config: Configuration, patch: Patch) -> Patch:
    """The patch that takes ``patch`` back, seen from the configuration before it."""
    undo: list[PatchOp] = []
    for op in patch:
        match op:
            case PutDeployment(deployment=d):
                old = config.deployments.get(d.id)
                undo.append(PutDeployment(old) if old else DropDeployment(d.id))
            case DropDeployment(deployment_id=name):
                if name in config.deployments:
                    undo.append(PutDeployment(config.deployments[name]))
            case PutRoute(prefix=prefix) | DropRoute(prefix=prefix):
                route = config.routes.get(prefix)
                undo.append(PutRoute(prefix, route) if route else DropRoute(prefix))
            case UsePrompt(name=name):
                undo.append(UsePrompt(name, config.prompts.get(name, PromptVersions()).current))
            case PutAdapter(adapter=Adapter(name=name)) | DropAdapter(name=name):
                adapter = config.adapters.get(name)
                undo.append(PutAdapter(adapter) if adapter else DropAdapter(name))
            case PutPrompt():
                pass  # a stored version hurts nobody; only the served version is taken back
    return tuple(reversed(undo))


def fold(config: Configuration, entry: JournalEntry) -> Configuration:
    """The configuration after one more entry."""
    config = replace(config, version=entry.seq)
    rollouts = config.rollouts
    match entry.state:
        case "declared" | "edited" | "promoted" | "rolled_back" | "failed" | "rejected":
            ended = entry.mutation_id
            is_under_others = entry.state in ("declared", "edited", "rolled_back")  # what was built on it ends
            touched = targets_of(entry.patch) if is_under_others else frozenset()
            kept = {k: r for k, r in rollouts.items() if k != ended and not touched & targets_of(r.patch)}
            config = replace(patched(config, entry.patch), rollouts=kept)
        case "canary" | "paused":
            if entry.rollout is not None:
                config = replace(config, rollouts={**rollouts, entry.mutation_id: entry.rollout})
    if entry.state == "declared":
        config = replace(config, declared=config.declared | {entry.content_hash})
    return config

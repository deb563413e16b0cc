"""Which changes touch what is busy, hold already, or are the same."""

from __future__ import annotations

import msgspec

from hivefeedback.model import Configuration, JsonValue, Ledger, Mutation, Patch, Target, patched, target_of, targets_of

__all__ = ["as_json", "busy_targets", "holds", "same_change", "same_served"]


def busy_targets(config: Configuration, ledger: Ledger) -> frozenset[Target]:
    """What an open mutation or rollout is about."""
    waiting = {target_of(life.mutation) for life in ledger.open()}
    return frozenset(waiting.union(*(targets_of(r.patch) for r in config.rollouts.values())))


def holds(config: Configuration, patch: Patch) -> bool:
    """True where the configuration already is as the patch would make it."""
    return same_served(patched(config, patch), config)


def same_served(one: Configuration, other: Configuration) -> bool:
    """True where two configurations serve the same, open rollouts aside."""
    served = (one.deployments, one.routes, one.prompts, one.adapters)
    return served == (other.deployments, other.routes, other.prompts, other.adapters)


def same_change(mutation: Mutation) -> str:
    """A key that two mutations share if they would do the same to the same thing."""
    return as_json([mutation.kind.value, mutation.target, mutation.to])


def as_json(value: JsonValue) -> str:
    """Canonical JSON, by which values are compared whatever store they came through."""
    return msgspec.json.encode(value, order="deterministic").decode()

"""Opens the store, makes the policy: the parts that are chosen by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from hivefeedback.errors import ConfigurationError, InvalidInputError
from hivefeedback.hooks import Policy, PolicyFactory, Store
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Configuration, Decision, Deployment, Offer, PromptVersions, Snapshot, lineup_of
from hivefeedback.recording import Counters

__all__ = ["begin_with_store", "make_policy", "open_store", "passive_decision", "static_snapshot"]

log = logging.getLogger(__name__)


def open_store(registry: Registry, url: str, *, read_only: bool = False) -> Store:
    """The store that a URL names.

    Raises:
        ConfigurationError: No store is registered for the scheme.
        StoreError: It cannot be opened; the message names it and the remedy.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        raise ConfigurationError(f"store {url!r} is no URL; expected such as 'sqlite:///hive.db' or 'memory://'")
    factory = registry.stores.get(scheme)
    if factory is None:
        known = ", ".join(f"{s}://" for s in sorted(registry.stores)) or "none"
        raise ConfigurationError(f"store {url!r}: no plugin offers {scheme}://; known: {known}")
    return factory(url, read_only=read_only)


def begin_with_store(registry: Registry, url: str, counters: Counters, begin: Callable[[Store], None]) -> None:
    """Open a store and begin to use it; one that cannot be used never stops the host: memory stands in, and says so.

    Args:
        registry: Knows the stores.
        url: Which one.
        counters: Where that is counted.
        begin: Everything that is read and written at start.

    Raises:
        ConfigurationError: No store of that kind is known, or what is declared is wrong.
    """
    try:
        begin(open_store(registry, url))
    except (ConfigurationError, InvalidInputError):
        raise
    except Exception as error:  # noqa: BLE001  # the plugin guard: a store is a plugin, and the host must start
        counters.note("store_unreachable", f"{error}; nothing is kept beyond this process")
        log.error("the store cannot be used, memory:// stands in: %s", error)
        begin(open_store(registry, "memory://"))


def make_policy(registry: Registry, policy: str | Policy | PolicyFactory, seed: int) -> Policy:
    """A policy by name, the given one, or what a factory makes of the seed.

    Raises:
        ConfigurationError: No policy of that name.
    """
    if isinstance(policy, str):
        factory = registry.policies.get(policy)
        if factory is None:
            known = ", ".join(repr(p) for p in sorted(registry.policies)) or "none"
            raise ConfigurationError(f"policy {policy!r} is not known; known: {known}")
        return factory(seed)
    return policy(seed) if callable(policy) else policy


def static_snapshot(mode: str, deployments: Mapping[str, Deployment], prompts: Mapping[str, str]) -> Snapshot:
    """What is served without a store: the declared deployments, nothing learnt."""
    config = Configuration(
        deployments=deployments, prompts={name: PromptVersions(bodies=(name,), current=1) for name in prompts}
    )
    return Snapshot(mode, config, dict(prompts), 0, {}, frozenset(), {}, frozenset(), {}, {})


def passive_decision(snapshot: Snapshot, operation: object, candidates: object, reason: str, at_s: float) -> Decision:
    """The host's own choice, the first candidate: for mode ``off``, after ``close``, and where deciding failed."""
    names: tuple[str, ...] | None = None
    if isinstance(candidates, Sequence) and not isinstance(candidates, str):
        names = tuple(c for c in candidates if isinstance(c, str))
    lineup = lineup_of(snapshot.config, snapshot.bodies, operation if isinstance(operation, str) else "", names)
    name = operation if isinstance(operation, str) else ""
    if not lineup.candidates:
        return Decision("", name, None, 0, None, f"{reason}: no_candidates", at_s)
    offer = Offer.of(lineup, [1] * len(lineup.candidates), weights_version=0, reason=reason)
    return Decision("", name, offer, 0, None, reason, at_s)

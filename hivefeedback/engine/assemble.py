"""Makes the parts of a loop from its settings: plugins, store, policy, control."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from hivefeedback.control import Control, ControlOptions
from hivefeedback.engine.bus.bus import Bus
from hivefeedback.engine.values import EngineValues
from hivefeedback.errors import ConfigurationError, InvalidInputError
from hivefeedback.hooks import Archive, Policy, PolicyFactory, Store
from hivefeedback.hooks.passed import passed_options, passed_plugins, passed_policy
from hivefeedback.hooks.pipeline import EVERYTHING, StageRule
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import shown_url
from hivefeedback.recording import Counters

__all__ = [
    "begin_strictly",
    "begin_with_store",
    "check_policy",
    "make_archive",
    "make_bus",
    "make_control",
    "make_policy",
    "make_registry",
    "open_store",
]

_MONITOR, _STORES = "sequential", "stores"

log = logging.getLogger(__name__)


def open_store(registry: Registry, url: str, *, read_only: bool = False) -> Store:
    """The store that a URL names.

    Raises:
        ConfigurationError: No store is registered for the scheme.
        StoreError: It cannot be opened; the message names it and the remedy.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        raise ConfigurationError(
            f"store {shown_url(url)!r} is no URL; expected such as 'sqlite:///hive.db' or 'memory://'"
        )
    factory = registry.stores.get(scheme)
    if factory is None:
        known = ", ".join(f"{s}://" for s in sorted(registry.stores)) or "none"
        raise ConfigurationError(f"store {shown_url(url)!r}: no plugin offers {scheme}://; known: {known}")
    return factory(url, read_only=read_only)


def begin_strictly(registry: Registry, url: str, begin: Callable[[Store], None]) -> None:
    """Open a store and begin to use it; one that fails on the way is closed again, and its error raised."""
    store = open_store(registry, url)
    try:
        begin(store)
    except BaseException:
        store.close()
        raise


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
        begin_strictly(registry, url, begin)
    except (ConfigurationError, InvalidInputError):
        raise
    except Exception as error:  # noqa: BLE001  # the plugin guard: a store is a plugin, and the host must start
        said = str(error).replace(url, shown_url(url))  # a driver may name all that it was given
        counters.note("store_unreachable", f"{said}; it is not tried again, nothing is kept beyond this process")
        log.error("the store cannot be used, memory:// stands in until the process is started again: %s", said)
        begin(open_store(registry, "memory://"))


def check_policy(registry: Registry, policy: object) -> None:
    """Refuse what can be no policy, before anything is opened; what a factory makes is seen when it is made.

    Raises:
        ConfigurationError: No policy of that name, or no policy at all.
    """
    if isinstance(policy, str):
        if policy not in registry.policies:
            known = ", ".join(repr(p) for p in sorted(registry.policies)) or "none"
            raise ConfigurationError(f"policy {policy!r} is not known; known: {known}")
    elif not callable(policy):
        passed_policy(policy)


def make_policy(registry: Registry, policy: str | Policy | PolicyFactory, seed: int) -> Policy:
    """A policy by name, the given one, or what a factory makes of the seed.

    Raises:
        ConfigurationError: No policy of that name, it is none, or it cannot be made.
    """
    if isinstance(policy, str):
        check_policy(registry, policy)
        policy = registry.policies[policy]
    try:
        made = policy(seed) if callable(policy) else policy
    except Exception as error:  # the plugin guard: else it would look like a store that is gone
        raise ConfigurationError(f"the policy could not be made: {type(error).__name__}: {error}") from error
    return passed_policy(made)


def make_registry(
    values: EngineValues,
    *,
    is_inline: bool,
    options: object,
    plugins: object,
) -> Registry:
    """All plugins of a loop: those that are installed, then those that were passed.

    In mode ``off`` only the stores: every call is a no-op then, so nobody else has work.

    Raises:
        ConfigurationError: A plugin or an option is wrong.
    """
    given, passed = passed_options(options), passed_plugins(plugins)
    file_options = {name: dict(wanted) for name, wanted in values.options.items()}
    file_options[_MONITOR] = {**_monitor_options(values), **file_options.get(_MONITOR, {})}
    registry = Registry(
        hook_timeout_s=values.hook_timeout_s,
        execute_timeout_s=values.execute_timeout_s,
        max_errors=values.plugin_max_errors,
        is_inline=is_inline,
        options=given,
        file_options=file_options,
        pipeline=_pipeline(values),
    )
    if values.mode == "off":
        registry.load_entry_points(allow=[_STORES])
        return registry
    registry.load_entry_points(allow=values.plugins_allow, deny=values.plugins_deny)
    for plugin in passed:
        registry.add(plugin)
    registry.check_options()
    return registry


def _pipeline(values: EngineValues) -> dict[str, StageRule]:
    """What differs from the default; a stage that executes nothing is the mode's business."""
    rules = {
        f"hive_{stage.name}": StageRule(
            stage.enabled, None if stage.plugins is None else frozenset(stage.plugins), stage.timeout_s
        )
        for stage in values.pipeline
        if stage.name != "execute" or stage.timeout_s
    }
    return {hook: rule for hook, rule in rules.items() if rule != EVERYTHING}


def _monitor_options(values: EngineValues) -> dict[str, object]:
    """The monitor judges by the settings of the canary."""
    return {
        "alpha": values.canary_alpha,
        "margin": values.canary_margin,
        "min_units": values.canary_min_units,
        "max_age_s": values.canary_max_age_s,
        "steps": tuple(values.canary_steps),
    }


def make_bus(values: EngineValues, counters: Counters, *, is_inline: bool) -> Bus:
    """The event bus of a loop."""
    return Bus(
        counters,
        is_inline=is_inline,
        size=values.ring_size,
        max_errors=values.plugin_max_errors,
        poll_every_s=values.config_poll_s,
    )


def make_control(values: EngineValues, store: Store, registry: Registry, clock: Callable[[], float]) -> Control:
    """The journal's side of a loop, under a holder's name of its own."""
    options = ControlOptions(
        mode=values.mode,
        turn_window_s=values.turn_window_s,
        canary_steps=tuple(values.canary_steps),
        canary_min_units=values.canary_min_units,
        canary_max_age_s=values.canary_max_age_s,
        canary_alpha=values.canary_alpha,
        canary_margin=values.canary_margin,
        approval_expires_s=values.approval_expires_s,
        lease_s=values.lease_s,
        retain_events_s=values.retain_events_s,
        retain_events_n=values.retain_events_n,
        is_high_risk_asked=values.limits.require_approval_for_high_risk,
        is_rolled_back=values.limits.auto_rollback,
        is_checked=values.safety_checks,
    )
    holder = f"holder-{secrets.token_hex(8)}"
    return Control(store, registry, options, clock, holder, make_archive(values, registry))


def make_archive(values: EngineValues, registry: Registry) -> Archive | None:
    """Where events go that leave the log; nothing is written before the first one does.

    Raises:
        ConfigurationError: No archive of that format is known, or its extra is missing.
    """
    if not values.archive:
        return None
    factory = registry.archives.get(values.archive_format)
    if factory is None:
        known = ", ".join(repr(name) for name in sorted(registry.archives)) or "none"
        raise ConfigurationError(f"archive_format {values.archive_format!r} is not known; known: {known}")
    return factory(values.archive)

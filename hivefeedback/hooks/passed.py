"""What the host passes in code is checked before anything is opened.

A plugin that was found by its entry point may be a stranger's: where it fails, it is left out and named.
What the host passes itself is a setting: where it is plainly wrong, the start fails and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks.plugin import Plugin
from hivefeedback.hooks.protocols import Policy, Speaks
from hivefeedback.hooks.samplers import is_sampler

__all__ = ["passed_options", "passed_plugins", "passed_policy"]

_METHODS: Final = tuple(sorted(name for name in vars(Policy) if callable(getattr(Policy, name)) and name[0] != "_"))


def passed_plugins(plugins: object) -> list[object]:
    """The plugins as a list.

    Raises:
        ConfigurationError: They are no list of objects with hooks; the message says what is there.
    """
    if isinstance(plugins, str | bytes | Mapping) or not isinstance(plugins, Iterable):
        raise ConfigurationError(f"plugins are {plugins!r:.100}; expected a list of plugin objects")
    found = list(plugins)
    for plugin in found:
        if isinstance(plugin, str):
            raise ConfigurationError(
                f"plugins holds the text {plugin!r:.100}; expected an object with hooks. What is installed comes in "
                "by itself; plugins_allow and plugins_deny choose from it by name"
            )
        if not (isinstance(plugin, type) or _does_something(plugin)):
            raise ConfigurationError(
                f"plugins holds {plugin!r:.100}, which has no hook; expected an object whose hooks @hookimpl marks"
            )
    return found


def _does_something(plugin: object) -> bool:
    """A ``Plugin`` may have no hook yet; what only speaks or measures needs none."""
    has_hook = any(name.startswith("hive_") for name in dir(plugin))
    return has_hook or isinstance(plugin, Plugin | Speaks) or is_sampler(plugin)


def passed_options(options: object) -> dict[str, Mapping[str, object]]:
    """The options of each plugin.

    Raises:
        ConfigurationError: They are no mappings; the message names the plugin.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"options are {options!r:.100}; expected such as {{'limits': {{'max_per_hour': 10}}}}")
    for name, values in options.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"options are given for {name!r:.100}; expected the name of a plugin")
        if not isinstance(values, Mapping):
            raise ConfigurationError(
                f"options of plugin {name!r} are {values!r:.100}; expected a mapping of their names and values"
            )
    return dict(options)


def passed_policy(policy: object) -> Policy:
    """What is to be a policy.

    Raises:
        ConfigurationError: It lacks what a policy has; the message names that.
    """
    missing = [name for name in _METHODS if not callable(getattr(policy, name, None))]
    if missing or not isinstance(getattr(policy, "name", None), str):
        lacks = f"which lacks {', '.join(missing or ['name'])}; " if len(missing) < len(_METHODS) else ""
        raise ConfigurationError(
            f"policy is {policy!r:.100}; {lacks}expected the name of a policy, a Policy, or a function that makes one "
            "of a seed"
        )
    return policy  # type: ignore[return-value]  # looked at, method by method

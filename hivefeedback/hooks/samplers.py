"""Asks the plugins that measure the system, each under its guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import getattr_static
from math import inf, isfinite
from typing import TypeVar, cast

from hivefeedback.hooks.guard import Guard, PluginInfo
from hivefeedback.hooks.samples import Samples

__all__ = ["Samplers", "is_sampler"]

T = TypeVar("T")


class Samplers:
    """The plugins of a registry that are ``Samples``.

    Args:
        guard: Calls them.
        infos: All plugins by name.
        plugin_of: The plugin of a name.
        timeout_s: How long one may take.
    """

    def __init__(
        self, guard: Guard, infos: Mapping[str, PluginInfo], plugin_of: Callable[[str], object], *, timeout_s: float
    ) -> None:
        self._guard, self._infos, self._plugin_of, self._timeout_s = guard, infos, plugin_of, timeout_s
        self._known: list[str] | None = None

    def look_again(self) -> None:
        """A plugin came."""
        self._known = None

    def every_s(self) -> float:
        """How often those that measure the system want to be asked, in seconds; infinite: nobody does."""
        wanted = (self._asked(name, lambda one: float(one.every_s), inf) for name in self._names())
        return max(1.0, min(wanted, default=inf))

    def sample(self) -> dict[str, float]:
        """What they found; what is no finite number is left out."""
        found: dict[str, float] = {}
        for name in self._names():
            found.update(self._asked(name, lambda one: _measures(one.sample()), dict[str, float]()))
        return found

    def _names(self) -> list[str]:
        if self._known is None:
            self._known = [name for name in self._infos if is_sampler(self._plugin_of(name))]
        return self._known

    def _asked(self, name: str, ask: Callable[[Samples], T], default: T) -> T:
        plugin = cast(Samples, self._plugin_of(name))
        return self._guard.call(
            self._infos[name], "sample", partial(ask, plugin), timeout_s=self._timeout_s, default=default
        )


def is_sampler(plugin: object) -> bool:
    """Whether a plugin measures; looked up without asking a property for its value, a stranger's code."""
    return all(getattr_static(plugin, name, None) is not None for name in ("every_s", "sample"))


def _measures(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items() if isfinite(value)}

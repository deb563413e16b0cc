"""The base of plugins that only keep their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from hivefeedback.hooks import PluginWithOptions, hookimpl
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import View


@dataclass(frozen=True, slots=True, kw_only=True)
class LateOptions:
    """How late is late."""

    max_hours: float = 24.0


class Late(PluginWithOptions[LateOptions]):
    name = "late"
    Options = LateOptions

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        message = f"later than {self.options.max_hours:g} hours"
        return [Finding(finding_id="late", analyzer="late", kind="late", message=message)]


def told(registry: Registry) -> list[str]:
    view = View(asked_from_s=0.0, asked_to_s=1.0)
    return [finding.message for finding in registry.analyze(view, Configuration(), 0.0)]


def test_options_reach_the_hooks_through_the_registry() -> None:
    registry = Registry(is_inline=True, options={"late": {"max_hours": 2}})
    registry.add(Late())
    assert told(registry) == ["later than 2 hours"]


def test_without_options_the_defaults_hold() -> None:
    registry = Registry(is_inline=True)
    registry.add(Late())
    assert told(registry) == ["later than 24 hours"]


def test_two_plugins_of_one_class_keep_their_own_options() -> None:
    one, two = Late(), Late()
    one.configure(LateOptions(max_hours=1.0))
    assert (one.options.max_hours, two.options.max_hours) == (1.0, 24.0)


def test_options_of_another_plugin_are_refused() -> None:
    late = Late()
    with pytest.raises(AssertionError):
        late.configure(object())
    assert late.options == LateOptions()


def test_a_class_that_names_no_options_is_told_so() -> None:
    class Nameless(PluginWithOptions[LateOptions]):
        name = "nameless"

    with pytest.raises(AssertionError, match="Nameless names no Options"):
        Nameless()

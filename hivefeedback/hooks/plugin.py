"""Base classes for plugins; ``Plugin`` mirrors the specs, so that mypy catches a wrong hook.

Inheriting is optional: any object whose methods carry ``@hookimpl`` is a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar, cast

from hivefeedback.hooks.protocols import ArchiveFactory, Executor, Gate, Ranker, Scorer, StoreFactory
from hivefeedback.hooks.specs import Collected, Command, HttpRoute, PolicyFactory
from hivefeedback.model import (
    Configuration,
    Event,
    Finding,
    Ledger,
    Mutation,
    Outlook,
    Plan,
    Receipt,
    Rollout,
    StepCounts,
    Verdict,
)
from hivefeedback.stats import View

__all__ = ["Plugin", "PluginWithOptions"]

_Options = TypeVar("_Options")


class Plugin:
    """Inherit, set ``name``, override the hooks that you need and mark them ``@hookimpl``.

    ``Options`` may be a frozen dataclass with defaults. Its values come from
    ``FeedbackLoop(options={name: {...}})``, else from ``HIVEFEEDBACK_<NAME>_<FIELD>``, else from
    ``options:`` in ``hivefeedback.yaml``, and reach ``configure`` before any hook is called.
    """

    name: ClassVar[str] = ""
    Options: ClassVar[type | None] = None

    def configure(self, options: object) -> None:
        """Take the options, an instance of ``Options``. Called once, if ``Options`` is set."""

    def hive_collect(self, events: Sequence[Event]) -> Collected | None:
        """See ``hivefeedback.hooks.specs``, as for all that follow."""
        return None

    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        return ()

    def hive_plan(
        self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
    ) -> Sequence[Mutation]:
        return ()

    def hive_validate(
        self, plan: Plan, view: View, config: Configuration, ledger: Ledger, now_s: float
    ) -> Sequence[Verdict]:
        return ()

    def hive_execute(self, mutation: Mutation, config: Configuration) -> Receipt | None:
        return None

    def hive_monitor(self, rollout: Rollout, counts: Sequence[StepCounts], view: View, now_s: float) -> Outlook | None:
        return None

    def hive_stores(self) -> Mapping[str, StoreFactory]:
        return {}

    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        return {}

    def hive_scorers(self) -> Sequence[Scorer]:
        return ()

    def hive_rankers(self) -> Sequence[Ranker]:
        return ()

    def hive_executors(self) -> Sequence[Executor]:
        return ()

    def hive_gates(self) -> Sequence[Gate]:
        return ()

    def hive_routes(self) -> Sequence[HttpRoute]:
        return ()

    def hive_commands(self) -> Sequence[Command]:
        return ()

    def hive_archives(self) -> Mapping[str, ArchiveFactory]:
        return {}


class PluginWithOptions(Plugin, Generic[_Options]):
    """A plugin that only keeps its options; name their class twice, for mypy and for the registry.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, slots=True, kw_only=True)
    ... class LateOptions:
    ...     max_hours: float = 24.0
    >>> class Late(PluginWithOptions[LateOptions]):
    ...     name = "late"
    ...     Options = LateOptions
    >>> late = Late()
    >>> late.configure(LateOptions(max_hours=1.0))
    >>> late.options.max_hours
    1.0
    """

    options: _Options
    """Those that were configured; the defaults before that."""

    def __init__(self) -> None:
        assert self.Options is not None, f"{type(self).__name__} names no Options"
        self.options = self.Options()

    def configure(self, options: object) -> None:
        """Take the options."""
        assert self.Options is not None
        assert isinstance(options, self.Options)
        self.options = cast("_Options", options)

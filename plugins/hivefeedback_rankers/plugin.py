"""The plugin of a ranker that can also be drawn by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from hivefeedback.hooks import PluginWithOptions, PolicyFactory, Ranker, hookimpl
from hivefeedback_rankers.grading import GradingRanker, MinimumOptions
from hivefeedback_rankers.policy import RankedPolicy

__all__ = ["GradingPlugin"]

_Options = TypeVar("_Options", bound=MinimumOptions)


class GradingPlugin(PluginWithOptions[_Options]):
    """Registers a ranker and the policy that draws by it; a subclass names both alike."""

    kind: ClassVar[type[GradingRanker[Any]]]

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """The ranker."""
        return (self.kind(self.options),)

    @hookimpl
    def hive_policies(self) -> Mapping[str, PolicyFactory]:
        """The same formula, to draw by."""
        return {self.name: lambda seed: RankedPolicy(self.name, self.kind(self.options))}

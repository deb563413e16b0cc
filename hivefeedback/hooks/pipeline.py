"""Which plugins a stage asks, and how long each may take."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["EVERYTHING", "StageRule"]


class StageRule(NamedTuple):
    """What holds for a stage.

    Args:
        is_on: False: the stage has nothing to say.
        plugins: Only these are asked; None: all.
        timeout_s: How long each may take, seconds; None: as all stages.

    >>> StageRule(plugins=frozenset({"degradation"})).asks("cost")
    False
    """

    is_on: bool = True
    plugins: frozenset[str] | None = None
    timeout_s: float | None = None

    def asks(self, plugin: str) -> bool:
        """True where that plugin takes part."""
        return self.is_on and (self.plugins is None or plugin in self.plugins)


EVERYTHING: Final = StageRule()

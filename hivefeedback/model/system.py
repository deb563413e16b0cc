"""How process and host are, as they were last looked at."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

__all__ = ["SystemState"]


class SystemState(Struct, frozen=True):
    """Measures of one moment.

    Args:
        at_s: When, seconds since 1970 UTC.
        values: Name → value, the unit in the name. What this machine does not have, or what was not
            measured, is absent, never 0.
    """

    at_s: float
    values: Mapping[str, float] = {}

    def get(self, name: str) -> float | None:
        """One measure, or None.

        >>> SystemState(0.0, {"queue_depth": 3.0}).get("gpu_memory_used_mb") is None
        True
        """
        return self.values.get(name)

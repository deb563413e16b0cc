"""One thing that is worth knowing of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Insight", "Severity"]

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One thing that is worth knowing.

    Args:
        kind: ``errors``, ``slow``, ``low_rating``, ``declined``, ``blacklisted``, ``too_few_runs``, ``unused``,
            ``best``.
        severity: ``info``, ``warning`` or ``critical``.
        deployment: What it concerns.
        message: One sentence with the numbers.
        numbers: The same for programs.
    """

    kind: str
    severity: Severity
    deployment: str
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)

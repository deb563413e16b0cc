"""Which suspicions are told: those that are more than chance among everything that was compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hivefeedback.model import Finding
from hivefeedback_analyzers.odds import adjusted_among

__all__ = ["Suspected", "told"]

Suspected = tuple[float, Finding]
"""A p-value that is still to be adjusted, and what is to be said if it is small."""


def told(suspected: Sequence[Suspected], n_tests: int, alpha: float) -> list[Finding]:
    """Findings whose adjusted p-value is at most ``alpha``, in order, each with it in its message.

    Args:
        suspected: Those that are worth a look.
        n_tests: How much was compared in all; the other p-values are taken for 1.
        alpha: Largest p-value that is told.

    >>> odd = Finding(finding_id="f", analyzer="cost", kind="cost", message="'a' is dear")
    >>> [finding.message for finding in told([(0.0001, odd), (0.01, odd)], 4, 0.001)]
    ["'a' is dear, p 0.0004"]
    """
    adjusted = adjusted_among([p_value for p_value, _ in suspected], n_tests)
    return [
        replace(finding, p_value=p_value, message=f"{finding.message}, p {p_value:.2g}")
        for (_, finding), p_value in zip(suspected, adjusted, strict=True)
        if p_value <= alpha
    ]

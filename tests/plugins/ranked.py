"""Windows for rankers, from runs given by count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hivefeedback.hooks import Ranked, Ranker
from hivefeedback.model import Configuration, Deployment, Run
from hivefeedback.stats import View
from hivefeedback.testing import Seen, view_of

__all__ = ["configured", "near", "ran", "ranked"]

near: Any = pytest.approx
"""``approx`` that mypy lets stand inside a tuple."""


def ran(
    deployment: str,
    n: int,
    *,
    n_ok: int | None = None,
    latency_ms: float | None = 100.0,
    operation: str = "chat",
    outcome: str = "model_error",
    judged: Mapping[str, float] | None = None,
    n_judged: int | None = None,
    cost_usd: float | None = None,
) -> list[Seen]:
    """n runs of one deployment, of which n_ok (all) ended ok; the others ended with ``outcome``."""
    n_ok = n if n_ok is None else n_ok
    n_judged = n if n_judged is None else n_judged
    duration_s = None if latency_ms is None else latency_ms / 1000.0
    return [
        Seen(
            run=Run(
                deployment,
                operation,
                "ok" if i < n_ok else outcome,
                duration_s if i < n_ok else 0.001,
                started_at_s=60.0 * (i % 3),
                cost_usd=cost_usd,
            ),
            judged=(judged or {}) if i < n_judged else {},
        )
        for i in range(n)
    ]


def configured(*deployments: Deployment) -> Configuration:
    """A configuration with these deployments."""
    return Configuration(version=1, deployments={d.id: d for d in deployments})


def ranked(
    ranker: Ranker, seen: list[Seen], *deployments: Deployment, operation: str = "", candidates: list[str] | None = None
) -> list[Ranked]:
    """What a ranker answers for these runs; all deployments are candidates unless some are given."""
    names = [d.id for d in deployments] if candidates is None else candidates
    view: View = view_of(seen)
    return list(ranker.rank(view, configured(*deployments), operation=operation, candidates=names))

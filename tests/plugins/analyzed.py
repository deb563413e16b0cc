"""Runs from which analyzers are tried, and what they find in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Final

from hivefeedback.hooks import Plugin
from hivefeedback.model import Configuration, Deployment, Finding, Run
from hivefeedback.testing import Seen, view_of

__all__ = ["CONFIG", "HOUR", "T0_S", "findings", "runs"]

T0_S: Final = 1_700_000_040.0
"""The start of a minute."""
HOUR: Final = 3600.0
CONFIG: Final = Configuration(version=1, deployments={n: Deployment(n) for n in ("a", "b", "c")})


def runs(
    n: int,
    deployment: str = "a",
    operation: str = "qa",
    *,
    bad: float = 0.0,
    outcome: str = "model_error",
    reward: float | None = None,
    judged: Mapping[str, float] | None = None,
    seconds: float = 0.5,
    usd: float | None = None,
    from_s: float = 0.0,
    over_s: float = HOUR,
    seed: int = 1,
) -> Iterator[Seen]:
    """``n`` runs evenly over a time, a part ``bad`` of which ends with an outcome; times and costs scatter."""
    rng = Random(f"{deployment}{operation}{from_s}{seed}")
    for i in range(n):
        is_bad = int((i + 1) * bad) > int(i * bad)
        at_s = T0_S + from_s + over_s * i / n
        run = Run(
            deployment,
            operation,
            outcome if is_bad else "ok",
            seconds * rng.lognormvariate(-0.02, 0.2),
            cost_usd=None if usd is None else usd * rng.lognormvariate(-0.02, 0.2),
            run_id=f"{deployment}-{operation}-{from_s}-{i}",
            started_at_s=at_s,
        )
        yield Seen(run=run, reward=reward, judged=judged or {})


def findings(
    plugin: Plugin, *parts: Iterable[Seen], config: Configuration = CONFIG, now_s: float = HOUR, options: object = None
) -> dict[str, Finding]:
    """Findings by id; ``now_s`` counts from the first run's minute."""
    seen = sorted((s for part in parts for s in part), key=lambda s: s.run.started_at_s or 0.0)
    if options is not None:
        plugin.configure(options)
    return {f.finding_id: f for f in plugin.hive_analyze(view_of(seen), config, T0_S + now_s)}

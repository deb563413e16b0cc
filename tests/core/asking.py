"""What questions are asked of in tests: windows made by hand, and a ranker whose scores are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hivefeedback import Deployment, Run
from hivefeedback.hooks import Plugin, Ranked, Ranker, hookimpl
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Configuration
from hivefeedback.queries import Basis, Shut
from hivefeedback.stats import View
from hivefeedback.testing import Seen, view_of

NOW_S = 1_700_000_000.0
RANKERS = ("stores", "adaptive", "balanced", "speed", "quality", "reliable", "criteria", "thresholds")
"""Plugins of a loop that is asked to rank."""


class GivenRanker:
    """Scores as given; 0 for the others."""

    def __init__(self, name: str, scores: Mapping[str, float]) -> None:
        self.name, self._scores = name, scores
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def rank(self, view: View, config: Configuration, *, operation: str, candidates: Sequence[str]) -> Sequence[Ranked]:
        """Best first."""
        self.asked.append((operation, tuple(candidates)))
        found = [
            Ranked(deployment=c, score=self._scores.get(c, 0.0), parts={"given": 1.0}, reason="as given")
            for c in candidates
        ]
        return sorted(found, key=lambda r: -r.score)


class GivenRankers(Plugin):
    """A plugin with the given rankers."""

    name = "given"

    def __init__(self, *rankers: Ranker) -> None:
        self._rankers = rankers

    @hookimpl
    def hive_rankers(self) -> Sequence[Ranker]:
        """The given ones."""
        return self._rankers


def runs(
    deployment: str,
    n: int,
    *,
    failed: int = 0,
    operation: str = "x",
    duration_s: float | None = 0.1,
    cost_usd: float | None = None,
    at_s: float = NOW_S - 600.0,
    judged: Mapping[str, float] | None = None,
) -> list[Seen]:
    """``n`` runs, of which the last ``failed`` failed; all in the minute of ``at_s``."""
    return [
        Seen(
            run=Run(
                deployment,
                operation,
                "ok" if i < n - failed else "model_error",
                duration_s,
                run_id=f"{deployment}-{operation}-{at_s}-{i}",
                started_at_s=at_s,
                cost_usd=cost_usd,
            ),
            judged=judged or {},
        )
        for i in range(n)
    ]


def basis_of(
    *seen: Sequence[Seen],
    deployments: Sequence[Deployment | str] = ("a", "b"),
    rankers: Sequence[Ranker] = (),
    shut: Mapping[str, Shut] | None = None,
    window_s: float = 86400.0,
    is_off: bool = False,
) -> Basis:
    """A basis of runs and deployments; rankers are asked under the registry's guard."""
    registry = Registry(is_inline=True)
    registry.add(GivenRankers(*rankers))
    made = [d if isinstance(d, Deployment) else Deployment(d) for d in deployments]
    return Basis(
        view=view_of([s for group in seen for s in group], asked_from_s=NOW_S - window_s, asked_to_s=NOW_S + 60.0),
        config=Configuration(deployments={d.id: d for d in made}),
        rankers=registry.rankers,
        ask=registry.ask_ranker,
        shut=shut or {},
        now_s=NOW_S,
        is_off=is_off,
    )

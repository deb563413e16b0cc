"""Builds the view that analyzers, planners and gates read, from runs given by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hivefeedback.model import Run
from hivefeedback.stats import BUCKET_S, MAX_EXEMPLARS, REWARD, CellKey, Delta, Exemplar, Slice, View, bucket_of

__all__ = ["Seen", "view_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run and what was said of it.

    Args:
        run: The run; ``started_at_s`` must be set.
        reward: What was learnt from it, or None.
        judged: Further judgements by name, such as ``{"rating": 0.25}``.
        arm: ``rollout:variant`` where it was in a rollout.
        prompts: What was asked for, as ``name@version``.
    """

    run: Run
    reward: float | None = None
    judged: Mapping[str, float] = field(default_factory=dict)
    arm: str = ""
    prompts: tuple[str, ...] = ()


def view_of(seen: Iterable[Seen | Run], *, asked_from_s: float = 0.0, asked_to_s: float = 4e9) -> View:
    """The view that the recorder's aggregates of these runs would give.

    A plain ``Run`` counts as unjudged.

    >>> view = view_of([Run("a", "x", "ok", 0.5, started_at_s=30.0)])
    >>> view.totals("deployment")[("a",)].n_runs
    1
    """
    delta = Delta()
    for number, item in enumerate(seen):
        one = item if isinstance(item, Seen) else Seen(run=item)
        _add(delta, one, one.run.run_id or f"r-{number}")
    slices = tuple(Slice(bucket, BUCKET_S, key, cell) for (key, bucket), cell in sorted(delta.cells.items()))
    exemplars = {key: tuple(newest[-MAX_EXEMPLARS:]) for key, newest in delta.exemplars.items()}
    return View(asked_from_s=asked_from_s, asked_to_s=asked_to_s, slices=slices, exemplars=exemplars)


def _add(delta: Delta, seen: Seen, run_id: str) -> None:
    run = seen.run
    started_at_s = run.started_at_s or 0.0
    for arm in {"", seen.arm}:
        cell = delta.cell(CellKey(run.deployment, run.operation, run.agent_id, arm), bucket_of(started_at_s))
        cell.add_run(run)
        if seen.reward is not None:
            cell.add_judged(REWARD, seen.reward)
        for name, value in seen.judged.items():
            cell.add_judged(name, value)
    exemplar = Exemplar(
        started_at_s,
        run_id,
        run.duration_s,
        run.outcome,
        run.trace_id,
        reward=seen.reward,
        is_canary=seen.arm.endswith(":canary"),
        prompts=seen.prompts,
    )
    delta.add_exemplar(run.deployment, run.operation, exemplar)

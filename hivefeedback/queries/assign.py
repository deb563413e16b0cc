"""``loop.assign()``: a deployment for each of several agents, with one decision record each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hivefeedback.errors import InvalidInputError
from hivefeedback.hooks import Ranked
from hivefeedback.queries.basis import Basis
from hivefeedback.queries.cells import cells_of, covered
from hivefeedback.queries.checks import check_ids, check_operation
from hivefeedback.queries.ranking import Seeing, ranked
from hivefeedback.stats import Cell, Coverage

__all__ = ["AgentAssignment", "Assignments", "assign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAssignment:
    """Why an agent got its deployment.

    Args:
        agent_id: The agent.
        model_id: Id of the deployment.
        capability_score: Declared, 0–100.
        performance_score: What the ranker made of it, 0–100.
        performance_adjustment: The second less the first.
        has_performance_data: False where it has too few runs, so that capability stands alone.
        success_rate: Share of its runs that did not fail, 0–1; None without data.
        avg_latency_ms: Mean duration of ok runs; None without data.
        operation: What it is assigned for; empty: everything.
        reason: The ranker's words, and the load where that decided.
    """

    agent_id: str
    model_id: str
    capability_score: float
    performance_score: float
    performance_adjustment: float
    has_performance_data: bool
    success_rate: float | None = None
    avg_latency_ms: float | None = None
    operation: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignments:
    """One record per agent, in the order in which they were given, and what the window really covers."""

    by: str
    is_load_aware: bool
    assignments: tuple[AgentAssignment, ...]
    coverage: Coverage

    def __iter__(self) -> Iterator[AgentAssignment]:
        return iter(self.assignments)

    def __len__(self) -> int:
        return len(self.assignments)

    def __getitem__(self, index: int) -> AgentAssignment:
        return self.assignments[index]


def assign(
    basis: Basis,
    *,
    agents: Sequence[str] | Mapping[str, str],
    candidates: Sequence[str] | None = None,
    operation: str | None = None,
    by: str = "adaptive",
    is_load_aware: bool = False,
    in_flight: Mapping[str, int] | None = None,
) -> Assignments:
    """Give each agent a deployment.

    Without ``is_load_aware`` every agent of an operation gets the best, as the formula says. With it, a
    score is divided by 1 + the agents and runs in flight that the deployment has already, so that
    agents spread in proportion to the scores (the highest averages of D'Hondt, 1878). A ranker that
    looks at load itself (``load``) is asked anew for each agent instead.

    Args:
        basis: The window, and what is served.
        agents: Ids; or id → operation of that agent.
        candidates: Choose among these; default: those that can be drawn for the operation.
        operation: Of the agents that have none of their own.
        by: Name of a ranker.
        is_load_aware: Spread the agents.
        in_flight: Runs under way per deployment.

    Raises:
        UnknownNameError: No such ranker or deployment.
        InvalidInputError: An agent is named twice or is no text, or there is no deployment to assign.
        PluginError: The ranker failed.
    """
    asked = _asked(agents, check_operation(operation))
    orders = {wanted: _order(basis, by, wanted, candidates) for wanted in dict.fromkeys(asked.values())}
    cells = {wanted: cells_of(basis.view, wanted) for wanted in orders}
    load = dict(in_flight or {})
    found = []
    for agent, wanted in asked.items():
        best = _pick(orders[wanted], load, basis, by, wanted, is_load_aware=is_load_aware)
        n_before = load.get(best.deployment, 0) if is_load_aware else 0
        load[best.deployment] = load.get(best.deployment, 0) + 1
        found.append(_record(agent, wanted, best, basis, cells[wanted].get(best.deployment), n_before))
    ranked_names = {r.deployment for order in orders.values() for r in order}
    shown = cells_of(basis.view)
    return Assignments(
        by=by,
        is_load_aware=is_load_aware,
        assignments=tuple(found),
        coverage=covered(basis.view, (cell for name, cell in shown.items() if name in ranked_names)),
    )


def _asked(agents: Sequence[str] | Mapping[str, str], operation: str | None) -> dict[str, str]:
    """Agent → operation."""
    own = agents if isinstance(agents, Mapping) else {}
    asked: dict[str, str] = {}
    for name in check_ids("agents", agents):
        if name in asked:
            raise InvalidInputError(f"agent {name!r} is named twice; name each agent once")
        asked[name] = check_operation(own.get(name)) or operation or ""
    return asked


def _order(basis: Basis, by: str, operation: str, candidates: Sequence[str] | None) -> tuple[Ranked, ...]:
    names = basis.candidates(candidates, operation)
    if not names:
        raise InvalidInputError("there is no deployment to assign; declare one, or name candidates")
    return ranked(basis, by, operation=operation, candidates=names)


def _pick(
    order: Sequence[Ranked], load: Mapping[str, int], basis: Basis, by: str, operation: str, *, is_load_aware: bool
) -> Ranked:
    """The first whose breaker is closed (of all, if none is); by score and load where that is asked for."""
    sees_load = is_load_aware and isinstance(basis.rankers.get(by), Seeing)
    if sees_load:
        names = [r.deployment for r in order]
        order = ranked(replace(basis, in_flight=load), by, operation=operation, candidates=names)
    served = [r for r in order if r.deployment not in basis.shut] or list(order)
    if sees_load or not is_load_aware:
        return served[0]
    return max(served, key=lambda r: r.score / (1 + load.get(r.deployment, 0)))


def _record(
    agent: str, operation: str, best: Ranked, basis: Basis, cell: Cell | None, n_before: int
) -> AgentAssignment:
    """What the ranker told; where it is not S3's formula, what the cell and the declaration say."""
    told = best.parts
    capability = told.get("capability_score", basis.deployment(best.deployment).capability)
    has_data = bool(told.get("has_performance_data", cell is not None and cell.n_runs > 0))
    rate = cell.successes / cell.n_runs if cell is not None and cell.n_runs else None
    duration_us = cell.mean("duration_us") if cell is not None else None
    latency_ms = None if duration_us is None else duration_us / 1000.0
    busy = f"; {n_before} agents or runs have it already" if n_before else ""
    return AgentAssignment(
        agent_id=agent,
        model_id=best.deployment,
        capability_score=capability,
        performance_score=told.get("performance_score", best.score),
        performance_adjustment=told.get("performance_adjustment", best.score - capability),
        has_performance_data=has_data,
        success_rate=told.get("success_rate", rate) if has_data else None,
        avg_latency_ms=told.get("avg_latency_ms", latency_ms) if has_data else None,
        operation=operation,
        reason=best.reason + busy,
    )

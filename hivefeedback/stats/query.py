"""Which runs make a query, and whether it succeeded.

A query is a root run (one without a parent) with everything below it in its trace. Each deployment
that served an llm run there has had one query, however often it was called for it; an llm run without
parent is a query of its own deployment. The runs of a trace come in any order, so they are sorted as
they come:

- A root that is no llm run (an agent, a chain) heads the one query of its trace; llm runs of the
  trace that name no parent belong to it, too.
- Without such a root, each llm run without parent is a query; where it is a further attempt
  (``attempt`` > 1), it goes on with the query before it, which then ends as the last attempt does.
- Llm runs with a parent belong to the first query of their trace, and wait for it.

Runs that enter no success statistics (cancelled, answered from a cache …) are no use of a deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, Protocol, TypeVar

from hivefeedback.model import BLAMED, INVERTED, UNCOUNTED
from hivefeedback.model.feedback import UNREWARDED

__all__ = ["ENOUGH", "Queried", "Query", "QueryTrace", "outcome_success", "query_success"]

ENOUGH: Final = 0.5
"""A mean judgement from here on is a success: the middle of the scale, so that a rating of 3 is enough."""
_MOST: Final = 64
"""Queries of one trace that can still become one, and deployments below them; bounds the memory."""


def outcome_success(outcome: str) -> float | None:
    """Success of a query of which nobody said anything: 1 or 0, None where its outcome is not counted.

    >>> outcome_success("ok"), outcome_success("timeout"), outcome_success("cancelled")
    (1.0, 0.0, None)
    """
    return None if outcome in UNCOUNTED else 0.0 if outcome in BLAMED else 1.0


def query_success(outcome: str, judged: Iterable[tuple[str, float]], *, enough: float = ENOUGH) -> float | None:
    """Success of a query: by its fact checks, else by its scores and feedback, else by its outcome.

    Args:
        outcome: Of its root.
        judged: (name, value in [0, 1]) of what was said of it.
        enough: Smallest mean that is a success.

    Returns:
        1 or 0; None where the outcome enters no success statistics.

    >>> query_success("ok", [("helpful", 0.0), ("fact_check", 1.0)]), query_success("ok", [("complaint", 1.0)])
    (1.0, 0.0)
    """
    success = outcome_success(outcome)
    said = [(name, value) for name, value in judged if name not in UNREWARDED]
    if success is None or not said:
        return success
    checks = [value for name, value in said if name == "fact_check"]
    values = checks or [1.0 - value if name in INVERTED else value for name, value in said]
    return 1.0 if sum(values) / len(values) >= enough else 0.0


class Queried(Protocol):
    """What a run has to tell."""

    run_id: str
    deployment: str
    outcome: str
    kind: str
    judged: dict[str, tuple[str, float]] | None


R = TypeVar("R", bound=Queried)


class Query(Generic[R]):
    """One query.

    Args:
        head: The run whose outcome is the query's.
    """

    __slots__ = ("head", "heard", "roots", "used")

    def __init__(self, head: R) -> None:
        self.head = head
        self.roots: tuple[R, ...] = (head,)
        """What is said of these is said of the query."""
        self.heard: tuple[R, ...] = ()
        """Runs that stood for the root when something was said of the trace, before the root came."""
        self.used: dict[str, R] = {}
        """Deployment → its first run; the query is counted where that was."""

    def use(self, run: R) -> None:
        """A run that served it."""
        if run.kind == "llm" and run.outcome not in UNCOUNTED:
            self.used.setdefault(run.deployment, run)

    @property
    def judged(self) -> Mapping[str, tuple[str, float]]:
        """What was said of it, by key."""
        if len(self.roots) == 1 and not self.heard:
            return self.roots[0].judged or {}
        return {key: said for run in (*self.heard, *self.roots) for key, said in (run.judged or {}).items()}


class QueryTrace(Generic[R]):
    """The runs of one trace, sorted into queries."""

    __slots__ = ("_below", "_heard", "_is_headed", "n", "queries")

    def __init__(self) -> None:
        self.queries: tuple[Query[R], ...] = ()
        self._below: dict[str, R] = {}
        self._heard: tuple[R, ...] = ()
        self._is_headed = False
        self.n = 0
        """Runs that were added, however many of them it holds."""

    def add(self, run: R, settle: Callable[[Query[R], int], object], *, is_root: bool, attempt: int = 1) -> None:
        """A run came in.

        Args:
            run: The run.
            settle: Called with (query, −1) before a query changes, and with (query, +1) after that; with
                (query, 0) when it changes no more.
            is_root: It has no parent.
            attempt: 1 for the first try.
        """
        self.n += 1
        if not is_root:
            self._add_below(run, settle)
        elif self._is_headed:
            if run.kind == "llm":
                self._change(self.queries[0], settle, lambda query: _join(query, run))
        elif run.kind != "llm":
            self._head(run, settle)
        elif attempt > 1 and self.queries:
            self._change(self.queries[-1], settle, lambda query: _go_on(query, run))
        else:
            self._begin(run, settle)

    def _add_below(self, run: R, settle: Callable[[Query[R], int], object]) -> None:
        if not self.queries:
            self.wait(run)
            return
        query = self.queries[0]
        if run.deployment not in query.used and len(query.used) < _MOST:
            self._change(query, settle, lambda query: query.use(run))

    def wait(self, run: R) -> None:
        """A run that names a parent came in before any root."""
        below = self._below
        if run.deployment not in below and run.kind == "llm" and run.outcome not in UNCOUNTED and len(below) < _MOST:
            below[run.deployment] = run

    def _change(
        self, query: Query[R], settle: Callable[[Query[R], int], object], change: Callable[[Query[R]], object]
    ) -> None:
        settle(query, -1)
        change(query)
        settle(query, 1)

    def _begin(self, run: R, settle: Callable[[Query[R], int], object]) -> None:
        query = Query(run)
        if not self.queries:
            self._give(query)
        query.use(run)
        self.queries = (*self.queries, query)
        if len(self.queries) > _MOST:
            settle(self.queries[0], 0)
            self.queries = self.queries[1:]
        settle(query, 1)

    def _head(self, run: R, settle: Callable[[Query[R], int], object]) -> None:
        """All that the trace holds turns out to be one query."""
        query, self._is_headed = Query(run), True
        self._give(query)
        for other in self.queries:
            settle(other, -1)
            query.roots += other.roots
            query.heard += other.heard
            for used in other.used.values():
                query.use(used)
        self.queries = (query,)
        settle(query, 1)

    def _give(self, query: Query[R]) -> None:
        """What waited for a root."""
        query.used, self._below = self._below, {}
        query.heard, self._heard = self._heard, ()

    def hear(self, run: R) -> None:
        """Something is about to be said of the trace, and this run stands for its root: the root has not
        come yet, or it is the run itself."""
        heard = self.queries[0].heard if self.queries else self._heard
        if any(run is other for other in heard) or self.query_of(run.run_id) is not None or len(heard) >= _MOST:
            return
        if self.queries:
            self.queries[0].heard = (*heard, run)
        else:
            self._heard = (*heard, run)

    def query_of(self, run_id: str) -> Query[R] | None:
        """The query that a run decides; None where it decides none."""
        for query in self.queries:
            if any(run.run_id == run_id for run in (*query.roots, *query.heard)):
                return query
        return None

    def remove(self, run: R, settle: Callable[[Query[R], int], object]) -> None:
        """The run does not count: not as a use, and not as a root."""
        if self._below.get(run.deployment) is run:
            del self._below[run.deployment]
        for query in list(self.queries):
            settle(query, -1)
            if query.used.get(run.deployment) is run:
                del query.used[run.deployment]
            query.roots = tuple(root for root in query.roots if root is not run)
            query.heard = tuple(other for other in query.heard if other is not run)
            if query.head is not run:
                settle(query, 1)
                continue
            self.queries = tuple(other for other in self.queries if other is not query)
            self._is_headed = False
            for used in query.used.values():
                self._below.setdefault(used.deployment, used)

    @property
    def runs(self) -> list[R]:
        """Everything that it holds, each once."""
        return [run for run, _, _ in self.parts]

    @property
    def parts(self) -> list[tuple[R, bool, int]]:
        """The same as it was added: (run, is_root, attempt), so that it can be added to another one."""
        found = [(run, False, 1) for run in self._below.values()]
        for query in self.queries:
            names = {root.run_id for root in query.roots}
            found += [(run, False, 1) for run in query.used.values() if run.run_id not in names]
            found += [(root, True, 2 if i and not self._is_headed else 1) for i, root in enumerate(query.roots)]
        return found

    def __len__(self) -> int:
        n = len(self._below) + len(self._heard)
        for query in self.queries:  # written out: it is asked for each run of a trace
            n += len(query.roots) + len(query.used) + len(query.heard)
        return n


def _join(query: Query[R], run: R) -> None:
    if len(query.roots) < _MOST:
        query.roots = (*query.roots, run)
    query.use(run)


def _go_on(query: Query[R], run: R) -> None:
    query.head = run
    query.roots = (*query.roots, run)
    query.use(run)

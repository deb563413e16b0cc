"""Success of queries, counted for each deployment that had a part in them.

Beside its calls, a cell holds under ``QUERY`` how the queries ended that its deployment served (see
``hivefeedback.stats.query`` for what a query is and when it succeeded): once for each query and
deployment, in the cell of the deployment's first run in it. What is said of a query later corrects
that. A run without trace is mostly a query of its own; of such runs nothing is kept here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from hivefeedback.model import Run
from hivefeedback.recording.join import Joins, KnownRun
from hivefeedback.recording.outbox import Outbox
from hivefeedback.recording.reward import RewardRule
from hivefeedback.stats import ENOUGH, QUERY, Query, QueryTrace, outcome_success, query_success

__all__ = ["Member", "Queries", "trace_name"]

_HELD_FOR_EACH: Final = 2
"""So many times more runs are held in traces than traces are remembered."""
Trace = QueryTrace[KnownRun]
Settle = Callable[[Query[KnownRun], int], object]


class Member(NamedTuple):
    """A run of a trace, as the log has it."""

    known: KnownRun
    is_root: bool
    attempt: int


def trace_name(run: Run) -> str:
    """What the runs of a query have in common: their trace, else their decision; empty: nothing.

    >>> trace_name(Run("a", trace_id="t", decision_id="d")), trace_name(Run("a", decision_id="d")), trace_name(Run("a"))
    ('t', 'decision/d', '')
    """
    return run.trace_id or (f"decision/{run.decision_id}" if run.decision_id else "")


def _quietly(query: Query[KnownRun], sign: int) -> None:
    """It was counted before."""
    if not sign:
        query.head.group = ""


class Queries:
    """Counts queries as their runs come in, and corrects them when they are judged.

    Args:
        outbox: Where the cells are.
        joins: Finds the attempt before.
        rule: Which names judge an operation.
        size: Traces that are remembered.
        enough: Mean judgement from which a query succeeded.
    """

    def __init__(self, outbox: Outbox, joins: Joins, rule: RewardRule, *, size: int, enough: float = ENOUGH) -> None:
        self._outbox, self._joins, self._rule, self._size, self._enough = outbox, joins, rule, size, enough
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._n_held = 0

    # --- runs ---------------------------------------------------------------------------------------

    def begin(self, known: KnownRun, run: Run) -> float | None:
        """A run came in: what it adds to its own cells as a query of its own, or None; everything else
        is counted here."""
        if run.trace_id:
            known.group = run.trace_id
            return self._in_trace(known, run)
        if known.group is None or run.kind != "llm":
            return None
        if run.attempt > 1 and run.decision_id:
            return self._tried_again(known, run)
        return outcome_success(known.outcome)

    def _in_trace(self, known: KnownRun, run: Run) -> float | None:
        is_root, trace = not run.parent_id, self._traces.get(run.trace_id)
        if run.kind != "llm" and not is_root:
            return None
        if trace is None:
            trace = self._traces[run.trace_id] = QueryTrace()
            if is_root and run.kind == "llm":  # the common case of a bare call
                self._add(trace, known, run, _quietly)
                return outcome_success(known.outcome)
        else:
            self._traces.move_to_end(run.trace_id)
        self._add(trace, known, run, self._settle)
        return None

    def _tried_again(self, known: KnownRun, run: Run) -> float | None:
        """A further attempt of a decision goes on with the query of the one before."""
        name = trace_name(run)
        trace = self._traces.get(name)
        if trace is None:
            before = self._joins.decided(run.decision_id)
            if before is None or before.group != "":
                return outcome_success(known.outcome)
            trace = self._traces[name] = QueryTrace()
            trace.add(before, _quietly, is_root=True)
            self._n_held += len(trace)
            before.group = name
        known.group = name
        self._add(trace, known, run, self._settle)
        return None

    def _add(self, trace: Trace, known: KnownRun, run: Run, settle: Settle) -> None:
        n_before = len(trace)
        trace.add(known, settle, is_root=not run.parent_id, attempt=run.attempt)
        self._n_held += len(trace) - n_before
        while self._traces and (len(self._traces) > self._size or self._n_held > _HELD_FOR_EACH * self._size):
            _, oldest = self._traces.popitem(last=False)
            self._n_held -= len(oldest)

    def take_back(self, known: KnownRun) -> None:
        """The run does not count."""
        trace = self._traces.get(known.group) if known.group else None
        if trace is not None:
            self._n_held -= len(trace)
            trace.remove(known, self._settle)
            self._n_held += len(trace)
        elif known.group == "":
            self._settle(_alone(known), -1)

    def forget(self) -> None:
        """Something was erased: nothing in memory may be corrected any more without asking the log."""
        self._traces.clear()
        self._n_held = 0

    def restore(self, name: str, members: Iterable[Member]) -> None:
        """Remember a trace as the log has it; its runs were counted when they came in.

        Args:
            name: Under which it is remembered.
            members: Its runs, in the order of the log.
        """
        before, trace = self._traces.pop(name, None), Trace()
        held = {run.run_id for run in before.runs} if before is not None else ()
        for known, is_root, attempt in members:
            known.group = name
            if known.run_id not in held:
                trace.add(known, _quietly, is_root=is_root, attempt=attempt)
        if before is not None:  # what came in since then was counted without knowing of these
            self._n_held -= len(before)
            for query in before.queries:
                self._settle(query, -1)
            for known, is_root, attempt in before.parts:
                trace.add(known, self._settle, is_root=is_root, attempt=attempt)
        self._traces[name] = trace
        self._n_held += len(trace)

    # --- judgements -----------------------------------------------------------------------------------

    def hear(self, known: KnownRun) -> None:
        """Something is about to be said of the whole trace that a run is in: it is about its query."""
        if not known.group:
            return
        trace = self._traces.get(known.group)
        if trace is None:
            trace = self._traces[known.group] = QueryTrace()
        n_before = len(trace)
        trace.hear(known)
        self._n_held += len(trace) - n_before

    def of(self, known: KnownRun) -> Query[KnownRun] | None:
        """The query that a run decides, or None."""
        if known.group:
            trace = self._traces.get(known.group)
            return trace.query_of(known.run_id) if trace is not None else None
        return _alone(known) if known.group == "" and known.kind == "llm" else None

    def success(self, query: Query[KnownRun]) -> float | None:
        """Success of a query, 1 or 0, by all that was said of it so far."""
        head, judged = query.head, query.judged
        if not judged:
            return outcome_success(head.outcome)
        enters, operation = self._rule.enters, head.operation
        said = [(n, value) for n, value in judged.values() if n == "fact_check" or enters(operation, n)]
        return query_success(head.outcome, said, enough=self._enough)

    def correct(self, query: Query[KnownRun], before: float | None) -> None:
        """Something was said of a query: count what follows from it in place of what it counted as before."""
        after = self.success(query)
        if before is None or after is None or before == after:
            return
        for run in query.used.values():
            self._count(run, before, -1)
            self._count(run, after, 1)

    def _settle(self, query: Query[KnownRun], sign: int) -> None:
        if not sign:  # its trace holds too many: it stays as it is
            query.head.group = ""
            return
        success = self.success(query) if query.used else None
        if success is not None:
            for run in query.used.values():
                self._count(run, success, sign)

    def _count(self, run: KnownRun, success: float, sign: int) -> None:
        for key in run.keys:
            self._outbox.delta.cell(key, run.bucket).add_judged(QUERY, success, sign)


def _alone(known: KnownRun) -> Query[KnownRun]:
    query = Query(known)
    query.use(known)
    return query

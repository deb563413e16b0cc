"""Success of queries, counted for each deployment that had a part in them.

Beside its calls, a cell holds under ``QUERY`` how the queries ended that its deployment served (see
``hivefeedback.stats.query`` for what a query is and when it succeeded): once for each query and
deployment, in the cell of the deployment's first run in it. What is said of a query later corrects
that. A run without trace is mostly a query of its own; of such runs nothing is kept here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple, cast

from hivefeedback.model import Run
from hivefeedback.recording.feedback.join import Joins, KnownRun
from hivefeedback.recording.learning.reward import RewardRule
from hivefeedback.recording.outbox import Outbox
from hivefeedback.stats import ENOUGH, QUERY, Query, QueryTrace, outcome_success, query_success

__all__ = ["Member", "Queries", "trace_name"]

_HELD_FOR_EACH: Final = 2
"""So many times more runs are held in traces than traces are remembered."""
_MOST_OF_ONE: Final = 64
"""Further runs of one trace hold no further memory."""
Trace = QueryTrace[KnownRun]


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
        self._traces: OrderedDict[str, Trace | KnownRun] = OrderedDict()
        """A bare call, as most traces are, stands there as it is until another run of its trace comes."""
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
        name = run.trace_id
        if run.kind == "llm":
            if not run.parent_id and name not in self._traces:  # a bare call: nothing but the run is kept
                self._traces[name] = known
                self._n_held += 1
                self._trim()
                return outcome_success(known.outcome)
        elif run.parent_id:
            return None
        trace = self._traces.get(name)
        if run.parent_id and trace.__class__ is QueryTrace and not trace.queries:  # the root comes last, as a rule
            trace.wait(known)
        else:
            self._add(name, known, run)
        return None

    def holds(self, trace_id: str) -> bool:
        """True where runs of that trace are remembered here."""
        return trace_id in self._traces

    def recall(self, known: KnownRun) -> None:
        """A bare call that was counted in a group, when somebody asks for it."""
        known.group = known.trace_id
        if known.trace_id not in self._traces:
            self._traces[known.trace_id] = known
            self._n_held += 1
            self._trim()

    def _tried_again(self, known: KnownRun, run: Run) -> float | None:
        """A further attempt of a decision goes on with the query of the one before."""
        name = trace_name(run)
        if name not in self._traces:
            before = self._joins.decided(run.decision_id)
            if before is None or before.group != "":
                return outcome_success(known.outcome)
            self._traces[name] = before
            self._n_held += 1
            before.group = name
        known.group = name
        self._add(name, known, run)
        return None

    def _add(self, name: str, known: KnownRun, run: Run) -> None:
        trace = self._trace(name)
        trace.add(known, self._settle, is_root=not run.parent_id, attempt=run.attempt)
        if trace.n <= _MOST_OF_ONE:
            self._n_held += 1
        self._trim()

    def _trace(self, name: str) -> Trace:
        """The trace of that name; from now on it is remembered longer than the others."""
        traces = self._traces
        found = traces.get(name)
        if found.__class__ is QueryTrace:
            traces.move_to_end(name)
            return found
        trace = Trace()
        if found is not None:
            trace.add(cast(KnownRun, found), _quietly, is_root=True)
        traces[name] = trace
        return trace

    def _trim(self) -> None:
        while len(self._traces) > self._size or self._n_held > _HELD_FOR_EACH * self._size:
            _, oldest = self._traces.popitem(last=False)
            if isinstance(oldest, KnownRun):
                self._n_held -= 1
                oldest.group = ""
            else:
                self._n_held -= min(oldest.n, _MOST_OF_ONE)

    def take_back(self, known: KnownRun) -> None:
        """The run does not count."""
        found = self._traces.get(known.group) if known.group else None
        if found is None or found is known:
            if known.group == "" or found is known:
                self._settle(_alone(known), -1)
                known.group = None
        elif isinstance(found, QueryTrace):
            found.remove(known, self._settle)

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
        before, trace = self._trace(name), Trace()
        held = {run.run_id for run in before.runs}
        for known, is_root, attempt in members:
            known.group = name
            if known.run_id not in held:
                trace.add(known, _quietly, is_root=is_root, attempt=attempt)
        for query in before.queries:  # what came in since then was counted without knowing of these
            self._settle(query, -1)
        for known, is_root, attempt in before.parts:
            trace.add(known, self._settle, is_root=is_root, attempt=attempt)
        self._traces[name] = trace
        self._n_held += min(trace.n, _MOST_OF_ONE) - min(before.n, _MOST_OF_ONE)
        self._trim()

    # --- judgements -----------------------------------------------------------------------------------

    def hear(self, known: KnownRun) -> None:
        """Something is about to be said of the whole trace that a run is in: it is about its query."""
        if known.group and self._traces.get(known.group) is not known:
            self._trace(known.group).hear(known)
            self._trim()

    def of(self, known: KnownRun) -> Query[KnownRun] | None:
        """The query that a run decides, or None."""
        if known.group:
            found = self._traces.get(known.group)
            if isinstance(found, QueryTrace):
                return found.query_of(known.run_id)
            return _alone(known) if found is known else None
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
        delta, bucket = self._outbox.delta, run.bucket
        for key in run.keys:
            delta.cell(key, bucket).add_judged(QUERY, success, sign)


def _alone(known: KnownRun) -> Query[KnownRun]:
    query = Query(known)
    query.use(known)
    return query

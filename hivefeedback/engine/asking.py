"""Questions to a loop, and the one answer that is given back: who is blacklisted may be cleared.

Each answer is a function of the window's aggregates, made in ``queries``, and says what the window
really covers. In mode ``off`` nothing is known: orders are those of declared capability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from hivefeedback.engine.clearing import Cleared, check_shut, note_cleared, shut_of
from hivefeedback.engine.face import DAY_S, Face
from hivefeedback.engine.flights import Flights
from hivefeedback.hooks.registry import Registry
from hivefeedback.queries import (
    Assignments,
    Basis,
    Blacklisted,
    Comparison,
    Evaluations,
    InsightLimits,
    Insights,
    Ranks,
    Recommendation,
    Shut,
    Stats,
    Trend,
    assign,
    blacklist,
    check_operation,
    check_positive,
    compare,
    evaluations,
    insights,
    rank,
    recommend,
    stats_of,
    trend,
)

__all__ = ["Asking"]


class Asking(Face):
    """Compares, ranks, recommends.

    All raise InvalidInputError for a window or another number that is out of range, UnknownNameError
    for a name that nobody knows, ClosedError after ``close``, and StoreError where the store could not
    be read.
    """

    registry: Registry
    flights: Flights
    """Runs under way in this process, those that ``track``, ``call`` and ``acall`` began. Who serves calls
    in another way says so by ``flights.began(deployment)`` and, in any case, ``flights.ended(deployment)``."""
    _insight_limits: InsightLimits

    def stats(
        self, window_s: float = DAY_S, operation: str | None = None, by: Sequence[str] = ("deployment",)
    ) -> Stats:
        """Statistics per deployment, operation or agent, with what the window really covers.

        Raises:
            InvalidInputError: ``by`` names something else.
        """
        check_positive("window_s", window_s, "seconds")
        return stats_of(self.view(window_s), operation=check_operation(operation), by=by, shut=self._shut())

    def compare(
        self, deployments: Sequence[str] | None = None, operation: str | None = None, window_s: float = DAY_S
    ) -> Comparison:
        """Deployments side by side, with rankings (``fastest``, ``most_reliable``, ``best_quality``,
        ``cheapest``, ``best_overall`` …) and which of the differences are more than chance.

        Args:
            deployments: Which ones; default: all that are in service or ran in the window.
            operation: Only this operation and those below it.
            window_s: How far back, in seconds.
        """
        return compare(self._basis(window_s), deployments=deployments, operation=operation)

    def rank(
        self,
        by: str = "adaptive",
        operation: str | None = None,
        window_s: float = DAY_S,
        candidates: Sequence[str] | None = None,
    ) -> Ranks:
        """Deployments in the order of a ranker, with what their scores are made of.

        Args:
            by: Name of a ranker.
            operation: For this operation and those below it.
            window_s: How far back, in seconds.
            candidates: Which ones; default: those that can be drawn for the operation.
        """
        return rank(self._basis(window_s), by=by, operation=operation, candidates=candidates)

    def recommend(
        self,
        priority: str = "balanced",
        candidates: Sequence[str] | None = None,
        window_s: float = DAY_S,
        min_runs: int = 10,
        available_vram_gb: float | None = None,
        operation: str | None = None,
    ) -> Recommendation:
        """Which deployment to use, and why not the others.

        Args:
            priority: ``balanced``, ``speed``, ``quality``, ``reliable``, or any other ranker.
            candidates: Choose among these; default: those that can be drawn for the operation.
            window_s: How far back, in seconds.
            min_runs: Runs in the window that a candidate needs; where none has them, declared capability
                decides and ``is_fallback`` says so.
            available_vram_gb: GPU memory in GB that it must fit into.
            operation: For this operation and those below it.
        """
        return recommend(
            self._basis(window_s),
            priority=priority,
            candidates=candidates,
            min_runs=min_runs,
            available_vram_gb=available_vram_gb,
            operation=operation,
        )

    def trend(
        self,
        metric: str,
        window_s: float = DAY_S,
        bucket_s: float = 3600.0,
        deployment: str | None = None,
        operation: str | None = None,
    ) -> Trend:
        """One metric bucket by bucket; empty buckets have no value.

        Args:
            metric: Such as ``success_rate``, ``mean_duration_s``, ``p95_s``, ``quality``, or the name of
                a feedback or score.
            window_s: How far back, in seconds.
            bucket_s: Width of a bucket; where less is stored, they are wider and the answer says so.
            deployment: Of this one; None: of all together.
            operation: Only this operation and those below it.
        """
        return trend(
            self._basis(window_s), metric=metric, bucket_s=bucket_s, deployment=deployment, operation=operation
        )

    def insights(
        self, window_s: float = DAY_S, operation: str | None = None, limits: InsightLimits | None = None
    ) -> Insights:
        """What to worry about in a window, what is worth knowing, and what money buys.

        Args:
            window_s: How far back, in seconds.
            operation: Only this operation and those below it.
            limits: From where on something is a warning; default: what ``thresholds`` in the settings says.
        """
        return insights(self._basis(window_s), operation=operation, limits=limits or self._insight_limits)

    def evaluations(
        self, deployment: str | None = None, operation: str | None = None, window_s: float = DAY_S
    ) -> Evaluations:
        """How deployments were judged on each operation, what they are good and bad at beyond chance, and
        what could be done about it. Ratings are held against ``thresholds`` in the settings, too.

        Args:
            deployment: Only this one; it is still compared with the others.
            operation: Only this operation and those below it.
            window_s: How far back, in seconds.
        """
        return evaluations(
            self._basis(window_s), deployment=deployment, operation=operation, limits=self._insight_limits
        )

    def assign(
        self,
        agents: Sequence[str] | Mapping[str, str],
        candidates: Sequence[str] | None = None,
        *,
        operation: str | None = None,
        by: str = "adaptive",
        is_load_aware: bool = False,
        in_flight: Mapping[str, int] | None = None,
        window_s: float = DAY_S,
    ) -> Assignments:
        """A deployment for each agent, with one decision record each.

        Args:
            agents: Ids; or id → operation of that agent.
            candidates: Choose among these; default: those that can be drawn for the operation.
            operation: Of the agents that have none of their own.
            by: Name of a ranker.
            is_load_aware: Spread the agents in proportion to the scores; else each gets the best.
            in_flight: Runs under way per deployment, for ``is_load_aware``; default: ``flights``.
            window_s: How far back, in seconds.
        """
        return assign(
            self._basis(window_s),
            agents=agents,
            candidates=candidates,
            operation=operation,
            by=by,
            is_load_aware=is_load_aware,
            in_flight=self.flights.counts() if in_flight is None else in_flight,
        )

    def blacklist(self) -> tuple[Blacklisted, ...]:
        """Whose breaker is open, and until when."""
        return blacklist(self._basis(60.0))

    def clear_blacklist(self, deployment_id: str, *, why: str = "", by: str = "program") -> None:
        """Serve a deployment again before its time is over; the count of failures begins anew.

        It is served here when this returns, and by other processes within seconds. Who did it and why is
        kept in the store, and goes with ``erase(deployment=...)``.

        Raises:
            UnknownNameError: It is not blacklisted; the message lists who is.
        """
        engine = self._engine
        if engine is None:
            return
        self.flush(1.0)
        shut = check_shut(deployment_id, self._shut())
        engine.do(partial(engine.recorder.clear_breaker, deployment_id))
        self.flush(5.0)
        now_s = self._clock()
        note_cleared(
            self.store.state,
            Cleared(deployment=deployment_id, at_s=now_s, by=by, why=why, failures=shut.failures),
        )

    def _basis(self, window_s: float) -> Basis:
        check_positive("window_s", window_s, "seconds")
        return Basis(
            view=self.view(window_s),
            config=self.configuration,
            rankers=self.registry.rankers,
            ask=self.registry.ask_ranker,
            shut=self._shut(),
            now_s=self._clock(),
            is_off=self._engine is None,
            in_flight=self.flights.counts(),
        )

    def _shut(self) -> dict[str, Shut]:
        """Open breakers of this process; the snapshot names them, since the recorder changes its own."""
        engine = self._engine
        return {} if engine is None else shut_of(engine.breakers, engine.live.snapshot.open_breakers)

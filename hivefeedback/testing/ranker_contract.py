"""What every ranker must do; inherit, and say how to make yours."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from hivefeedback.hooks import Ranked, Ranker
from hivefeedback.model import Configuration, Deployment, Price, Run
from hivefeedback.stats import View
from hivefeedback.testing.views import Seen, view_of

__all__ = ["RankerContract"]

_JUDGED = {"rating": 0.8, "accuracy": 0.9, "creativity": 0.4, "query": 1.0, "complaint": 0.0}


class RankerContract:
    """Inherit as ``class TestMyRanker(RankerContract)`` and override ``make_ranker``.

    The window of ``view`` holds three deployments on two operations: one that serves well, one that
    is slow, and one that fails; further ones were never declared or never ran.
    """

    config = Configuration(
        version=1,
        deployments={
            "good": Deployment("good", capability=80.0, price=Price(1.0, 2.0)),
            "slow": Deployment("slow", capability=90.0),
            "failing": Deployment("failing", capability=100.0, price=Price(0.1, 0.2)),
            "new": Deployment("new", capability=0.0),
        },
    )
    candidates = ("failing", "slow", "new", "öpenai/gpt-4o", "good")

    def make_ranker(self) -> Ranker:
        """A new ranker with its default options."""
        raise NotImplementedError

    def view(self) -> View:
        """A window with 20 runs of each deployment and operation."""
        return view_of([*self._ran("good", 0.1), *self._ran("slow", 9.0), *self._ran("failing", 0.01, n_ok=4)])

    def _ran(self, deployment: str, duration_s: float, *, n_ok: int = 20) -> list[Seen]:
        return [
            Seen(
                run=Run(
                    deployment,
                    operation,
                    "ok" if i < n_ok else "timeout",
                    duration_s,
                    started_at_s=60.0 * i,
                    cost_usd=0.001,
                ),
                judged=_JUDGED,
            )
            for operation in ("text-to-text/medical", "text-to-text/legal")
            for i in range(20)
        ]

    def _rank(self, view: View, operation: str = "", candidates: Sequence[str] | None = None) -> list[Ranked]:
        names = self.candidates if candidates is None else candidates
        return list(self.make_ranker().rank(view, self.config, operation=operation, candidates=names))

    def test_it_has_a_name(self) -> None:
        assert self.make_ranker().name

    def test_each_candidate_is_ranked_once_with_a_score_between_0_and_100_best_first(self) -> None:
        for operation in ("", "text-to-text", "text-to-text/medical", "never seen"):
            places = self._rank(self.view(), operation)
            assert sorted(place.deployment for place in places) == sorted(self.candidates)
            scores = [place.score for place in places]
            assert all(0.0 <= score <= 100.0 for score in scores)
            assert scores == sorted(scores, reverse=True)

    def test_its_parts_are_finite_and_its_reasons_are_told(self) -> None:
        for place in self._rank(self.view()):
            assert all(isfinite(value) for value in place.parts.values())
            assert place.reason

    def test_an_empty_window_one_candidate_and_none_are_answered(self) -> None:
        nothing = View(asked_from_s=0.0, asked_to_s=1.0)
        assert len(self._rank(nothing)) == len(self.candidates)
        assert [place.deployment for place in self._rank(nothing, candidates=["good"])] == ["good"]
        assert self._rank(nothing, candidates=[]) == []

    def test_the_order_does_not_depend_on_the_order_of_the_candidates(self) -> None:
        backwards = self._rank(self.view(), candidates=self.candidates[::-1])
        assert backwards == self._rank(self.view())

    def test_the_same_question_gets_the_same_answer(self) -> None:
        assert self._rank(self.view()) == self._rank(self.view())
        ranker, view = self.make_ranker(), self.view()
        first = ranker.rank(view, self.config, operation="", candidates=self.candidates)
        assert list(ranker.rank(view, self.config, operation="", candidates=self.candidates)) == list(first)

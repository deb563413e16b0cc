"""``loop.rank()``: the order of a ranker, with what the scores are made of."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from hivefeedback import Deployment, FeedbackLoop, Run
from hivefeedback.errors import InvalidInputError, PluginError, UnknownNameError
from hivefeedback.hooks import Ranked
from hivefeedback.model import Configuration
from hivefeedback.queries import Shut, rank
from hivefeedback.stats import View
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S, RANKERS, GivenRanker, GivenRankers, basis_of, runs
from tests.core.loops import live_loop, sync_loop


class BrokenRanker:
    """Answers what it is told to."""

    name = "broken"

    def __init__(self, answer: Sequence[Ranked] | Exception) -> None:
        self._answer = answer

    def rank(self, view: View, config: Configuration, *, operation: str, candidates: Sequence[str]) -> Sequence[Ranked]:
        """The answer, or the error."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def ranked(name: str, score: float) -> Ranked:
    return Ranked(deployment=name, score=score, parts={})


def test_rows_come_best_first_with_parts_reason_and_runs() -> None:
    given = GivenRanker("given", {"a": 10.0, "b": 20.0})
    found = rank(basis_of(runs("a", 3), rankers=[given]), by="given", operation="x")
    assert [(r.place, r.deployment, r.score, r.n_runs) for r in found] == [(1, "b", 20.0, 0), (2, "a", 10.0, 3)]
    assert (found[0].parts, found[0].reason) == ({"given": 1.0}, "as given")
    assert given.asked == [("x", ("a", "b"))]
    assert (found.by, found.operation, found.coverage.n_runs) == ("given", "x", 3)


def test_the_adaptive_ranker_gives_the_scores_of_its_source_through_the_loop() -> None:
    """S3.10, S3.1: 85/.99/120 ms is 88.95, 88/.60/450 ms is 38.025."""
    declared = (Deployment("llama3-70b", capability=85.0), Deployment("mistral-7b", capability=88.0))
    with sync_loop(*declared, allow=RANKERS) as loop:
        for i in range(100):
            loop.record(Run("llama3-70b", "x", "ok" if i else "model_error", 0.120))
        for i in range(10):
            loop.record(Run("mistral-7b", "x", "ok" if i % 5 < 3 else "model_error", 0.450))
        first, second = loop.rank()
        assert (first.deployment, second.deployment) == ("llama3-70b", "mistral-7b")
        assert first.score == pytest.approx(88.95)
        assert second.score == pytest.approx(38.025)
        assert first.parts["capability"] == pytest.approx(51.0)
        assert first.parts["success"] == pytest.approx(24.75)
        assert first.parts["latency"] == pytest.approx(13.2)
        assert second.parts["penalties"] == 0.5
        assert loop.rank(by="adaptive", operation="x")[0].score == pytest.approx(88.95)
        assert loop.rank(by="adaptive", operation="other")[0].parts["has_performance_data"] == 0.0


def test_the_candidates_are_those_of_the_route_else_all_in_service_else_those_seen() -> None:
    with sync_loop("a", "b", "c", plugins=[GivenRankers(GivenRanker("given", {}))]) as loop:
        loop.set_route("x", ["c", "a"])
        assert [r.deployment for r in loop.rank(by="given", operation="x/y")] == ["c", "a"]
        assert [r.deployment for r in loop.rank(by="given")] == ["a", "b", "c"]
        assert [r.deployment for r in loop.rank(by="given", candidates=["b"])] == ["b"]
    seen = rank(basis_of(runs("s", 1), deployments=[], rankers=[GivenRanker("given", {})]), by="given")
    assert [r.deployment for r in seen] == ["s"]
    nobody = rank(basis_of(deployments=[], rankers=[BrokenRanker(ValueError())]), by="broken")
    assert len(nobody) == 0


@pytest.mark.parametrize(
    ("candidates", "weights"),
    [([], None), (["c", "a"], None), (["a", "b"], {"a": 1.0, "b": 0.0}), ([], {"a": 0.0, "b": 2.0})],
)
def test_who_is_ranked_is_who_can_be_drawn(candidates: list[str], weights: dict[str, float] | None) -> None:
    with sync_loop("a", "b", "c", plugins=[GivenRankers(GivenRanker("given", {}))]) as loop:
        loop.set_route("x", candidates, weights)
        offer = loop.decide("x").offer
        assert offer is not None
        assert tuple(r.deployment for r in loop.rank(by="given", operation="x")) == offer.lineup.candidates


def test_who_is_blacklisted_is_marked_and_keeps_the_place() -> None:
    basis = basis_of(rankers=[GivenRanker("given", {"a": 9.0})], shut={"a": Shut(failures=3, until_s=NOW_S + 60)})
    assert [(r.deployment, r.is_blacklisted) for r in rank(basis, by="given")] == [("a", True), ("b", False)]


def test_an_unknown_ranker_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match="ranker 'nope' is not known; known: 'given'"):
        rank(basis_of(rankers=[GivenRanker("given", {})]), by="nope")
    with sync_loop(allow=RANKERS) as loop, pytest.raises(UnknownNameError, match="'adaptive', 'balanced'"):
        loop.rank(by="")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (RuntimeError("boom"), "the ranker 'broken' failed in rank: RuntimeError: boom"),
        ((ranked("a", 1.0),), "expected one score for each of"),
        ((ranked("a", 1.0), ranked("c", 1.0)), "expected one score for each of"),
        ((ranked("a", 1.0), ranked("a", 1.0), ranked("b", 1.0)), "expected one score for each of"),
        ((ranked("a", float("nan")), ranked("b", 1.0)), "expected Ranked with a finite score"),
    ],
)
def test_a_ranker_that_breaks_its_contract_is_named(answer: Sequence[Ranked] | Exception, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        rank(basis_of(rankers=[BrokenRanker(answer)]), by="broken")


def test_a_broken_ranker_is_counted_and_taken_out_of_service_after_five_errors() -> None:
    with sync_loop("a", "b", plugins=[GivenRankers(BrokenRanker(RuntimeError("boom")))]) as loop:
        for _ in range(5):
            with pytest.raises(PluginError, match="boom"):
                loop.rank(by="broken")
        (info,) = [info for info in loop.plugins() if info.name == "given"]
        assert (info.state, info.errors) == ("quarantined", 5)
        with pytest.raises(PluginError, match="its plugin is quarantined; see: hivefeedback plugins list"):
            loop.rank(by="broken")


def test_a_ranker_that_hangs_is_left_alone() -> None:
    never = threading.Event()

    class Hanging:
        name = "hanging"

        def rank(
            self, view: View, config: Configuration, *, operation: str, candidates: Sequence[str]
        ) -> Sequence[Ranked]:
            never.wait(20.0)
            return ()

    with live_loop("a", plugins=[GivenRankers(Hanging())], hook_timeout_s=0.1) as loop:
        with pytest.raises(PluginError, match="the ranker 'hanging' did not return from rank in time"):
            loop.recommend("hanging", min_runs=0)
        never.set()


def test_errors_of_ours_pass_a_ranker_as_they_are() -> None:
    with pytest.raises(InvalidInputError, match="no such type"):
        rank(basis_of(rankers=[BrokenRanker(InvalidInputError("no such type"))]), by="broken")


def test_in_mode_off_declared_capability_orders() -> None:
    with FeedbackLoop(deployments=[Deployment("a"), Deployment("b", capability=70.0)], mode="off") as loop:
        found = loop.rank(by="adaptive")
        assert [(r.deployment, r.score, r.n_runs) for r in found] == [("b", 70.0, 0), ("a", 50.0, 0)]
        assert "off" in found[0].reason


def test_an_older_run_is_outside_of_the_window() -> None:
    clock = FakeClock(NOW_S)
    with sync_loop("a", "b", clock=clock, plugins=[GivenRankers(GivenRanker("given", {}))]) as loop:
        loop.record(Run("a", "x"))
        clock.advance(7200.0)
        assert loop.rank(by="given", window_s=3600.0)[0].n_runs == 0
        assert loop.rank(by="given", window_s=86400.0)[0].n_runs == 1

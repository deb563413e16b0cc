"""``decide()``: who is drawn, with which probability, and what is said about it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hivefeedback import Decision, FeedbackLoop
from hivefeedback.model import (
    CandidateSetSeen,
    Deployment,
    Feedback,
    PutDeployment,
    PutPrompt,
    PutRoute,
    Route,
    Run,
    UsePrompt,
)
from hivefeedback.serving import Draws
from hivefeedback.testing import EvenPolicy, FakeClock, FixedPolicy
from tests.core.loops import decisions, end_rollout, live_loop, open_rollout, sync_loop, told


def shut(loop: FeedbackLoop, deployment: str) -> None:
    for _ in range(3):
        loop.record(Run(deployment, "x", "timeout"))


# --- who can be drawn ---------------------------------------------------------------------------


def test_without_candidates_all_deployments_can_be_drawn() -> None:
    with sync_loop("a", "b", "c") as loop:
        drawn = Counter(loop.decide("x").deployment for _ in range(600))
    assert set(drawn) == {"a", "b", "c"}
    assert min(drawn.values()) > 150


def test_only_the_hosts_candidates_are_drawn_unknown_ones_too() -> None:
    with sync_loop("a", "b", "c") as loop:
        found = [loop.decide("x", ["b", "new"]) for _ in range(200)]
    assert {d.deployment for d in found} == {"b", "new"}
    unknown = next(d for d in found if d.deployment == "new")
    assert (unknown.model, unknown.params, unknown.adapter) == ("new", {}, None)


@pytest.mark.parametrize("candidates", [[], (), iter(())])
def test_with_nothing_to_choose_the_decision_says_so(candidates: Any) -> None:
    with sync_loop() as loop:
        d = loop.decide("x", candidates)
    assert (d.deployment, d.model, d.propensity, d.fallbacks, d.reason) == (None, None, None, (), "no_candidates")
    assert d.decision_id


def test_without_any_deployment_there_is_nothing_to_choose() -> None:
    with sync_loop() as loop:
        for name in ("a", "b"):
            loop.remove_deployment(name)
        assert loop.decide("x").deployment is None
        loop.add_deployment("c")
        assert loop.decide("x").deployment == "c"


def test_one_name_given_as_a_text_is_one_candidate() -> None:
    with sync_loop() as loop:
        assert loop.decide("x", "abc").deployment == "abc"


def test_a_generator_of_candidates_is_read_once() -> None:
    with sync_loop() as loop:
        assert loop.decide("x", (n for n in ("q", "q"))).deployment == "q"  # type: ignore[arg-type]  # not a sequence


def test_a_deployment_is_served_with_its_model_parameters_and_adapter() -> None:
    with sync_loop(Deployment("a", model="m", params={"temperature": 0.5}, adapter="lora")) as loop:
        d = loop.decide("x")
    assert (d.deployment, d.model, d.params, d.adapter) == ("a", "m", {"temperature": 0.5}, "lora")


# --- draws and propensities ------------------------------------------------------------------------


def test_the_draw_is_a_function_of_seed_producer_epoch_and_number() -> None:
    with sync_loop("a", "b", "c", seed=42, policy=FixedPolicy({"a": 5, "b": 3, "c": 2})) as loop:
        draws = Draws(42, "local", 1)
        for _ in range(100):
            d = loop.decide("x")
            assert d.offer is not None
            assert d.draw is not None
            number = int(d.decision_id.rpartition("-")[2])
            assert d.draw == draws.at(number) * d.offer.total >> 64 < d.offer.total
            assert d.index == d.offer.pick(d.draw)


def test_the_logged_propensity_is_the_weight_over_the_sum() -> None:
    with sync_loop("a", "b", policy=FixedPolicy({"a": 3, "b": 1})) as loop:
        loop.decide("x")
        loop.record(Run("a", "x"))
        given = [loop.decide("x") for _ in range(50)]
        logged = decisions(loop)[1:]
    for d, record in zip(given, logged, strict=True):
        assert d.offer is not None
        assert d.propensity == record.propensity == d.offer.weights[d.index] / sum(d.offer.weights)
        assert record.draw == d.draw
    assert {d.propensity for d in given} == {0.75, 0.25}


def test_a_new_set_is_served_from_the_indices_and_prepared_at_the_next_refresh() -> None:
    with sync_loop("a", "b", policy=FixedPolicy({"a": 3, "b": 1})) as loop:
        first = loop.decide("x")
        loop.record(Run("a", "x"))
        second = loop.decide("x")
    assert (first.reason, second.reason) == ("prior", "policy")
    assert first.offer is not None
    assert min(first.offer.weights) > 0


def test_a_candidate_set_is_logged_once_and_named_by_its_decisions() -> None:
    with sync_loop("a", "b") as loop:
        for _ in range(3):
            loop.decide("x", ("a", "q"))
            loop.decide("y")
        sets = told(loop, CandidateSetSeen)
        logged = decisions(loop)
    assert [s.candidates for s in sets] == [("a", "q"), ("a", "b")]
    assert [d.candidate_set for d in logged] == [sets[0].key, sets[1].key] * 3


def test_where_one_candidate_is_left_nothing_was_drawn() -> None:
    with sync_loop("a", "b") as loop:
        only = loop.decide("x", ["b"], "s")
        again = loop.decide("x", ["b"], "s")
        shut(loop, "a")
        last = loop.decide("x")
        logged = decisions(loop)
    assert (only.deployment, only.propensity, only.reason) == ("b", None, "only_candidate")
    assert (again.propensity, last.deployment, last.propensity) == (None, "b", None)
    assert [d.propensity for d in logged] == [None] * 3


# --- breakers and probes ------------------------------------------------------------------------------


def test_an_open_breaker_takes_a_candidate_out_and_the_decision_names_it() -> None:
    with sync_loop("a", "b", "c") as loop:
        shut(loop, "b")
        found = [loop.decide("x") for _ in range(60)]
        record = decisions(loop)[-1]
    assert {d.deployment for d in found} == {"a", "c"}
    assert [(e.deployment, e.reason) for e in found[0].excluded] == [("b", "breaker_open")]
    assert record.excluded == found[0].excluded
    assert all("b" not in d.fallbacks for d in found)


def test_if_all_breakers_are_open_they_are_ignored_and_the_reason_says_so() -> None:
    with sync_loop("a", "b") as loop:
        shut(loop, "a")
        shut(loop, "b")
        found = [loop.decide("x") for _ in range(60)]
    assert {d.deployment for d in found} == {"a", "b"}
    assert {d.reason for d in found} == {"all_breakers_open"}


def test_a_half_open_breaker_gets_one_probe_without_propensity() -> None:
    clock = FakeClock()
    with sync_loop("a", "b", clock=clock) as loop:
        shut(loop, "a")
        clock.advance(3601)
        found = [loop.decide("x") for _ in range(20)]
        probes = [d for d in found if d.reason == "probe"]
        assert [(d.deployment, d.propensity) for d in probes] == [("a", None)]
        assert {d.deployment for d in found if d.reason != "probe"} == {"b"}
        loop.record(Run("a", "x", "ok", decision_id=probes[0].decision_id))
        assert {loop.decide("x").deployment for _ in range(40)} == {"a", "b"}


def test_an_unsettled_probe_token_returns() -> None:
    clock = FakeClock()
    with sync_loop("a", "b", clock=clock) as loop:
        shut(loop, "a")
        clock.advance(3601)
        assert [loop.decide("x").reason for _ in range(5)].count("probe") == 1
        clock.advance(301)
        assert [loop.decide("x").reason for _ in range(5)].count("probe") == 1


def test_a_probe_that_fails_opens_the_breaker_for_twice_as_long() -> None:
    clock = FakeClock()
    with sync_loop("a", "b", clock=clock) as loop:
        shut(loop, "a")
        clock.advance(3601)
        probe = next(d for d in (loop.decide("x") for _ in range(5)) if d.reason == "probe")
        loop.record(Run("a", "x", "timeout", decision_id=probe.decision_id))
        clock.advance(3601)
        assert "probe" not in [loop.decide("x").reason for _ in range(5)]
        clock.advance(3601)
        assert "probe" in [loop.decide("x").reason for _ in range(5)]


def test_of_many_threads_one_takes_the_probe_token() -> None:
    clock = FakeClock()
    with sync_loop("a", "b", clock=clock) as loop:
        shut(loop, "a")
        clock.advance(3601)
        engine = loop._engine
        assert engine is not None
        engine.recorder.tick(clock())
        start = threading.Barrier(8)
        reasons: list[str] = []

        def ask() -> None:
            start.wait()
            reasons.extend(engine.decider.decide("x").reason for _ in range(50))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert reasons.count("probe") == 1
    assert len(reasons) == 400


# --- sessions ---------------------------------------------------------------------------------------


def test_a_session_repeats_its_first_draw_and_carries_its_propensity() -> None:
    with sync_loop("a", "b", "c", policy=FixedPolicy({"a": 2, "b": 1, "c": 1})) as loop:
        first = {s: loop.decide("x", session_id=s) for s in map(str, range(30))}
        again = {s: loop.decide("x", session_id=s) for s in first}
        logged = decisions(loop)
    assert {d.deployment for d in first.values()} == {"a", "b", "c"}
    for s, d in first.items():
        assert (again[s].deployment, again[s].propensity) == (d.deployment, d.propensity)
        assert (d.is_first_of_unit, again[s].is_first_of_unit) == (True, False)
        assert (again[s].draw, again[s].reason) == (None, "session")
    assert [d.is_first_of_unit for d in logged] == [True] * 30 + [False] * 30
    assert {d.unit for d in logged} == {"session"}


def test_each_operation_of_a_session_has_its_own_first_draw() -> None:
    with sync_loop("a", "b") as loop:
        pairs = [
            (loop.decide("x", session_id=s).deployment, loop.decide("y", session_id=s).deployment)
            for s in map(str, range(40))
        ]
    assert len(set(pairs)) == 4


def test_without_stickiness_a_session_draws_anew_each_time() -> None:
    with sync_loop("a", "b") as loop:
        found = [loop.decide("x", session_id="s", sticky=False) for _ in range(40)]
    assert {d.deployment for d in found} == {"a", "b"}
    assert all(d.draw is not None and d.is_first_of_unit and d.session_id == "s" for d in found)


def test_a_session_draws_anew_when_its_deployment_is_no_candidate_or_its_breaker_opens() -> None:
    with sync_loop("a", "b") as loop:
        first = loop.decide("x", session_id="s").deployment
        other = "b" if first == "a" else "a"
        assert first is not None
        elsewhere = loop.decide("x", ["q", other], "s")
        assert (elsewhere.deployment in ("q", other), elsewhere.is_first_of_unit) == (True, True)
        first = loop.decide("x", session_id="t").deployment
        assert first is not None
        shut(loop, first)
        assert loop.decide("x", session_id="t").deployment != first


def test_the_least_recently_used_session_is_forgotten_and_is_a_new_unit() -> None:
    with sync_loop("a", "b", session_memory=2) as loop:
        for s in ("1", "2", "1", "3"):
            loop.decide("x", session_id=s)
        assert loop.decide("x", session_id="1").is_first_of_unit is False
        assert loop.decide("x", session_id="2").is_first_of_unit is True


# --- canaries ------------------------------------------------------------------------------------------


def test_the_canarys_share_of_sessions_holds_and_a_session_stays_in_its_arm() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.25)
        arms = {}
        for i in range(10_000):
            d = loop.decide("x", session_id=f"s{i}")
            (assignment,) = d.assignments
            assert (d.model == "better") is (assignment.variant == "canary")
            arms[f"s{i}"] = assignment.variant
        n_canary = sum(v == "canary" for v in arms.values())
        assert abs(n_canary - 2500) < 4 * (10_000 * 0.25 * 0.75) ** 0.5
        for s in list(arms)[:200]:
            assert loop.decide("y", session_id=s).assignments[0].variant == arms[s]


def test_a_missing_session_is_drawn_per_request() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        variants = Counter(loop.decide("x").assignments[0].variant for _ in range(2000))
    assert abs(variants["canary"] - 1000) < 150


def test_a_canary_learns_under_its_own_id_and_the_log_names_arm_and_share() -> None:
    with sync_loop("a") as loop:
        open_rollout(loop, share=0.5)
        found = [loop.decide("x", session_id=str(i)) for i in range(40)]
        logged = decisions(loop)
    for d, record in zip(found, logged, strict=True):
        is_canary = d.assignments[0].variant == "canary"
        assert d.variant == record.variant == ("a@m-1" if is_canary else "a")
        assert d.deployment == record.deployment == "a"
        assert record.assignments == d.assignments
        assert d.assignments[0].share == 0.5


def test_prompts_and_routes_are_those_of_the_arm() -> None:
    with sync_loop("a", "b", prompts={"p": "old {q}"}) as loop:
        body = loop.store.journal.put_body("new {q}")
        patch = (PutPrompt("p", 2, body), UsePrompt("p", 2), PutRoute("x", Route(candidates=("b",))))
        open_rollout(loop, patch, share=0.5)
        for i in range(60):
            d = loop.decide("x", session_id=str(i))
            is_canary = d.assignments[0].variant == "canary"
            assert d.prompt("p", q="{q}") == ("new {q}" if is_canary else "old {q}")
            assert not is_canary or d.deployment == "b"


def test_a_canary_is_served_only_while_the_configuration_is_known_to_be_fresh() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        open_rollout(loop, share=1.0)
        engine = loop._engine
        assert engine is not None
        assert loop.decide("x").model == "better"
        clock.advance(61)
        stale = engine.decider.decide("x")
        assert (stale.model, stale.assignments) == ("a", ())
        engine.live.refreshed_at_s = clock()
        assert engine.decider.decide("x").model == "better"


def test_a_loop_with_a_given_clock_looks_for_changes_itself_so_that_time_alone_ends_no_canary() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        rollout = open_rollout(loop, share=1.0)
        clock.advance(3600)
        assert loop.decide("x").model == "better"
        journal = loop.store.journal
        from hivefeedback.model import JournalEntry

        entry = JournalEntry(at_s=clock(), state="rolled_back", mutation_id=rollout.rollout_id)
        journal.append(entry, expected_head=journal.head())
        clock.advance(2)
        assert loop.decide("x").model == "a"


def test_a_rollout_that_was_taken_back_is_served_to_nobody() -> None:
    with sync_loop("a") as loop:
        rollout = open_rollout(loop, share=1.0)
        assert loop.decide("x", session_id="s").model == "better"
        end_rollout(loop, rollout, "rolled_back")
        d = loop.decide("x", session_id="s")
    assert (d.model, d.assignments) == ("a", ())


def test_a_promoted_rollout_is_served_to_all() -> None:
    with sync_loop("a") as loop:
        rollout = open_rollout(loop, share=0.05)
        end_rollout(loop, rollout, "promoted")
        found = [loop.decide("x", session_id=str(i)) for i in range(40)]
    assert {(d.model, d.assignments) for d in found} == {("better", ())}


def test_two_rollouts_are_assigned_independently() -> None:
    with sync_loop("a", "b") as loop:
        open_rollout(loop, share=0.5)
        second = open_rollout(loop, [PutDeployment(Deployment("b", model="b2"))], share=0.5, rollout_id="m-2")
        assert second.salt == "salt"
        found = [loop.decide("x", session_id=str(i)).assignments for i in range(50)]
    assert all([a.rollout_id for a in pair] == ["m-1", "m-2"] for pair in found)


# --- the rest ------------------------------------------------------------------------------------------


def test_fallbacks_are_the_three_most_promising_others() -> None:
    shares = {"a": 0.4, "b": 0.3, "c": 0.15, "d": 0.1, "e": 0.05}
    with sync_loop(*shares, policy=FixedPolicy(shares)) as loop:
        loop.decide("x")
        loop.record(Run("a", "x"))
        for _ in range(30):
            d = loop.decide("x")
            assert list(d.fallbacks) == [n for n in shares if n != d.deployment][:3]


def test_a_decision_turned_to_its_fallback_has_no_propensity() -> None:
    with sync_loop() as loop:
        d = loop.decide("x")
        other = d.falling_back(d.fallbacks[0])
    assert (other.deployment, other.propensity, other.reason) == (d.fallbacks[0], None, "fallback")
    assert other.decision_id == d.decision_id


class _Raising:
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")


def _bad_names() -> Iterator[str]:
    yield "a"
    raise RuntimeError("broken off")


HOSTILE: list[tuple[Any, Any, Any]] = [
    (None, None, None),
    (5, None, None),
    ([], None, None),
    (b"x", ["a"], None),
    ("x", 7, None),
    ("x", _bad_names(), None),
    ("x", _Raising(), None),
    ("x", [["a"]], None),
    ("x", [None, 3, "a"], None),
    ("x", {"a": 1}, None),
    ("x", None, 5),
    ("x", None, []),
    ("x", None, float("nan")),
    ("x" * 10_000_000, None, None),
    ("x/" * 5000, None, None),
    ("x", ["y" * 10_000_000], None),
    ("x", None, "z" * 10_000_000),
    ("\ud800", ["\udfff"], "\ud800"),
    ("", [""], ""),
    (_Raising(), _Raising(), _Raising()),
]


@pytest.mark.parametrize("threads", [False, True])
def test_whatever_the_arguments_are_decide_answers(threads: bool) -> None:
    loop = live_loop() if threads else sync_loop()
    with loop:
        for operation, candidates, session_id in HOSTILE:
            d = loop.decide(operation, candidates, session_id)
            assert isinstance(d, Decision)
            _ = (d.deployment, d.propensity, d.fallbacks, d.model)
        loop.record(Run("a", "good"))
        loop.feedback(Feedback("rating", 1.0))
        assert loop.flush(20.0)
        assert loop.decide("x").deployment in ("a", "b")
        assert loop.stats(operation="good")[0].n_runs == 1
        assert not loop.counters["recorder_errors"]


def test_where_deciding_fails_the_promoted_configuration_is_still_served() -> None:
    with sync_loop("a") as loop:
        end_rollout(loop, open_rollout(loop, share=0.5), "promoted")
        failed = loop.decide(5)  # type: ignore[arg-type]  # wrong on purpose
        assert (failed.reason, failed.model) == ("failed", "better")
        assert loop.counters["decide_failed"] == 1
    assert loop.decide("x").model == "better"


KINDS = [str, set, dict.fromkeys, iter, list, tuple]
"""What candidates come as."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_that_is_off_reads_candidates_as_one_that_acts_does(kind: Callable[[str], Any]) -> None:
    with sync_loop("a", "b", mode="off") as off, sync_loop("a", "b") as acting:
        assert off.decide("x", kind("b")).deployment == acting.decide("x", kind("b")).deployment == "b"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_closed", [True, False])
def test_where_nothing_is_decided_the_host_gets_what_it_offered(kind: Callable[[str], Any], is_closed: bool) -> None:
    with sync_loop("a", "b") as loop:
        if is_closed:
            loop.close()
        d = loop.decide("x" if is_closed else 5, kind("b"))  # type: ignore[arg-type]  # wrong on purpose
        assert (d.deployment, d.reason) == ("b", "closed" if is_closed else "failed")


@pytest.mark.parametrize("mode", ["off", "act"])
def test_candidates_that_cannot_be_read_say_nothing(mode: str) -> None:
    with sync_loop("a", "b", mode=mode) as loop:
        assert loop.decide("x", 7).deployment == "a"  # type: ignore[arg-type]  # wrong on purpose


def test_lists_of_candidates_leave_nothing_in_the_memory_of_tuples() -> None:
    with live_loop("a", "b") as loop:
        engine = loop._engine
        assert engine is not None
        snapshot = engine.live.snapshot
        for _ in range(50):
            loop.decide("x", ["a", "b"])
        assert not snapshot.same
        assert not engine.live.snapshot.same


def test_a_policy_that_fails_or_answers_nonsense_is_replaced_by_even_weights() -> None:
    class Nonsense(EvenPolicy):
        answers: Iterator[Any] = iter(())

        def shares(self, operation: str, candidates: Any) -> Any:
            answer = next(self.answers, None)
            if answer is None:
                raise RuntimeError("no idea")
            return answer

        def index(self, operation: str) -> Any:
            return 5

    policy = Nonsense()
    policy.answers = iter([["a", "b"], 7, [0.5], [float("nan"), float("inf")], {"a": 1, "b": 2}])
    with sync_loop(policy=policy) as loop:
        for _ in range(8):
            d = loop.decide("x")
            assert d.deployment in ("a", "b")
            assert d.propensity == 0.5
            loop.record(Run("a", "x"))
        assert loop.stats()[0].n_runs == 8
        assert loop.counters["policy_failed"] > 0
        assert loop.counters["decide_failed"] == 0


@pytest.mark.parametrize("session", [7, 3.5, b"s", object()])
def test_a_session_that_is_no_text_is_known_by_its_text(session: Any) -> None:
    with sync_loop("a", "b") as loop:
        seen = {(d.deployment, d.reason) for d in (loop.decide("x", session_id=session) for _ in range(20))}
        assert len({name for name, _ in seen}) == 1
        assert {reason for _, reason in seen} == {"prior", "session"}
        assert loop.counters["decide_failed"] == 0


def test_an_empty_session_is_no_session() -> None:
    with sync_loop("a", "b") as loop:
        assert {loop.decide("x", session_id="").session_id for _ in range(5)} == {None}
        assert len({loop.decide("x", session_id="").deployment for _ in range(60)}) == 2


def test_no_canary_is_served_where_the_clock_went_back_further_than_anybody_can_tell() -> None:
    clock = FakeClock()
    with sync_loop("a", clock=clock) as loop:
        open_rollout(loop, share=1.0)
        assert loop.decide("x").assignments
        assert loop._engine is not None
        loop._engine.live.refreshed_at_s = clock() + 3600.0
        decider = loop._engine.decider
        assert decider.decide("x", None, "s").assignments == ()

"""Edge mode: sums are exact, and the log holds what failed, what was said in words, and a random sample."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hivefeedback import FeedbackLoop
from hivefeedback.cli.reader import reading
from hivefeedback.engine.pace import recorder_options
from hivefeedback.hooks import Commit
from hivefeedback.model import (
    Alarm,
    BatchCommitted,
    Control,
    DecisionRecord,
    Event,
    Feedback,
    Outcome,
    Run,
    Score,
    SegmentStarted,
    WeightsRefreshed,
)
from hivefeedback.recording import Edge, EdgeOptions
from hivefeedback.settings import Settings, load_settings
from hivefeedback.stats import Delta
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies, events, live_loop, open_rollout, sync_loop, told, until

Open = Callable[..., FeedbackLoop]


def edge_of(rate: float = 0.01, *, seed: int = 0, size: int = 1000) -> Edge:
    return Edge(EdgeOptions(rate=rate, seed=seed, size=size))


def event(seq: int, body: Run | DecisionRecord | Feedback | Score | Control, name: str = "") -> Event:
    return Event("p", 1, seq, name or f"e{seq}", float(seq), float(seq), body)


def kept(edge: Edge, *found: Event) -> list[tuple[str, float]]:
    """What goes into the log, with the chance of its draw."""
    return [(e.event_id, e.sample_rate) for e in edge.kept(found, lambda: None)]


def undrawn(edge: Edge, *, is_drawn: bool = False) -> str:
    """A name that is not drawn (or is)."""
    return next(f"u{n}" for n in range(100_000) if edge.is_drawn(f"u{n}") == is_drawn)


# --- the draw -----------------------------------------------------------------------------------------


def test_the_sample_is_a_share_of_the_units_whatever_comes_of_them() -> None:
    edge = edge_of(0.1, size=100_000)
    n_drawn = {"ok": 0, "timeout": 0}
    outcomes: tuple[Outcome, ...] = ("ok", "timeout")
    for outcome in outcomes:
        runs = [event(n, Run("a", "x", outcome), f"{outcome}{n}") for n in range(20_000)]
        logged = edge.kept(runs, lambda: None)
        n_drawn[outcome] = sum(e.sample_rate == 0.1 for e in logged)
        assert len(logged) == (20_000 if outcome == "timeout" else n_drawn["ok"])
    for n in n_drawn.values():
        assert abs(n - 2000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5


def test_the_draw_is_the_same_for_a_seed_in_every_process_and_another_for_another() -> None:
    names = [f"d{n}" for n in range(2000)]
    one, two, other = edge_of(0.2, seed=7), edge_of(0.2, seed=7), edge_of(0.2, seed=8)
    assert [one.is_drawn(n) for n in names] == [two.is_drawn(n) for n in names]
    assert [one.is_drawn(n) for n in names] != [other.is_drawn(n) for n in names]
    assert all(edge_of(1.0).is_drawn(n) for n in names)
    assert edge_of(0.5, seed=10**90).is_drawn("d") in (True, False)


# --- what goes along ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["model_error", "rate_limited", "timeout", "refused", "truncated", "internal"])
def test_every_failure_is_logged_with_its_decision_and_is_told_from_the_sample(outcome: Outcome) -> None:
    edge = edge_of()
    name = undrawn(edge)
    assert kept(edge, event(1, DecisionRecord("x"), name)) == []
    assert kept(edge, event(2, Run("a", "x", outcome, decision_id=name))) == [(name, 0.0), ("e2", 0.0)]


def test_a_drawn_decision_comes_with_its_run_and_one_without_a_run_is_drawn_by_its_own_name() -> None:
    edge = edge_of(size=2)
    drawn, other = undrawn(edge, is_drawn=True), undrawn(edge)
    assert kept(edge, event(1, DecisionRecord("x"), drawn), event(2, Run("a", "x", decision_id=drawn))) == [
        (drawn, 0.01),
        ("e2", 0.01),
    ]
    assert kept(edge, event(3, DecisionRecord("x"), drawn), event(4, DecisionRecord("x"), other)) == []
    late = kept(edge, event(5, DecisionRecord("x"), "d5"), event(6, DecisionRecord("x"), "d6"))
    assert late == [(drawn, 0.01)], "nothing came of them: the first is in the sample, the second is not"


def test_a_decision_whose_run_is_held_back_is_held_back_with_it() -> None:
    edge = edge_of(0.1, size=100)
    drawn = [f"d{n}" for n in range(2000) if edge.is_drawn(f"d{n}")]
    made = [event(n, DecisionRecord("x"), name) for n, name in enumerate(drawn)]
    runs = [event(n, Run("a", "x", trace_id=undrawn(edge), decision_id=name)) for n, name in enumerate(drawn)]
    for decision, run in zip(made, runs, strict=True):
        assert kept(edge, decision, run) == []
    assert not edge.settle(1e9, is_final=True)


def test_a_decision_whose_run_does_not_come_is_drawn_within_a_minute_or_at_the_end() -> None:
    edge = edge_of()
    drawn, other = undrawn(edge, is_drawn=True), undrawn(edge)
    assert kept(edge, event(1, DecisionRecord("x"), drawn), event(2, DecisionRecord("x"), other)) == []
    assert not edge.settle(50.0)
    assert edge.settle(70.0)
    assert kept(edge) == [(drawn, 0.01)]
    late = kept(edge, event(3, Run("a", "x", "timeout", decision_id=other)))
    assert late == [(other, 0.0), ("e3", 0.0)], "a call that hung for longer than that has its decision, too"
    assert kept(edge, event(4, DecisionRecord("x"), drawn)) == []
    assert edge.settle(5.0, is_final=True)
    assert kept(edge) == [(drawn, 0.01)]


def test_an_attempt_of_another_trace_that_fails_has_its_decision() -> None:
    edge = edge_of()
    one, two = [name for n in range(100) if not edge.is_drawn(name := f"t{n}")][:2]
    first = event(2, Run("a", "x", trace_id=one, decision_id="d"))
    assert kept(edge, event(1, DecisionRecord("x"), "d"), first) == []
    failed = Run("a", "x", "timeout", trace_id=two, decision_id="d")
    assert kept(edge, event(3, failed)) == [("d", 0.0), ("e3", 0.0)]
    assert kept(edge, event(4, replace(failed, trace_id=one))) == [("e2", 0.0), ("e4", 0.0)]


def test_a_trace_is_in_the_log_as_a_whole_or_not_at_all() -> None:
    edge = edge_of()
    name = undrawn(edge)
    one, two = Run("a", "x", trace_id=name, parent_id="root"), Run("b", "x", "timeout", trace_id=name, parent_id="root")
    assert kept(edge, event(1, one)) == []
    assert kept(edge, event(2, two)) == [("e1", 0.0), ("e2", 0.0)]
    assert kept(edge, event(3, Run("agent", "x", kind="agent", trace_id=name))) == [("e3", 0.0)], "the root comes last"
    drawn = undrawn(edge, is_drawn=True)
    assert kept(edge, event(4, Run("a", "x", trace_id=drawn)), event(5, Run("b", "x", trace_id=drawn))) == [
        ("e4", 0.01),
        ("e5", 0.01),
    ]


def test_what_is_said_of_a_run_is_where_the_run_is() -> None:
    edge = edge_of()
    drawn, other = undrawn(edge, is_drawn=True), undrawn(edge)
    runs = [event(1, Run("a", "x"), drawn), event(2, Run("a", "x"), other)]
    scores = [event(3, Score(drawn, "s", 1.0)), event(4, Score(other, "s", 1.0))]
    assert kept(edge, *runs, *scores) == [(drawn, 0.01), ("e3", 0.01)]
    for seq, name in ((5, drawn), (6, other)):
        edge.join(f"e{seq}", name)
    said = [event(5, Feedback("helpful", True, run_id=drawn)), event(6, Feedback("helpful", True, run_id=other))]
    assert kept(edge, *said) == [("e5", 0.01)]
    edge.join("e7", other)
    words = event(7, Feedback("helpful", False, comment="no", run_id=other))
    assert kept(edge, words) == [(other, 0.0), ("e4", 0.0), ("e6", 0.0), ("e7", 0.0)], "with all that was said before"
    edge.join("e8", other)
    assert kept(edge, event(8, Feedback("helpful", True, run_id=other))) == [("e8", 0.0)]
    assert kept(edge, event(9, Feedback("helpful", True, run_id="elsewhere"))) == [("e9", 1.0)], "the log is asked"


def test_what_the_loop_says_of_itself_is_logged_but_for_what_only_a_replay_needs() -> None:
    edge = edge_of()
    told_here = [
        event(1, Control(Alarm("harm", "m-1"))),
        event(2, Control(BatchCommitted(1, 1))),
        event(3, Control(WeightsRefreshed(1))),
    ]
    assert kept(edge, *told_here) == [("e1", 1.0)]


def test_after_an_erasure_nothing_that_was_held_back_comes_into_the_log() -> None:
    edge = edge_of()
    name = undrawn(edge)
    kept(edge, event(1, DecisionRecord("x"), "d"), event(2, Run("a", "x", trace_id=name, decision_id="d")))
    edge.forget()
    edge.want("e2")
    assert kept(edge, event(3, Run("a", "x", "timeout", trace_id=name, decision_id="d"))) == [("e3", 0.0)]


def test_what_is_held_back_is_bounded_and_holds_no_prompts() -> None:
    edge = edge_of(size=10)
    name = undrawn(edge)
    kept(edge, event(1, Run("a", "x", input="secret", trace_id=name)))
    edge.want("e1")
    (released,) = edge.kept([], lambda: None)
    assert isinstance(released.body, Run)
    assert released.body.input is None
    kept(edge, *(event(n, Run("a", "x", trace_id=f"t{n}")) for n in range(100, 2100)))
    assert sum(map(len, edge._held.values())) == edge._n_held <= 10


# --- a loop ---------------------------------------------------------------------------------------------


def story(loop: FeedbackLoop, clock: FakeClock, n_runs: int = 300) -> list[str | None]:
    """Traffic with failures, retries, sessions and feedback; answers what was decided."""
    rng, decided = random.Random(5), []
    for n in range(n_runs):
        clock.advance(1.0)
        d = loop.decide("x", session_id=f"s{n % 40}" if n % 3 else None)
        decided.append(d.deployment)
        outcome: Outcome = "timeout" if rng.random() < 0.1 else "ok"
        names = {"trace_id": f"t{n}"} if n % 2 else {}
        run = Run(d.deployment or "", "x", outcome, rng.random(), decision_id=d.decision_id, cost_usd=0.001, **names)  # type: ignore[arg-type]  # names of text fields only
        run_id = loop.record(run)
        if rng.random() < 0.3:
            words = "bad" if rng.random() < 0.2 else ""
            loop.feedback(Feedback("helpful", rng.random(), comment=words, run_id=run_id))
    return decided


def sums(loop: FeedbackLoop) -> Any:
    """Everything that the aggregates hold."""
    loop.flush()
    return dict(loop.store.aggregates.read(from_s=0.0, to_s=4e9).sums())


def test_decisions_and_every_sum_are_those_of_the_full_log() -> None:
    answers = []
    for mode in ("full", "edge"):
        clock = FakeClock()
        with sync_loop(clock=clock, seed=3, event_log=mode, policy="hierarchical", allow=None) as loop:
            open_rollout(loop)
            decided = story(loop, clock)
            counts = [r.value for r in loop.store.state.list("rollout_counts")]
            failed = [(r.key, r.value) for r in loop.store.state.list("failed_session")]
            answers.append((decided, sums(loop), counts, failed, list(loop.stats()), dict(loop.counters)))
            n_logged = sum(isinstance(e.body, Run) for e in events(loop))
            assert n_logged == 300 if mode == "full" else 20 < n_logged < 100
    assert answers[0] == answers[1]


def test_the_log_holds_all_failures_each_with_its_decision_and_everything_said_in_words() -> None:
    clock = FakeClock()
    with sync_loop(clock=clock, seed=3, event_log="edge", edge_sample_rate=0.05) as loop:
        story(loop, clock)
        logged = events(loop)
        runs = {e.event_id: e for e in logged if isinstance(e.body, Run)}
        made = {e.event_id for e in logged if isinstance(e.body, DecisionRecord)}
        n_failed = sum(r.failures for r in loop.stats())
        failures = [e for e in runs.values() if isinstance(e.body, Run) and e.body.outcome == "timeout"]
        assert len(failures) == n_failed > 10
        assert {e.body.decision_id for e in runs.values() if isinstance(e.body, Run)} == made
        assert {e.sample_rate for e in runs.values()} == {0.0, 0.05}
        said = bodies(loop, Feedback)
        assert {f.run_id for f in said} <= set(runs)
        assert sum(bool(f.comment) for f in said) > 5
        seqs = [e.seq for e in logged if not isinstance(e.body, Control)]
        assert len(set(seqs)) == len(seqs)


def test_the_log_says_that_it_is_a_sample() -> None:
    with sync_loop(event_log="edge", edge_sample_rate=0.25) as loop:
        loop.record(Run("a", "x"))
        (segment,) = told(loop, SegmentStarted)
    assert (segment.settings["event_log"], segment.settings["edge_sample_rate"]) == ("'edge'", "0.25")


def test_subscribers_hear_of_everything() -> None:
    heard: list[Event] = []
    with sync_loop(event_log="edge") as loop, loop.subscribe(heard.append, kinds=("run",)):
        for _ in range(100):
            loop.record(Run("a", "x"))
        assert len(heard) == 100
        assert len(bodies(loop, Run)) < 20


def test_sums_are_shipped_each_second() -> None:
    edge, full = (load_settings(event_log=mode) for mode in ("edge", "full"))
    assert recorder_options(edge, commit_every_s=0.1, is_inline=False).commit_every_s == 1.0
    assert recorder_options(full, commit_every_s=0.1, is_inline=False).commit_every_s == 0.1
    assert recorder_options(edge, commit_every_s=0.1, is_inline=True).commit_every_s == 0.0


def test_decisions_whose_runs_another_process_records_are_in_the_log_when_the_process_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop("a", store=url, event_log="edge", edge_sample_rate=0.5) as loop:
        for _ in range(200):
            loop.decide("x")
    with reading(load_settings(store=url), lambda: 0.0) as reader:
        logged = [e for _, e in reader.store.log.read() if isinstance(e.body, DecisionRecord)]
    assert 60 < len(logged) < 140
    assert {e.sample_rate for e in logged} == {0.5}


def test_with_threads_nothing_is_lost_either(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop("a", store=url, event_log="edge") as loop:
        for n in range(2000):
            run_id = loop.record(Run("a", "x", "timeout" if n % 100 == 0 else "ok", 0.1))
            if n % 10 == 0:
                loop.feedback(Feedback("helpful", True, run_id=run_id))
        assert loop.flush()
        assert dict(loop.counters) == {}
        (row,) = loop.stats()
    assert (row.n_runs, row.failures, row.n_judged) == (2000, 20, 200)
    with reading(load_settings(store=url), lambda: 0.0) as reader:
        assert 20 <= reader.store.log.count() < 400


# --- what leans on the log --------------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    clock = FakeClock()

    def start(**more: Any) -> FeedbackLoop:
        url = f"sqlite:///{tmp_path / 'hive.db'}"
        return sync_loop("a", store=url, clock=clock, event_log="edge", **{"seed": 1, **more})

    return start


def test_feedback_on_a_run_in_memory_is_joined_and_on_one_that_is_only_a_number_by_now_is_counted(opened: Open) -> None:
    with opened() as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback("helpful", 0.5, run_id=run_id))
        assert loop.stats()[0].n_judged == 1
    with opened() as loop:
        loop.feedback(Feedback("helpful", 0.0, run_id=run_id))
        assert loop.stats()[0].n_judged == 1
        assert loop.counters["feedback_unjoined"] == 1


def test_late_feedback_on_what_the_log_holds_corrects_the_reward_that_was_learnt(opened: Open) -> None:
    with opened() as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback("helpful", 1.0, run_id=run_id))
        loop.feedback(Feedback("accuracy", 0.0, run_id=run_id, comment="wrong"))
        assert loop.stats()[0].quality == 0.5
    with opened() as loop:
        loop.feedback(Feedback("relevance", 0.5, run_id=run_id))
        row = loop.stats()[0]
        assert (row.n_judged, row.quality) == (3, 0.5), (
            "all three, though the first was said before anything was logged"
        )


def test_feedback_to_another_process_finds_the_run_in_the_memory_of_its_owner(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    more: dict[str, Any] = {"store": url, "event_log": "edge", "edge_sample_rate": 1e-9, "config_poll_s": 0.05}
    with live_loop("a", **more) as owner, live_loop("a", **more) as other:
        run_id = owner.record(Run("a", "x"), durable=True)
        assert bodies(owner, Run) == []
        other.feedback(Feedback("helpful", 0.25, run_id=run_id, comment="hm"))
        until(lambda: sum(row.n_judged for row in other.stats()) == 1)
        until(lambda: len(bodies(owner, Run)) == 1)
        assert other.counters["feedback_unjoined"] == 0
        unknown = run_id.rpartition("-")[0] + "-999999"
        other.feedback(Feedback("helpful", 0.25, run_id=unknown))
        until(lambda: owner.counters["feedback_unjoined"] == 1)


def test_feedback_by_session_never_joins_an_older_run_that_happens_to_be_logged(opened: Open) -> None:
    with opened() as loop:
        loop.record(Run("a", "x", "timeout", session_id="s"))
        loop.record(Run("a", "x", session_id="s"))
    with opened() as loop:
        loop.feedback(Feedback("helpful", True, session_id="s"))
        assert loop.counters["feedback_unjoined"] == 1
        assert loop.stats()[0].n_judged == 0


def test_an_erasure_takes_back_what_the_log_holds_and_says_that_this_is_a_part(opened: Open) -> None:
    with opened() as loop:
        for n in range(50):
            loop.record(Run("a", "x", "timeout" if n == 7 else "ok", user_id="anna"))
        run_id = loop.record(Run("a", "x", user_id="bert"))
        assert loop.erase(user="anna") < 10
        assert loop.counters["erased_from_sample"] == 1
        assert not loop.stats()[0].failures
        loop.feedback(Feedback("helpful", False, run_id=run_id, comment="late"))
        assert [f.comment for f in bodies(loop, Feedback)] == ["late"]
        assert bodies(loop, Run) == [], "what was held back was forgotten"


@pytest.mark.parametrize("kind", ["sqlite", "memory", "json"])
def test_stores_keep_the_chance_of_the_draw_and_the_gaps_between_numbers(kind: str, tmp_path: Path) -> None:
    url = "memory://" if kind == "memory" else f"{kind}:///{tmp_path / 'hive'}"
    with sync_loop(store=url) as loop:
        found = [event(7 * n, Run("a", "x", trace_id=f"t{n}")) for n in range(1, 1500)]
        given = [Event(e.producer, 1, e.seq, e.event_id, 1e9, 1e9, e.body, (0.0, 0.01)[e.seq % 2]) for e in found]
        loop.store.commit(Commit("p", 1, 1, given, Delta()))
        assert {e.event_id: e.sample_rate for e in _runs(events(loop))} == {
            e.event_id: e.sample_rate for e in given[-1000 if kind == "json" else 0 :]
        }


def _runs(found: Iterable[Event]) -> list[Event]:
    return [e for e in found if isinstance(e.body, Run)]


def test_the_setting_is_checked() -> None:
    assert Settings.model_fields["event_log"].default == "full"
    for wrong in ({"event_log": "half"}, {"edge_sample_rate": 0.0}, {"edge_sample_rate": 1.5}):
        with pytest.raises(Exception, match=next(iter(wrong))):
            load_settings(**wrong)

"""A plugin that raises, hangs or answers nonsense costs its own answer alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from hivefeedback.hooks import Collected, Plugin, Scorer, Tag, hookimpl
from hivefeedback.hooks.guard import Guard, PluginInfo
from hivefeedback.model import Event, EventsDropped, Feedback, Run, Score
from tests.core.loops import bodies, events, live_loop, sync_loop, told, until


class Collecting(Plugin):
    """A plugin whose collect hook does what a test says."""

    def __init__(self, do: Callable[[Sequence[Event]], Any], name: str = "collecting") -> None:
        self.do, self.name, self.n_calls = do, name, 0  # type: ignore[misc]  # one class, several names

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> Any:
        if not runs_of(events):
            return None  # scores of others, for those that only look on
        self.n_calls += 1
        return self.do(events)


def runs_of(batch: Sequence[Event]) -> list[Event]:
    return [e for e in batch if isinstance(e.body, Run)]


def scored(batch: Sequence[Event], value: Any = 0.5) -> Collected:
    return Collected(scores=[Score(e.event_id, "brief", value) for e in runs_of(batch)])


def boom(batch: Sequence[Event]) -> Any:
    raise RuntimeError("boom")


def test_a_broken_plugin_does_not_silence_the_others() -> None:
    broken, good = Collecting(boom, "broken"), Collecting(scored, "good")
    with sync_loop(plugins=[broken, good]) as loop:
        for _ in range(3):
            loop.record(Run("a", "x"))
        info = next(p for p in loop.plugins() if p.name == "broken")
        assert (info.state, info.errors) == ("ok", 3)
        assert "boom" in info.last_error
        assert loop.stats()[0].n_judged == 3


def test_five_errors_in_a_row_are_a_quarantine_and_a_success_starts_the_count_anew() -> None:
    answers: Iterator[Callable[[Sequence[Event]], Any]] = iter([boom] * 4 + [lambda b: None] + [boom] * 99)
    plugin = Collecting(lambda batch: next(answers)(batch))
    with sync_loop(plugins=[plugin]) as loop:
        for _ in range(20):
            loop.record(Run("a", "x"))
        info = next(p for p in loop.plugins() if p.name == "collecting")
        assert (info.state, plugin.n_calls) == ("quarantined", 10)
        assert loop.stats()[0].n_runs == 20


@pytest.mark.parametrize(
    "answer",
    [
        5,
        "text",
        [Score("r", "n", 0.5)],
        Collected(scores=[5]),  # type: ignore[list-item]  # wrong on purpose, as all of these
        Collected(scores=5),  # type: ignore[arg-type]  # wrong on purpose
        Collected(scores=[Score("r", "n", float("nan"))]),
        Collected(scores=[Score("r", "n", 1.5)]),
        Collected(scores=[Score("r", "n", "good")]),  # type: ignore[arg-type]  # wrong on purpose
        Collected(scores=[Score("r", 5, 0.5)]),  # type: ignore[arg-type]  # wrong on purpose
        Collected(tags=["tag"]),  # type: ignore[list-item]  # wrong on purpose
        Collected(scrubbed=[Run("a")]),  # type: ignore[list-item]  # wrong on purpose
    ],
    ids=str,
)
def test_a_wrong_answer_is_counted_against_the_plugin_and_costs_nobody_else(answer: Any) -> None:
    wrong, good = Collecting(lambda batch: answer, "wrong"), Collecting(scored, "good")
    with sync_loop(plugins=[wrong, good]) as loop:
        loop.record(Run("a", "x"))
        info = next(p for p in loop.plugins() if p.name == "wrong")
        assert info.errors == 1
        assert "expected" in info.last_error or "TypeError" in info.last_error
        assert (loop.stats()[0].n_runs, loop.stats()[0].n_judged) == (1, 1)
        assert loop.counters["bad_item"] == loop.counters["record_failed"] == 0


def test_a_hanging_plugin_is_abandoned_named_and_quarantined_and_the_loop_goes_on() -> None:
    end = threading.Event()
    hanging, good = Collecting(lambda batch: end.wait(60.0), "hanging"), Collecting(scored, "good")
    try:
        with live_loop(plugins=[hanging, good], hook_timeout_s=0.05) as loop:
            for _ in range(3):
                loop.record(Run("a", "x"))
                assert loop.flush(20.0)
            info = next(p for p in loop.plugins() if p.name == "hanging")
            assert info.state == "quarantined"
            assert "did not return within 0.05 s" in info.last_error
            assert hanging.n_calls == 1
            assert loop.stats()[0].n_judged == 3
    finally:
        end.set()


def test_what_is_lost_while_a_plugin_hangs_is_counted_at_once_and_once() -> None:
    end = threading.Event()
    hanging = Collecting(lambda batch: end.wait(60.0), "hanging")
    try:
        with live_loop(plugins=[hanging], hook_timeout_s=60.0, ring_size=16) as loop:
            loop.record(Run("a", "x"))
            until(lambda: hanging.n_calls)
            for _ in range(100):
                loop.record(Run("a", "x"))
            lost = loop.counters["events_dropped"]
            assert lost >= 84, "the ring has room for 16, of ours and of the loop's own"
            end.set()
            assert loop.flush(20.0)
            assert loop.counters["events_dropped"] == lost
            assert sum(found.counts["run"] for found in told(loop, EventsDropped)) == lost
            assert len(bodies(loop, Run)) == 101 - lost
    finally:
        end.set()


def test_after_four_hanging_threads_only_built_in_plugins_are_called() -> None:
    end = threading.Event()
    guard, before = Guard(), set(threading.enumerate())
    try:
        for i in range(4):
            info = PluginInfo(name=f"p{i}")
            assert guard.call(info, "hook", lambda: end.wait(60.0), timeout_s=0.01, default=False) is False
            assert info.state == "quarantined"
        stranger, ours = PluginInfo(name="good"), PluginInfo(name="ours", is_builtin=True)
        assert guard.call(stranger, "hook", lambda: 1, timeout_s=5.0, default=0) == 0
        assert guard.call(ours, "hook", lambda: 1, timeout_s=5.0, default=0) == 1
        assert len(set(threading.enumerate()) - before) == 4
        guard.renew()
        assert guard.call(stranger, "hook", lambda: 1, timeout_s=5.0, default=0) == 1, "in a child none of them hangs"
    finally:
        end.set()
        guard.close()
    until(lambda: set(threading.enumerate()) <= before)


def test_a_plugin_that_ends_its_thread_or_raises_base_exceptions_is_an_error_like_any_other() -> None:
    def leave() -> int:
        raise SystemExit

    guard, info = Guard(), PluginInfo(name="p")
    assert guard.call(info, "hook", leave, timeout_s=5.0, default=7) == 7
    assert info.errors == 1
    assert guard.call(info, "hook", lambda: 1, timeout_s=5.0, default=7) == 1
    guard.close()


def test_a_scorer_that_answers_nan_is_named_and_the_run_is_learnt_without_it() -> None:
    class NaN:
        name = "nan"

        def score(self, event: Event) -> Sequence[Score]:
            return [Score(event.event_id, "nan", float("nan"))]

    class Half:
        name = "half"

        def score(self, event: Event) -> Sequence[Score]:
            return [Score(event.event_id, "half", 0.5)]

    class Brings(Plugin):
        def __init__(self, name: str, scorer: Scorer) -> None:
            self.name, self.scorer = name, scorer  # type: ignore[misc]  # one class, several names

        @hookimpl
        def hive_scorers(self) -> Sequence[Scorer]:
            return [self.scorer]

    with sync_loop(plugins=[Brings("one", NaN()), Brings("two", Half())]) as loop:
        loop.record(Run("a", "x"))
        states = {p.name: p.errors for p in loop.plugins()}
        assert (states["one"], states["two"]) == (1, 0)
        assert [s.name for s in bodies(loop, Score)] == ["half"]
        assert loop.stats()[0].reward == 0.5


# --- scrubbing and tagging ---------------------------------------------------------------------------


def scrub(field: str, text: str) -> Callable[[Sequence[Event]], Collected]:
    from msgspec.structs import replace

    def do(batch: Sequence[Event]) -> Collected:
        return Collected(scrubbed=[replace(e, body=replace(e.body, **{field: text})) for e in runs_of(batch)])

    return do


def test_collect_hooks_see_contents_scrub_them_and_tag_runs() -> None:
    seen: list[Any] = []

    def tag(batch: Sequence[Event]) -> Collected:
        seen.extend(e.body.input for e in batch if isinstance(e.body, Run))
        return Collected(tags=[Tag(e.event_id, "tier", "gold") for e in runs_of(batch)])

    with sync_loop(
        plugins=[Collecting(tag, "tag"), Collecting(scrub("input", "***"), "scrub")], store_content=True
    ) as loop:
        loop.record(Run("a", "x", input="my number is 5", attributes={"kept": 1}))
        (run,) = bodies(loop, Run)
    assert seen == ["my number is 5"]
    assert (run.input, dict(run.attributes)) == ("***", {"kept": 1, "tier": "gold"})


def test_what_one_hook_scrubbed_the_next_one_cannot_bring_back() -> None:
    plugins = [Collecting(scrub("input", "-"), "one"), Collecting(scrub("output", "-"), "two")]
    with sync_loop(plugins=plugins, store_content=True) as loop:
        loop.record(Run("a", "x", input="secret", output="secret"))
        (run,) = bodies(loop, Run)
    assert (run.input, run.output) == ("-", "-")


@pytest.mark.parametrize(
    ("field", "value"), [("duration_s", float("nan")), ("outcome", "great"), ("deployment", ""), ("attributes", 5)]
)
def test_a_hook_that_spoils_a_run_while_scrubbing_does_not_lose_it(field: str, value: Any) -> None:
    with sync_loop(plugins=[Collecting(scrub(field, value))], store_content=True) as loop:
        loop.record(Run("a", "x", "ok", 1.0, input="secret", user_id="ann"))
        loop.record(Run("b", "x"))
        assert sum(r.outcomes.get("ok", 0) + r.outcomes.get("internal", 0) for r in loop.stats()) == 2
        assert len(bodies(loop, Run)[0].user_id) == 32
        assert loop.counters["bad_item"] == 0


def test_a_scrubbed_event_of_another_type_is_refused_and_the_texts_are_gone() -> None:
    from msgspec.structs import replace

    def swap(batch: Sequence[Event]) -> Collected:
        return Collected(scrubbed=[replace(e, body=Feedback("x", 1.0)) for e in batch])

    with sync_loop(plugins=[Collecting(swap)], store_content=True) as loop:
        loop.record(Run("a", "x", input="secret"))
        (run,) = bodies(loop, Run)
        assert (run.deployment, run.input) == ("a", None)
        assert loop.counters["bad_scrubbed"] == 1


def test_tags_that_cannot_be_stored_cost_themselves() -> None:
    def tag(batch: Sequence[Event]) -> Collected:
        return Collected(tags=[Tag(e.event_id, "t", object()) for e in runs_of(batch)])  # type: ignore[arg-type]  # wrong on purpose

    with sync_loop(plugins=[Collecting(tag)]) as loop:
        loop.record(Run("a", "x"))
        assert len(bodies(loop, Run)) == 1
        assert loop.counters["bad_attribute"] == 1


@pytest.mark.parametrize("is_kept", [False, True])
def test_contents_are_dropped_before_the_commit_unless_asked_for(is_kept: bool) -> None:
    with sync_loop(store_content=is_kept) as loop:
        loop.record(Run("a", "x", input="in", output="out", reference="ref"))
        (run,) = bodies(loop, Run)
    assert (run.input, run.output, run.reference) == (("in", "out", "ref") if is_kept else (None, None, None))


# --- out of service in all processes --------------------------------------------------------------------


def test_a_quarantine_is_shared_through_the_store_until_somebody_enables_the_plugin() -> None:
    first = Collecting(boom)
    second = Collecting(scored)
    with sync_loop(plugins=[first], store="memory://shared-quarantine") as one:
        for _ in range(5):
            one.record(Run("a", "x"))
        one.turn()
        with sync_loop(plugins=[second], store="memory://shared-quarantine") as two:
            assert {p.name: p.state for p in two.plugins()}["collecting"] == "quarantined"
            two.record(Run("a", "x"))
            assert second.n_calls == 0
            two.enable_plugin("collecting")
            two.record(Run("a", "x"))
            assert second.n_calls == 1
        first.do = scored
        one.turn()
        assert {p.name: p.state for p in one.plugins()}["collecting"] == "ok"
        assert [e.event_id for e in events(one) if isinstance(e.body, Run)]


def test_an_unknown_plugin_cannot_be_enabled() -> None:
    with sync_loop() as loop, pytest.raises(ValueError, match="plugin 'nobody' is not known"):
        loop.enable_plugin("nobody")

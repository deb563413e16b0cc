"""Plugins that speak of their own accord: what they say joins like feedback from outside."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.hooks import Collected, Plugin, Speaks, Voice, hookimpl
from hivefeedback.model import Event
from tests.core.loops import live_loop, sync_loop, until


class _Speaker(Plugin):
    """Says of each run that it saw that it was good, in the batch after it."""

    name = "speaker"

    def __init__(self) -> None:
        self.voice: Voice | None = None

    def take_voice(self, voice: Voice) -> None:
        self.voice = voice

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> Collected | None:
        for event in events:
            if isinstance(event.body, Run) and self.voice is not None:
                self.voice.say(Feedback("accuracy", value=0.25, run_id=event.event_id, source=self.name))
        return None


def _accuracy(loop: FeedbackLoop) -> tuple[int, float | None]:
    judged = loop.view(3600.0).totals("deployment")[("a",)].judged.get("accuracy")
    return (judged.n, judged.mean) if judged else (0, None)


def test_what_a_hook_says_of_a_run_of_its_batch_is_learnt_after_the_batch() -> None:
    speaker = _Speaker()
    with sync_loop(plugins=[speaker]) as loop:
        loop.record(Run("a", "x"))
        assert _accuracy(loop) == (1, 0.25)
    assert isinstance(speaker, Speaks)
    assert speaker.voice is not None
    assert speaker.voice.is_inline


def test_what_is_said_from_another_thread_joins_its_run() -> None:
    speaker = _Speaker()
    with live_loop(plugins=[speaker]) as loop:
        assert speaker.voice is not None
        assert not speaker.voice.is_inline
        loop.record(Run("a", "x"))
        until(lambda: loop.flush() and _accuracy(loop) == (1, 0.25))


def test_what_a_plugin_counts_is_seen_in_the_counters_of_the_loop() -> None:
    speaker = _Speaker()
    with sync_loop(plugins=[speaker]) as loop:
        assert speaker.voice is not None
        speaker.voice.note("left_out", "too dear")
        speaker.voice.note("left_out")
        assert loop.counters["left_out"] == 2


def test_a_plugin_that_fails_to_take_its_voice_costs_itself_alone() -> None:
    class Deaf(_Speaker):
        def take_voice(self, voice: Voice) -> None:
            raise ValueError("no")

    with sync_loop(plugins=[Deaf()]) as loop:
        assert next(p for p in loop.registry.plugins() if p.name == "speaker").errors == 1
        loop.record(Run("a", "x"))
        assert loop.stats()[0].n_runs == 1

"""The tone of comments is heard, their words go nowhere."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hivefeedback import Feedback, FeedbackLoop, Run
from hivefeedback.errors import MissingExtraError
from hivefeedback.stats import Judged
from hivefeedback.testing import FakeClock
from hivefeedback_analyzers import SentimentOptions, SentimentPlugin
from tests.core.loops import bodies, live_loop, sync_loop, until

ALLOW = ("stores", "policies", "sentiment")


def _loop(**more: Any) -> FeedbackLoop:
    return sync_loop(allow=ALLOW, options={"sentiment": {"enabled": True}}, **more)


def _tone(loop: FeedbackLoop, name: str = "sentiment") -> Judged:
    return loop.view(86_400.0).totals("deployment")[("a",)].judged.get(name, Judged())


def test_the_tone_of_a_comment_becomes_a_judgement_of_its_run() -> None:
    """S4.15 Sentiment of what users say."""
    with _loop() as loop:
        loop.record(Run("a", "x", trace_id="t-1"))
        loop.feedback(Feedback(rating=1, comment="This is terrible, wrong and useless.", trace_id="t-1"))
        bad = _tone(loop).mean
        loop.record(Run("a", "x", trace_id="t-2"))
        loop.feedback(Feedback(rating=5, comment="Great, thanks, an excellent answer!", trace_id="t-2"))
        assert bad is not None
        assert bad < 0.3
        assert _tone(loop).n == 2
        assert (_tone(loop).mean or 0.0) > bad + 0.2


def test_no_words_of_a_comment_are_in_what_is_said_of_its_tone() -> None:
    with _loop() as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback(rating=1, comment="terrible", correction="the capital is Paris", run_id=run_id))
        said = [f for f in bodies(loop, Feedback) if f.name == "sentiment"]
        assert [(f.run_id, f.comment, f.correction, f.rating, f.source) for f in said] == [
            (run_id, "", "", None, "sentiment")
        ]


def test_a_comment_without_any_known_word_has_no_tone() -> None:
    with _loop() as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback(rating=1, comment="die Antwort ist falsch", run_id=run_id))
        loop.feedback(Feedback(rating=1, run_id=run_id))
        assert _tone(loop).n == 0


def test_the_tone_is_no_part_of_a_reward_unless_judgements_name_it() -> None:
    feedback = {"rating": 5, "comment": "terrible"}
    with _loop() as loop:
        loop.feedback(Feedback(run_id=loop.record(Run("a", "x")), **feedback))  # type: ignore[arg-type]  # as above
        assert _tone(loop, "reward").mean == 1.0
    with _loop(judgements={"": ["sentiment"]}) as loop:
        loop.feedback(Feedback(run_id=loop.record(Run("a", "x")), **feedback))  # type: ignore[arg-type]  # as above
        assert _tone(loop, "reward").mean == 0.0


def test_a_comment_alone_does_not_make_an_operation_one_that_is_judged() -> None:
    with _loop() as loop:
        loop.feedback(Feedback("note", value=0.5, comment="terrible", deployment="a", operation="x"))
        loop.record(Run("a", "x"))
        assert _tone(loop, "reward").mean == 1.0
        assert _tone(loop).n == 1


def test_feedback_that_replaces_replaces_its_tone() -> None:
    with _loop() as loop:
        run_id = loop.record(Run("a", "x"))
        for comment in ("terrible", "great"):
            loop.feedback(Feedback(rating=3, comment=comment, run_id=run_id, idempotency_key="k"))
        assert _tone(loop).n == 1
        assert (_tone(loop).mean or 0.0) > 0.6


def test_a_tone_of_ones_own_is_heard_in_a_loop_with_threads() -> None:
    plugin = SentimentPlugin(lambda text: -5.0 if "bad" in text else None)
    with live_loop(plugins=[plugin]) as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback(rating=1, comment="bad", run_id=run_id))
        until(lambda: loop.flush() and (_tone(loop).n, _tone(loop).mean) == (1, 0.0))


def test_only_the_first_sentences_of_a_book_are_read() -> None:
    read: list[int] = []

    def tone(text: str) -> float:
        read.append(len(text))
        return 0.0

    with sync_loop(plugins=[SentimentPlugin(tone)]) as loop:
        loop.feedback(Feedback(rating=1, comment="x" * 100_000, run_id=loop.record(Run("a", "x"))))
    assert read == [500]


def test_without_its_extra_it_is_refused_only_where_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textblob", None)
    SentimentPlugin().configure(SentimentOptions())
    with pytest.raises(MissingExtraError, match=r"hivefeedback\[sentiment\]"):
        SentimentPlugin().configure(SentimentOptions(enabled=True))


def test_it_is_silent_unless_switched_on() -> None:
    with FeedbackLoop("memory://", ["a"], clock=FakeClock(), plugins_allow=list(ALLOW)) as loop:
        loop.feedback(Feedback(rating=1, comment="terrible", run_id=loop.record(Run("a", "x"))))
        assert _tone(loop).n == 0

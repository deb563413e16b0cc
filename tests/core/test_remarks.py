"""A comment alone is kept and heard; it judges nothing, neither now nor after a restart nor when it is erased."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import Plugin, hookimpl
from hivefeedback.model import Event, Feedback, Run
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies, sync_loop


class Ears(Plugin):
    """Hears comments."""

    name = "ears"

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def hive_collect(self, events: Sequence[Event]) -> None:
        """Nothing but listen."""
        self.heard += [e.body.comment for e in events if isinstance(e.body, Feedback)]


def quality(loop: FeedbackLoop) -> list[tuple[int, int, float | None]]:
    """(runs, judged runs, quality) of each row."""
    return [(row.n_runs, row.n_judged, row.quality) for row in loop.stats()]


def test_a_comment_alone_is_logged_and_heard_and_judges_nothing() -> None:
    ears = Ears()
    with sync_loop(plugins=[ears]) as loop:
        run_id = loop.record(Run("a", "x"))
        before = quality(loop)
        loop.feedback(Feedback(comment="nice", run_id=run_id))
        (kept,) = bodies(loop, Feedback)
        assert (kept.name, kept.value, kept.rating, kept.comment, kept.run_id) == (
            "comment",
            None,
            None,
            "nice",
            run_id,
        )
        assert quality(loop) == before
        assert ears.heard == ["nice"]
        assert not [name for name, n in loop.counters.items() if n and name.startswith(("bad_", "feedback_"))]


def test_a_comment_under_a_name_of_its_own_keeps_it() -> None:
    with sync_loop() as loop:
        loop.feedback(Feedback("tone", comment="nice", run_id=loop.record(Run("a", "x"))))
        assert [(f.name, f.value) for f in bodies(loop, Feedback)] == [("tone", None)]


def test_a_correction_beside_a_comment_counts_as_before() -> None:
    with sync_loop() as loop:
        loop.feedback(Feedback(comment="no", correction="42", run_id=loop.record(Run("a", "x"))))
        assert [f.value for f in bodies(loop, Feedback)] == [1.0]


@pytest.mark.parametrize("kind", ["sqlite", "json"])
def test_after_a_restart_a_comment_is_no_judgement_either(kind: str, tmp_path: Path) -> None:
    url, clock = f"{kind}:///{tmp_path / 'hive.store'}", FakeClock()
    with sync_loop(store=url, clock=clock) as loop:
        run_id = loop.record(Run("a", "x"))
        loop.feedback(Feedback(comment="nice", run_id=run_id))
    with sync_loop(store=url, clock=clock) as loop:
        loop.feedback(Feedback("helpful", 1.0, run_id=run_id))
        assert [row[1:] for row in quality(loop)] == [(1, 1.0)]


@pytest.mark.parametrize("kind", ["sqlite", "json", "memory"])
def test_what_is_erased_takes_back_nothing_for_a_comment(kind: str, tmp_path: Path) -> None:
    url = "memory://" if kind == "memory" else f"{kind}:///{tmp_path / 'hive.store'}"
    with sync_loop(store=url) as loop:
        gone = loop.record(Run("a", "x", session_id="gone"))
        stays = loop.record(Run("a", "x", session_id="stays"))
        loop.feedback(Feedback(comment="nice", run_id=gone))
        loop.feedback(Feedback(comment="nice", run_id=stays, session_id="gone"))
        loop.feedback(Feedback(comment="nice", deployment="a", operation="x", session_id="gone"))
        loop.feedback(Feedback("helpful", 1.0, run_id=stays))
        loop.erase(session="gone")
        assert quality(loop) == [(1, 1, 1.0)]
        assert [f.comment for f in bodies(loop, Feedback)] == [""]

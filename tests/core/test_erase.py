"""What is erased is gone from events, exemplars and aggregates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Erased, Feedback, Mutation, MutationKind, Run, encode_event
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies, events, sync_loop, told


@pytest.fixture(params=["memory://", "sqlite", "json"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> FeedbackLoop:
    """Two runs of each kind, one of them Ann's, with feedback."""
    urls = {"sqlite": f"sqlite:///{tmp_path / 'h.db'}", "json": f"json:///{tmp_path / 'h.json'}"}
    clock = FakeClock()
    loop = sync_loop(store=urls.get(request.param, request.param), clock=clock)
    for name, agent, session, user in (("a", "g", "s", "ann"), ("b", "h", "t", "bob")):
        clock.advance(100)
        d = loop.decide("x", [name], session)
        run_id = loop.record(
            Run(name, "x", agent_id=agent, session_id=session, user_id=user, decision_id=d.decision_id)
        )
        loop.feedback(Feedback("helpful", 0.5, comment=f"said by {user}", run_id=run_id))
    return loop


@pytest.mark.parametrize(
    "what",
    [{"deployment": "a"}, {"agent": "g"}, {"session": "s"}, {"user": "ann"}, {"before": 1_700_000_150.0}],
    ids=lambda w: next(iter(w)),
)
def test_what_is_selected_goes_and_the_rest_stays(filled: FeedbackLoop, what: dict[str, Any]) -> None:
    with filled as loop:
        assert loop.erase(**what) > 0
        assert [r.deployment for r in bodies(loop, Run)] == ["b"]
        assert all(b"said by ann" not in encode_event(e) for e in events(loop))
        assert {r.deployment: r.n_runs for r in loop.stats()} == {"b": 1}
        assert [k[0] for k, v in loop.view().exemplars.items() if v] == ["b"]
        loop.record(Run("a", "x"))
        assert {r.deployment: r.n_runs for r in loop.stats()} == {"a": 1, "b": 1}


def test_feedback_with_a_value_and_a_rating_is_taken_back_as_it_was_counted(filled: FeedbackLoop) -> None:
    with filled as loop:
        for user, value in (("eve", 0.2), ("bob", 0.8)):
            run_id = loop.record(Run("c", "y", user_id=user))
            loop.feedback(Feedback("rating", value, rating=5, run_id=run_id))
        loop.erase(user="eve")
        assert [r.rating for r in loop.stats() if r.deployment == "c"] == [pytest.approx(1 + 4 * 0.8)]


def test_all_given_parts_must_hold(filled: FeedbackLoop) -> None:
    with filled as loop:
        assert loop.erase(deployment="a", session="t") == 0
        assert len(bodies(loop, Run)) == 2


def test_erase_without_a_selection_is_refused(filled: FeedbackLoop) -> None:
    with filled as loop, pytest.raises(InvalidInputError, match="erase what"):
        loop.erase()


def test_feedback_on_an_erased_run_joins_nothing_that_was_erased(filled: FeedbackLoop) -> None:
    with filled as loop:
        loop.erase(user="ann")
        loop.feedback(Feedback("helpful", 0.0, session_id="s"))
        assert {r.deployment: r.n_runs for r in loop.stats()} == {"b": 1}
        assert "a" not in {k[0] for k, v in loop.view().exemplars.items() if v}


def test_an_erasure_is_an_event_and_other_loops_forget_what_they_remember() -> None:
    with sync_loop("a", store="memory://shared-erase") as other:
        run_id = other.record(Run("a", "x", session_id="s"))
        with sync_loop("a", store="memory://shared-erase") as loop:
            assert loop.erase(session="s") >= 1
            (said,) = told(loop, Erased)
            assert said.selector == "session"
        other.refresh()
        other.feedback(Feedback("success", 1.0, run_id=run_id))
        assert other.stats().rows == ()


def test_the_reasons_of_a_mutation_can_be_erased_and_the_entries_say_so() -> None:
    with FeedbackLoop(store="memory://", deployments=["a", "b"], clock=FakeClock()) as loop:
        mutation_id = loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="m"), why="Mr Smith asked")
        loop.reject(mutation_id, by="me", why="Mr Smith changed his mind")
        assert "Mr Smith" in loop.why(mutation_id).text()
        assert loop.erase(mutation=mutation_id) >= 1
        assert "Mr Smith" not in loop.why(mutation_id).text()
        assert "erased" in loop.why(mutation_id).text()
        with pytest.raises(InvalidInputError, match="alone"):
            loop.erase(mutation=mutation_id, session="s")


@pytest.mark.parametrize(
    "part", [{"user": 5}, {"session": b"s"}, {"before": "2026"}, {"before": float("nan")}], ids=str
)
def test_what_cannot_be_erased_by_is_told_and_nothing_goes(part: dict[str, Any]) -> None:
    with sync_loop("a") as loop:
        loop.record(Run("a", "x", session_id="s", user_id="u"))
        with pytest.raises(InvalidInputError, match=f"{next(iter(part))} is"):
            loop.erase(**part)
        assert loop.stats().coverage.n_runs == 1

"""``loop.blacklist()`` and ``clear_blacklist()``: who is not served, and a person who knows better."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop, Run
from hivefeedback.engine.clearing import CLEARED, cleared_of
from hivefeedback.errors import UnknownNameError
from hivefeedback.hooks import Record
from hivefeedback.model import Alarm
from hivefeedback.testing import FakeClock
from tests.core.asking import NOW_S
from tests.core.loops import live_loop, sync_loop, told, until


def fail(loop: FeedbackLoop, name: str = "a") -> None:
    for _ in range(3):
        loop.record(Run(name, "x", "model_error"))


def test_what_a_person_clears_is_served_again_with_the_reason_kept() -> None:
    """S2.9: the blacklist can be cleared by hand, and says who did it."""
    clock = FakeClock(NOW_S)
    with sync_loop("a", "b", clock=clock) as loop:
        fail(loop)
        assert {loop.decide("x").deployment for _ in range(20)} == {"b"}
        loop.clear_blacklist("a", why="the provider is back", by="anna")
        assert loop.blacklist() == ()
        assert {loop.decide("x").deployment for _ in range(40)} == {"a", "b"}
        (cleared,) = cleared_of(loop.store.state)
        assert (cleared.deployment, cleared.by, cleared.why) == ("a", "anna", "the provider is back")
        assert (cleared.at_s, cleared.failures) == (NOW_S, 3)
        assert [a.subject for a in told(loop, Alarm) if a.name == "breaker_cleared"] == ["a"]


def test_the_count_begins_anew() -> None:
    with sync_loop("a", "b", clock=FakeClock(NOW_S)) as loop:
        fail(loop)
        loop.clear_blacklist("a")
        loop.record(Run("a", "x", "model_error"))
        assert loop.blacklist() == ()
        fail(loop)
        assert loop.blacklist()[0].failures == 3


def test_only_who_is_blacklisted_can_be_cleared() -> None:
    with sync_loop("a", "b") as loop:
        with pytest.raises(UnknownNameError, match="blacklisted deployment 'a' is not known; known: none"):
            loop.clear_blacklist("a")
        fail(loop)
        with pytest.raises(UnknownNameError, match="known: 'a'"):
            loop.clear_blacklist("b")


def test_other_processes_follow_a_clearing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    with live_loop("a", "b", store=url) as running:
        fail(running)
        running.flush()
        assert running.blacklist()
        with live_loop("a", "b", store=url) as other:
            until(lambda: other.blacklist())
            other.clear_blacklist("a", why="mended")
            assert other.blacklist() == ()
        until(lambda: running.blacklist() == ())
    with live_loop("a", "b", store=url) as again:
        assert again.blacklist() == ()


def test_the_reason_goes_with_the_deployment_and_damage_is_left_out() -> None:
    with sync_loop("a", "b") as loop:
        fail(loop)
        loop.clear_blacklist("a", why="x" * 5000)
        assert len(cleared_of(loop.store.state)[0].why) == 1000
        loop.store.state.put(Record(CLEARED, "b", b"no json"))
        assert [c.deployment for c in cleared_of(loop.store.state)] == ["a"]
        loop.erase(deployment="a")
        assert cleared_of(loop.store.state) == []


def test_in_mode_off_nobody_is_blacklisted() -> None:
    with FeedbackLoop(deployments=["a"], mode="off") as loop:
        assert loop.blacklist() == ()
        loop.clear_blacklist("a")

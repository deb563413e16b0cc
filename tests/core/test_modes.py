"""What each mode serves, logs and changes, as DESIGN 10 has it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks import Plugin, hookimpl
from hivefeedback.model import Configuration, Feedback, Finding, Mutation, MutationKind, Run
from hivefeedback.stats import View
from hivefeedback.testing import EvenPolicy, FixedPolicy
from tests.core.loops import decisions, end_rollout, events, open_rollout, sync_loop

ALL = ("off", "observe", "advise", "act")


@pytest.mark.parametrize("mode", ["off", "observe", "advise"])
def test_only_act_changes_what_is_served(mode: str) -> None:
    with sync_loop("a", "b", mode=mode, policy=FixedPolicy({"a": 1, "b": 9})) as loop:
        found = [loop.decide("x", ("b", "a"), "s") for _ in range(20)] + [loop.decide("x") for _ in range(20)]
        assert [d.deployment for d in found] == ["b"] * 20 + ["a"] * 20
        assert {(d.propensity, d.reason) for d in found} == {(None, mode)}


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_modes_that_look_learn_and_log_but_draw_nothing(mode: str) -> None:
    policy = EvenPolicy()
    with sync_loop("a", "b", mode=mode, policy=policy) as loop:
        for _ in range(40):
            d = loop.decide("x", session_id="s")
            loop.record(Run("a", "x", decision_id=d.decision_id))
        logged = decisions(loop)
        assert len(logged) == 40
        assert {(d.deployment, d.draw, d.propensity, d.reason) for d in logged} == {("a", None, None, mode)}
        assert len(policy.observations) == 40
        shadows = {d.shadow for d in logged}
        assert shadows == ({"a", "b"} if mode == "advise" else {None})
        assert {d.shadow_propensity for d in logged} == ({0.5} if mode == "advise" else {None})


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_modes_that_look_serve_the_promoted_configuration_but_no_canary(mode: str) -> None:
    store = f"memory://promoted-{mode}"
    with sync_loop("a", store=store) as acting, sync_loop("a", store=store, mode=mode) as looking:
        rollout = open_rollout(acting, share=1.0)
        looking.refresh()
        d = looking.decide("x", session_id="s")
        assert (d.model, d.assignments) == ("a", ())
        end_rollout(acting, rollout, "promoted")
        looking.refresh()
        assert looking.decide("x").model == "better"


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_modes_that_look_keep_breakers_but_serve_the_hosts_choice(mode: str) -> None:
    with sync_loop("a", "b", mode=mode) as loop:
        for _ in range(3):
            loop.record(Run("a", "x", "timeout"))
        assert loop.decide("x").deployment == "a"


def test_off_does_nothing_at_all() -> None:
    with sync_loop("a", "b", mode="off", prompts={"p": "hi {n}"}) as loop:
        d = loop.decide("x", session_id="s")
        assert (d.deployment, d.reason, d.propensity, d.prompt("p", n=1)) == ("a", "off", None, "hi 1")
        assert isinstance(loop.record(Run("a", "x")), str)
        loop.feedback(Feedback("helpful", 1.0))
        with loop.track("a", operation="x") as run:
            run.tokens_in = 5
        assert loop.call(lambda d: d.deployment, "x") == "a"
        assert loop.flush() is True
        assert loop.turn().leader is False
        assert events(loop) == []
        assert list(loop.stats()) == []


def test_in_off_edits_change_what_is_served_here_and_changes_are_ignored_with_a_word() -> None:
    with sync_loop("a", mode="off", prompts={"p": "hi {n}"}) as loop:
        loop.add_deployment("c")
        loop.remove_deployment("a")
        assert loop.decide("x").deployment == "c"
        assert loop.prompts.add("p", "hello {n}") == 2
        assert [v.text for v in loop.prompts.versions("p")] == ["hi {n}", "hello {n}"]
        assert loop.decide("x").prompt("p", n=1) == "hello 1"
        assert loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="c", to="d")) == ""
        loop.approve("m-1", by="me")
        loop.rollback("m-1")
        assert loop.rollback_all() == ()
        assert loop.ledger.lives == {}
        assert loop.record(Run("c", "x")) != loop.record(Run("c", "x"))


def test_in_off_no_plugin_but_the_stores_is_loaded() -> None:
    with sync_loop("a", mode="off") as loop:
        assert {info.name for info in loop.plugins()} == {"core", "stores"}


def test_off_opens_no_store_and_starts_no_thread(tmp_path: object) -> None:
    import threading

    from tests.core.loops import live_loop

    before = set(threading.enumerate())
    with live_loop(mode="off", store=f"sqlite:///{tmp_path}/never.db") as loop:
        loop.start()
        assert set(threading.enumerate()) <= before
        assert loop.store.url.startswith("memory://")


def test_the_environment_can_switch_everything_off_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    with sync_loop("a", mode="act") as loop:
        assert loop.decide("x").reason == "off"


@pytest.mark.parametrize("mode", ALL)
def test_with_nothing_to_choose_every_mode_says_so(mode: str) -> None:
    with sync_loop("a", mode=mode) as loop:
        d = loop.decide("x", [])
        assert (d.deployment, d.propensity) == (None, None)
        assert "no_candidates" in d.reason


def test_a_wrong_mode_fails_at_start() -> None:
    with pytest.raises(ConfigurationError, match="mode"):
        sync_loop(mode="acting")


@pytest.mark.parametrize(("mode", "has_findings", "has_plan"), [("observe", True, False), ("advise", True, True)])
def test_the_turn_runs_the_stages_of_its_mode(mode: str, has_findings: bool, has_plan: bool) -> None:
    class Finds(Plugin):
        name = "finds"

        @hookimpl
        def hive_analyze(self, view: View, config: Configuration, now_s: float) -> list[Finding]:
            return [Finding(finding_id="f", analyzer="finds", kind="degradation", message="worse", deployment="a")]

        @hookimpl
        def hive_plan(
            self, findings: Sequence[Finding], view: View, config: Configuration, now_s: float
        ) -> list[Mutation]:
            return [Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="m2", finding_id="f")]

    allow = ("stores", "model_swap", "limits", "conflict", "undo")
    with sync_loop("a", mode=mode, plugins=[Finds()], allow=allow) as loop:
        turn = loop.turn()
        assert (bool(turn.findings), bool(turn.plan.mutations), turn.receipts) == (has_findings, has_plan, ())
        assert loop.configuration.rollouts == {}

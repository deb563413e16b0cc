"""Core's own stages: what gates answer belongs to what they were asked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hivefeedback.hooks import Gate, Plugin, hookimpl
from hivefeedback.hooks.registry import Registry
from hivefeedback.model import Configuration, Ledger, Mutation, Plan, Verdict
from hivefeedback.stats import View
from hivefeedback.testing.control import swap


class _Muddled:
    """Says no, but under another name and about nothing."""

    name = "muddled"

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        return Verdict(gate="", mutation_id="", answer="no", reason="I am against it")


class _MuddledPlugin(Plugin):
    name = "muddled"

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        return (_Muddled(),)


def _asked(*plugins: Plugin, times: int = 1, is_inline: bool = True) -> list[Verdict]:
    registry = Registry(is_inline=is_inline, hook_timeout_s=0.2)
    for plugin in plugins:
        registry.add(plugin)
    plan = Plan(plan_id="p", mutations=(swap("a", mutation_id="m-1"), swap("b", mutation_id="m-2")))
    view = View(asked_from_s=0.0, asked_to_s=1.0)
    try:
        return [registry.validate(plan, view, Configuration(), Ledger(), 0.0) for _ in range(times)][-1]
    finally:
        registry.close()


def test_a_verdict_counts_for_the_mutation_and_under_the_gate_that_were_asked() -> None:
    verdicts = _asked(_MuddledPlugin())
    assert [(v.gate, v.mutation_id, v.answer) for v in verdicts] == [("muddled", "m-1", "no"), ("muddled", "m-2", "no")]


class _Judging(Plugin):
    """Judges a plan as a test says."""

    name = "judging"

    def __init__(self, judge: Callable[[], Any]) -> None:
        self._judge = judge

    @hookimpl
    def hive_validate(self, plan: Plan) -> Any:  # type: ignore[override]  # pluggy passes what is asked for
        return self._judge()


def _raises() -> None:
    raise RuntimeError("boom")


def _verdict(mutation_id: str, answer: Any) -> Verdict:
    return Verdict(gate="g", mutation_id=mutation_id, answer=answer, reason="so")


_BROKEN: list[tuple[Callable[[], Any], str]] = [
    (_raises, "RuntimeError: boom"),
    (sys.exit, "SystemExit"),
    (lambda: 5, "expected a sequence of Verdict"),
    (lambda: ["yes"], "expected a sequence of Verdict"),
    (lambda: [_verdict("m-1", "perhaps")], "unusable Verdict"),
    (lambda: [_verdict("", "no")], "judged mutation '', which is not in the plan"),
]


@pytest.mark.parametrize("is_inline", [True, False])
@pytest.mark.parametrize(("judge", "says"), _BROKEN)
def test_a_plugin_that_fails_to_judge_a_plan_says_no_to_it_by_its_name(
    judge: Callable[[], Any], says: str, is_inline: bool
) -> None:
    verdicts = _asked(_Judging(judge), is_inline=is_inline)
    assert [(v.gate, v.mutation_id, v.answer) for v in verdicts] == [("judging", "m-1", "no"), ("judging", "m-2", "no")]
    assert all(v.reason.startswith("plugin 'judging' failed in hive_validate: ") and says in v.reason for v in verdicts)


def test_a_plugin_that_hangs_over_a_plan_says_no_to_it() -> None:
    gone = threading.Event()
    try:
        verdicts = _asked(_Judging(gone.wait), is_inline=False)
    finally:
        gone.set()
    assert [v.answer for v in verdicts] == ["no", "no"]
    assert "plugins enable judging" in verdicts[0].reason


def test_a_plugin_that_is_out_of_service_says_no_and_how_to_bring_it_back() -> None:
    verdicts = _asked(_Judging(_raises), times=9)
    assert {(v.answer, v.reason) for v in verdicts} == {
        ("no", "plugin 'judging' is out of service; mend it, then: hivefeedback plugins enable judging")
    }


@pytest.mark.parametrize("answer", [None, (), []])
def test_a_plugin_that_has_nothing_to_say_of_a_plan_stops_nothing(answer: Any) -> None:
    assert _asked(_Judging(lambda: answer)) == []

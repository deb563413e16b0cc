"""What a plugin answers with a field of a wrong type costs that answer, not the turn."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import Any

import pytest

from hivefeedback import FeedbackLoop, Mutation, MutationKind, Plugin, hookimpl
from hivefeedback.errors import PluginError, RefusedError
from hivefeedback.hooks import Gate
from hivefeedback.hooks.wellformed import well_formed
from hivefeedback.model import Configuration, Finding, Interval, Outlook, Verdict
from hivefeedback.stats import View
from hivefeedback.testing import FakeClock

FINDING = Finding(finding_id="f", analyzer="a", kind="k", message="m")


def _made(kind: type, /, **parts: Any) -> Any:
    return kind(**parts)


class CarelessAnalyzer(Plugin):
    """Its severity is a word."""

    name = "careless"

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        return (_made(Finding, finding_id="f", analyzer="careless", kind="k", message="m", severity="high"),)


class CarelessGate(Plugin):
    """Answers a word that is none of the three."""

    name = "careless"

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        class Perhaps:
            name = "perhaps"

            def check(self, mutation: Mutation, *args: object, **kwargs: object) -> Verdict:
                said: Verdict = _made(Verdict, gate="x", mutation_id=mutation.mutation_id, answer="maybe", reason="r")
                return said

        return (Perhaps(),)


def _loop(plugin: Plugin) -> FeedbackLoop:
    return FeedbackLoop("memory://", ["a", "b"], plugins=[plugin], clock=FakeClock())


def test_a_finding_that_cannot_be_used_costs_its_own_answer() -> None:
    with _loop(CarelessAnalyzer()) as loop:
        assert loop.turn().findings == ()
        (info,) = (p for p in loop.plugins() if p.name == "careless")
        assert "severity" in info.last_error


def test_a_gate_that_answers_neither_yes_nor_no_lets_nothing_pass() -> None:
    with _loop(CarelessGate()) as loop:
        with pytest.raises(RefusedError, match="gate 'perhaps': the gate failed"):
            loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="m"))
        assert loop.turn().leader


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (Outlook, {"rollout_id": "m-1", "decided": "banana", "reason": "r"}),
        (Outlook, {"rollout_id": "m-1", "decided": "widen", "reason": "r", "numbers": {"x": "y"}}),
        (Finding, {"finding_id": "f", "analyzer": "a", "kind": "k", "message": 5}),
        (Finding, {"finding_id": "f", "analyzer": "a", "kind": "k", "message": "m", "before": "0.9"}),
    ],
)
def test_a_field_of_a_wrong_type_is_named(kind: type, parts: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match=f"answered an unusable {kind.__name__}"):
        well_formed(_made(kind, **parts), kind)


def test_numbers_may_be_infinite_and_unknown() -> None:
    finding = Finding(
        finding_id="f",
        analyzer="a",
        kind="k",
        message="m",
        p_value=nan,
        after=Interval(estimate=1.0, low=0.0, high=inf),
    )
    assert well_formed(finding, Finding) is finding

"""The policy file: sections become options and rules, and what cannot be is refused at start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError
from hivefeedback.hooks import Plugin, hookimpl
from hivefeedback.model import Configuration, Deployment, Finding, Price, Run
from hivefeedback.settings import load_settings
from hivefeedback.stats import View
from hivefeedback.testing import FakeClock

POLICY_FILE = """
pipeline:
  - name: collect
  - name: analyze
  - name: decide
  - name: validate
  - name: execute
  - name: monitor
thresholds:
  performance:
    response_time:
      warning_threshold_ms: 1000
      critical_threshold_ms: 2000
  satisfaction:
    rating:
      warning_threshold: 4.0
      critical_threshold: 3.0
targets: {success_rate: 0.97}
limits: {max_mutations_per_hour: 5, min_confidence: 0.8}
prices: {gpt-x: {input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class Talker(Plugin):
    """Finds something in every turn."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]  # two of one class, told apart

    @hookimpl
    def hive_analyze(self, view: View, config: Configuration, now_s: float) -> Sequence[Finding]:
        return [Finding(finding_id=f"{self.name}:x", analyzer=self.name, kind="x", message="x")]


def loop_with(folder: Path, text: str, plugins: Sequence[object] = ()) -> FeedbackLoop:
    return FeedbackLoop("memory://", config=written(folder, text), clock=FakeClock(), seed=1, plugins=plugins)


def test_the_documented_policy_file_is_understood(tmp_path: Path) -> None:
    """S4.8, S4.9, S4.10, S4.17, C12."""
    settings = load_settings(written(tmp_path, POLICY_FILE))
    assert [stage.name for stage in settings.pipeline] == [
        "collect",
        "analyze",
        "plan",
        "validate",
        "execute",
        "monitor",
    ]
    assert settings.options["limits"] == {"max_per_hour": 5, "min_confidence": 0.8}
    assert settings.options["dissatisfaction"] == {"warn_rating": 4.0, "critical_rating": 3.0}
    assert settings.options["targets"]["warn_response_ms"] == 1000
    assert settings.options["targets"]["success_rate"] == 0.97
    assert settings.options["targets"]["rating"] == 4.5, "the documented target where the section names none"


def test_what_options_say_counts_more_than_a_section(tmp_path: Path) -> None:
    text = POLICY_FILE + "options: {limits: {min_confidence: 0.9}}\n"
    assert load_settings(written(tmp_path, text)).options["limits"] == {"max_per_hour": 5, "min_confidence": 0.9}


def test_a_price_list_fills_in_what_a_deployment_does_not_say(tmp_path: Path) -> None:
    own = Price(input_usd_per_mtok=9.0)
    path = written(tmp_path, "prices: {gpt-x: {input_usd_per_mtok: 1.0}}")
    given = [Deployment("a", model="gpt-x"), Deployment("b", model="gpt-x", price=own), Deployment("c")]
    with FeedbackLoop("memory://", given, config=path, clock=FakeClock()) as loop:
        found = {d.id: d.price for d in loop.configuration.deployments.values()}
    assert found == {"a": Price(input_usd_per_mtok=1.0), "b": own, "c": None}


def test_a_stage_that_is_off_says_nothing_and_one_may_be_left_to_some_plugins(tmp_path: Path) -> None:
    """S4.8."""
    talkers = [Talker("one"), Talker("two")]
    with loop_with(tmp_path, "pipeline: [{name: analyze, enabled: false}, validate, monitor]", talkers) as loop:
        assert loop.turn().findings == ()
    text = "pipeline: [collect, {name: analyze, plugins: [two]}, plan, validate, execute, monitor]"
    with loop_with(tmp_path, text, talkers) as loop:
        assert [f.analyzer for f in loop.turn().findings] == ["two"]


def test_a_pipeline_that_executes_nothing_advises(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "pipeline: [collect, analyze, plan, validate, monitor]")).mode == "advise"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipeline: [collect, analyse]", "stage 'analyse' is not known"),
        ("pipeline: [analyze, collect, validate, monitor]", "in the order"),
        ("pipeline: [collect, collect]", "named twice"),
        ("pipeline: [collect, analyze]", "'validate' cannot be switched off"),
        ("pipeline: [{name: monitor, enabled: false}]", "'monitor' cannot be switched off"),
        ("pipeline: [{name: validate, plugins: [limits]}]", "takes no plugins"),
        ("limits: {min_confidence: 1.5}", "limits.min_confidence"),
        ("limits: {max_mutations_per_hour: -1}", "limits.max_mutations_per_hour"),
        ("limits: {max_mutation_per_hour: 1}", "limits.max_mutation_per_hour"),
        ("targets: {success_rate: 95}", "targets.success_rate"),
        ("targets: {rating: 6}", "targets.rating"),
        ("thresholds: {satisfaction: {rating: {warning_threshold: 2, critical_threshold: 3}}}", "must not be above"),
        ("thresholds: {performance: {response_time: {critical_threshold_ms: 1}}}", "must not be below"),
        ("prices: {a: {input_usd_per_mtok: -1}}", "prices.a.input_usd_per_mtok"),
        ("safety_checks: false", "HIVEFEEDBACK_DEV=true"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_name(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(written(tmp_path, text))
    assert expected in str(refused.value)
    assert "policy.yaml" in str(refused.value)


def test_what_is_wrong_with_settings_together_is_told_without_telling_the_others(tmp_path: Path) -> None:
    """The URL of a store may hold a password."""
    with pytest.raises(ConfigurationError) as refused:
        load_settings(written(tmp_path, "{safety_checks: false, store: 'redis://:secret@host/0'}"))
    assert str(refused.value).startswith("safety_checks can be off only for developers")
    assert "secret" not in str(refused.value)


def test_insights_warn_from_the_thresholds_of_the_file(tmp_path: Path) -> None:
    """S4.17, S5.8."""
    text = "thresholds: {performance: {response_time: {warning_threshold_ms: 100, critical_threshold_ms: 200}}}"
    for content, told in (("{}", []), (text, ["critical"])):
        with FeedbackLoop("memory://", ["a"], config=written(tmp_path, content), clock=FakeClock()) as loop:
            for _ in range(20):
                loop.record(Run("a", "x", "ok", 0.5))
            assert [w.severity for w in loop.insights().warnings] == told

"""Variables of the systems that came before mean what they meant, below our own and above the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError
from hivefeedback.model import Mutation, MutationKind
from hivefeedback.settings import ALIASES, load_settings
from hivefeedback.testing import FakeClock
from tests.cli import Cli

NOW_S = 1_790_000_000.0


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("FEEDBACK_LOOP_ENABLED", "false", ["mode"], "off"),
        ("FEEDBACK_LOOP_ENABLED", "true", ["mode"], "act"),
        ("ORACLE_SYSTEM_ENABLED", "false", ["mode"], "observe"),
        ("LORA_HOTPLUG_ENABLED", "FALSE", ["options", "lora", "server"], "noop"),
        ("ORACLE_CONFIDENCE_THRESHOLD", "0.85", ["options", "limits", "min_confidence"], 0.85),
        ("ORACLE_MAX_MUTATIONS_PER_HOUR", "3", ["options", "limits", "max_per_hour"], 3),
        ("ORACLE_AUTO_ROLLBACK", "no", ["limits", "auto_rollback"], False),
        ("REQUIRE_APPROVAL_FOR_HIGH_RISK", "0", ["limits", "require_approval_for_high_risk"], False),
        ("CANARY_DEPLOYMENT_PERCENT", "10", ["canary_steps"], [0.1, 0.25, 0.5, 1.0]),
        ("CANARY_DEPLOYMENT_PERCENT", "30", ["canary_steps"], [0.3, 0.5, 1.0]),
        ("EVENT_BUS_TYPE", "memory", ["mode"], "act"),
        ("EVENT_BUS_MAX_SIZE", "10000", ["ring_size"], 10_000),
        ("PERFORMANCE_METRICS_FILE", "/data/my metrics.json", ["store"], "json:////data/my%20metrics.json"),
        ("PERFORMANCE_FEEDBACK_ACCURACY_THRESHOLD", "0.4", ["options", "thresholds", "accuracy_threshold"], 0.4),
    ],
)
def test_each_variable_sets_what_it_stands_for(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, path: list[str], expected: object
) -> None:
    """S4.16, S1.4, S1.5, A.7."""
    monkeypatch.setenv(name, value)
    found: Any = load_settings().model_dump()
    for part in path:
        found = found[part]
    assert found == expected


def test_all_switches_are_on_without_any_variable() -> None:
    """A.7: S4.16 has all of them true."""
    settings = load_settings()
    assert (settings.mode, settings.safety_checks) == ("act", True)
    assert settings.limits.auto_rollback
    assert settings.limits.require_approval_for_high_risk


def test_our_own_names_beat_them_and_they_beat_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hivefeedback.yaml"
    path.write_text("ring_size: 100\nlimits: {min_confidence: 0.5, max_mutations_per_hour: 7}\n", encoding="utf-8")
    monkeypatch.setenv("EVENT_BUS_MAX_SIZE", "200")
    monkeypatch.setenv("ORACLE_CONFIDENCE_THRESHOLD", "0.6")
    settings = load_settings(path)
    assert (settings.ring_size, settings.limits.min_confidence) == (200, 0.6)
    assert settings.limits.max_mutations_per_hour == 7
    monkeypatch.setenv("HIVEFEEDBACK_RING_SIZE", "300")
    monkeypatch.setenv("HIVEFEEDBACK_LIMITS", '{"min_confidence": 0.65}')
    settings = load_settings(path)
    assert (settings.ring_size, settings.limits.min_confidence) == (300, 0.65)


def test_the_old_switch_beats_a_mode_in_code_as_the_new_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBACK_LOOP_ENABLED", "false")
    monkeypatch.setenv("ORACLE_SYSTEM_ENABLED", "false")
    assert load_settings(mode="act").mode == "off"
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "advise")
    assert load_settings(mode="act").mode == "act", "our own name says that it is on"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FEEDBACK_LOOP_ENABLED", "maybe"),
        ("ORACLE_CONFIDENCE_THRESHOLD", "7"),
        ("ORACLE_MAX_MUTATIONS_PER_HOUR", "1.5"),
        ("CANARY_DEPLOYMENT_PERCENT", "0"),
        ("EVENT_BUS_TYPE", "kafka"),
        ("EVENT_BUS_MAX_SIZE", "many"),
        ("PERFORMANCE_FEEDBACK_ACCURACY_THRESHOLD", "nan"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings().model_dump()
    for alias in ALIASES:
        monkeypatch.setenv(alias.name, " ")
    assert load_settings().model_dump() == before


def test_safety_checks_are_off_for_developers_only_and_it_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """C28, S4.16."""
    monkeypatch.setenv("SAFETY_CHECKS_ENABLED", "false")
    with pytest.raises(ConfigurationError, match="HIVEFEEDBACK_DEV=true"):
        load_settings()
    monkeypatch.setenv("HIVEFEEDBACK_DEV", "true")
    cli = Cli(capsys, FakeClock(NOW_S))
    assert "safety checks" in cli.done("doctor", "--store", "memory://").out
    change = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="x", risk="high")
    with FeedbackLoop("memory://", ["a"], clock=FakeClock()) as loop:
        assert loop.counters["safety_checks_off"] == 1
        mutation_id = loop.propose(change)
        assert loop.ledger.lives[mutation_id].state == "validated"


def test_high_risk_needs_no_person_where_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.9, S4.16."""
    change = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="x", risk="high")
    for value, state in (("true", "awaiting_approval"), ("false", "validated")):
        monkeypatch.setenv("REQUIRE_APPROVAL_FOR_HIGH_RISK", value)
        with FeedbackLoop("memory://", ["a"], clock=FakeClock()) as loop:
            mutation_id = loop.propose(change)
            assert loop.ledger.lives[mutation_id].state == state


def test_doctor_lists_the_variables_in_force(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVENT_BUS_MAX_SIZE", "10000")
    assert "EVENT_BUS_MAX_SIZE" in Cli(capsys, FakeClock(NOW_S)).done("doctor", "--store", "memory://").out

"""Constructor beats environment beats file beats default; a wrong setting is named at start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.errors import ConfigurationError
from hivefeedback.settings import Settings, default_store, find_config_file, load_settings, unknown_variables
from hivefeedback.testing import FakeClock


def write(text: str, name: str = "hivefeedback.yaml") -> Path:
    """A configuration file in the working directory of the test."""
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_the_defaults_hold_and_the_store_lies_in_the_users_folder() -> None:
    settings = load_settings()
    assert settings.mode == "act"
    assert settings.store == default_store()
    assert settings.store.endswith("hive.db")
    assert str(Path.cwd().parent / "user-data") in settings.store


def test_each_source_beats_those_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().turn_every_s == 60
    write("turn_every_s: 10\n")
    assert load_settings().turn_every_s == 10
    monkeypatch.setenv("HIVEFEEDBACK_TURN_EVERY_S", "20")
    assert load_settings().turn_every_s == 20
    assert load_settings(turn_every_s=30).turn_every_s == 30


def test_a_value_of_none_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_SEED", "7")
    assert load_settings(seed=None).seed == 7


def test_sources_are_merged_setting_by_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    write("seed: 1\nstore: memory://\n")
    monkeypatch.setenv("HIVEFEEDBACK_SEED", "2")
    settings = load_settings(mode="observe")
    assert (settings.seed, settings.store, settings.mode) == (2, "memory://", "observe")


@pytest.mark.parametrize("off", ["off", "OFF", " off "])
def test_off_in_the_environment_beats_everything(monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    write("mode: act\n")
    monkeypatch.setenv("HIVEFEEDBACK_MODE", off)
    assert load_settings(mode="act").mode == "off"


def test_another_mode_in_the_environment_does_not_beat_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "observe")
    assert load_settings(mode="act").mode == "act"
    assert load_settings().mode == "observe"


def test_lists_and_mappings_can_be_set_in_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_CANARY_STEPS", "[0.1, 1.0]")
    monkeypatch.setenv("HIVEFEEDBACK_PROMPTS", '{"p": "text {x}"}')
    settings = load_settings()
    assert settings.canary_steps == [0.1, 1.0]
    assert settings.prompts == {"p": "text {x}"}


def test_deployments_of_a_file_need_an_id_only() -> None:
    write("deployments:\n  - id: a\n  - id: b\n    model: m\n    price: {input_usd_per_mtok: 1.5}\n")
    first, second = load_settings().deployments
    assert (first.id, first.capability, first.price) == ("a", 50.0, None)
    assert second.price is not None
    assert (second.model, second.price.input_usd_per_mtok) == ("m", 1.5)


def test_an_id_is_enough_for_a_deployment_in_a_file_as_it_is_in_code(clock: FakeClock) -> None:
    write("deployments: [x, y]\nadapters: [legal]\nstore: memory://\n")
    assert [entry.id for entry in load_settings().deployments] == ["x", "y"]
    with FeedbackLoop(clock=clock) as loop:
        assert set(loop.configuration.deployments) == {"x", "y"}
        assert set(loop.configuration.adapters) == {"legal"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "fast"}, "setting 'mode' is 'fast'; expected 'off', 'observe', 'advise' or 'act'"),
        ({"turn_every_s": -1}, "setting 'turn_every_s' is -1; expected a number above 0"),
        ({"ring_size": "many"}, "setting 'ring_size' is 'many'; expected a whole number"),
        ({"canary_steps": []}, "setting 'canary_steps' is []; expected at least 1 of them"),
        ({"deployments": "x"}, "setting 'deployments' is 'x'; expected a list, such as [a, b]"),
        ({"deployments": [5]}, "setting 'deployments.0' is 5; expected a name, or a mapping, such as {name: value}"),
        ({"deployments": [{"model": "m"}]}, "setting 'deployments.0.id' is missing; it has no default"),
        ({"options": 5}, "setting 'options' is 5; expected a mapping, such as {name: value}"),
    ],
)
def test_what_was_expected_is_said_in_our_words(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**given)
    assert str(caught.value) == said


def test_a_variable_that_is_no_json_is_shown_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_CANARY_STEPS", "0.1 and 1.0")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith("setting 'canary_steps' is '0.1 and 1.0' in the variable HIVEFEEDBACK_CANARY")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"mode": "fast"}, "mode"),
        ({"canary_alpha": 0.9}, "canary_alpha"),
        ({"turn_every_s": -1}, "turn_every_s"),
        ({"turn_every_s": float("nan")}, "turn_every_s"),
        ({"canary_steps": []}, "canary_steps"),
        ({"canary_steps": [0.5, 0.1]}, "canary_steps"),
        ({"canary_steps": [0.5, 2.0]}, "canary_steps.1"),
        ({"ring_size": 1}, "ring_size"),
        ({"seed": -1}, "seed"),
        ({"deployments": [{"model": "m"}]}, "deployments.0.id"),
        ({"deployments": [{"id": "a", "capabilty": 5}]}, "deployments.0.capabilty"),
        ({"prompts": {"p": 5}}, "prompts.p"),
        ({"turn_evry_s": 5}, "turn_evry_s"),
    ],
)
def test_a_wrong_setting_fails_with_a_sentence_that_names_it(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"setting '{named}'"):
        load_settings(**given)


def test_a_setting_that_is_not_known_says_where_the_known_ones_are_listed() -> None:
    with pytest.raises(ConfigurationError, match="'turn_evry_s' is not known; 'hivefeedback docs settings' lists"):
        load_settings(turn_evry_s=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HIVEFEEDBACK_MODE", "fast"),
        ("HIVEFEEDBACK_SEED", "many"),
        ("HIVEFEEDBACK_CANARY_STEPS", "0.1 and 1.0"),
        ("HIVEFEEDBACK_DEPLOYMENTS", "[{"),
        ("HIVEFEEDBACK_RING_SIZE", "1e99"),
    ],
)
def test_a_wrong_variable_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name.removeprefix("HIVEFEEDBACK_").lower()):
        load_settings()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_changes_nothing(text: str) -> None:
    before = load_settings().model_dump()
    write(text)
    assert load_settings().model_dump() == before


@pytest.mark.parametrize("text", ["- a\n", "5\n", "text\n"])
def test_a_file_without_a_mapping_is_refused(text: str) -> None:
    write(text)
    with pytest.raises(ConfigurationError, match=r"hivefeedback.yaml' must hold a mapping"):
        load_settings()


@pytest.mark.parametrize("data", [b"a: [", b"\xff\xfe\x00", b"a: !!python/object/apply:os.system [echo]\n"])
def test_a_file_that_is_no_plain_yaml_is_refused_by_name(data: bytes) -> None:
    Path("hivefeedback.yaml").write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"hivefeedback.yaml' cannot be read"):
        load_settings()


@pytest.mark.parametrize("text", ["1: 2\n", "null: 2\n", "[a, b]: 2\n", "true: 2\n"])
def test_a_key_that_is_no_name_is_refused(text: str) -> None:
    write(text)
    with pytest.raises(ConfigurationError, match=r"hivefeedback\.yaml.*"):
        load_settings()


def test_a_wrong_setting_of_a_file_comes_with_the_files_name() -> None:
    write("mode: fast\n")
    with pytest.raises(ConfigurationError, match=r"setting 'mode' is 'fast'.*hivefeedback.yaml' was read"):
        load_settings()


def test_the_named_file_is_found_before_the_variable_and_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_config_file() is None
    write("seed: 1\n")
    assert find_config_file() == Path("hivefeedback.yaml")
    monkeypatch.setenv("HIVEFEEDBACK_CONFIG", str(write("seed: 2\n", "two.yaml")))
    assert load_settings().seed == 2
    assert load_settings(config=write("seed: 3\n", "three.yaml")).seed == 3


def test_a_named_file_that_is_not_there_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"'no.yaml' is not there; write one with: hivefeedback init"):
        load_settings(config="no.yaml")
    monkeypatch.setenv("HIVEFEEDBACK_CONFIG", "gone.yaml")
    with pytest.raises(ConfigurationError, match=r"'gone.yaml' is not there"):
        load_settings()


def test_every_default_is_within_its_own_bounds() -> None:
    defaults = load_settings().model_dump()
    assert Settings.model_validate(defaults).model_dump() == defaults


def test_loading_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_SEED", "7")
    before = dict(os.environ)
    load_settings()
    assert dict(os.environ) == before


def test_a_slip_in_a_variable_name_is_told_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MOED", "off")
    monkeypatch.setenv("HIVEFEEDBACK_LIMITS_MIN_CONFIDENCE", "0.8")
    monkeypatch.setenv("HIVEFEEDBACK_CONFIG", "x.yaml")
    assert unknown_variables(["limits"]) == [
        "environment variable HIVEFEEDBACK_MOED is not known; did you mean HIVEFEEDBACK_MODE?"
    ]


def test_a_bare_off_in_yaml_is_the_word_and_not_a_truth_value(tmp_path: Path) -> None:
    file = tmp_path / "hivefeedback.yaml"
    file.write_text("mode: off\n", encoding="utf-8")
    assert load_settings(file).mode == "off"

"""PARAM_SET sets and removes parameters inside of their bounds, and puts back exactly what there was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hivefeedback import Deployment, FeedbackLoop
from hivefeedback.errors import ConfigurationError, InvalidInputError
from hivefeedback.hooks import Executor
from hivefeedback.model import Configuration, JsonValue, Mutation, MutationKind, PutDeployment, content_id, patched
from hivefeedback.testing import EvenPolicy, ExecutorContract, FakeClock
from hivefeedback_mutations import ParamSet, ParamSetPlugin

BOUNDED = Deployment(
    "a", params={"max_tokens": 512, "temperature": 0.2, "stop": ["x"]}, bounds={"max_tokens": (128, 2048)}
)
CONFIG = replace(ExecutorContract.config, deployments={"a": BOUNDED, "b": Deployment("b")})


def _set(to: Any, target: str = "a") -> Mutation:
    return Mutation(kind=MutationKind.PARAM_SET, target=target, to=to, mutation_id="m-1")


class TestParamSetKeepsTheContract(ExecutorContract):
    config = CONFIG

    def make_executor(self) -> Executor:
        return ParamSet()

    def make_mutation(self) -> Mutation:
        return _set({"max_tokens": 768, "stop": None, "seed": 7})

    def make_unknown(self) -> Mutation:
        return _set({"max_tokens": 768}, target="nobody")

    def make_nonsense(self) -> Mutation:
        return _set(["max_tokens"])


class TestParamSetOfADeploymentWithoutParametersKeepsTheContract(TestParamSetKeepsTheContract):
    def make_mutation(self) -> Mutation:
        return _set({"temperature": 0.5}, target="b")


def _served(mutation: Mutation, config: Configuration = CONFIG) -> Deployment:
    executor = ParamSet()
    prepared = executor.prepare(mutation, config)
    (op,) = executor.apply(prepared, config).patch
    assert isinstance(op, PutDeployment)
    return op.deployment


def test_named_parameters_change_and_the_others_stay() -> None:
    """S4.5: PARAM_SET."""
    served = _served(_set({"max_tokens": 768, "stop": None}))
    assert served.params == {"max_tokens": 768, "temperature": 0.2}
    assert served == Deployment("a", params=served.params, bounds=BOUNDED.bounds)


def test_undo_puts_back_exactly_what_there_was_even_where_a_parameter_was_missing() -> None:
    executor = ParamSet()
    prepared = executor.prepare(_set({"seed": 7, "temperature": None}), CONFIG)
    after = patched(CONFIG, executor.apply(prepared, CONFIG).patch)
    assert after.deployments["a"].params == {"max_tokens": 512, "stop": ["x"], "seed": 7}
    assert patched(after, executor.undo(prepared, after).patch) == CONFIG
    assert prepared.undo == "call 'a' with no seed, temperature=0.2 again"


@pytest.mark.parametrize("value", [127, 2048.5, -1, "many", True, None, [512]])
def test_a_value_outside_of_the_declared_bounds_is_refused_with_name_value_and_bounds(value: JsonValue) -> None:
    with pytest.raises(InvalidInputError, match=r"'max_tokens' of 'a' is .*bounds are 128 to 2048") as refused:
        ParamSet().prepare(_set({"max_tokens": value}), CONFIG)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("value", [128, 2048, 700.5])
def test_the_bounds_themselves_are_inside(value: float) -> None:
    assert _served(_set({"max_tokens": value})).params["max_tokens"] == value


@pytest.mark.parametrize("value", [0.9, "json", False, ["a", 1, None], []])
def test_a_parameter_without_bounds_may_be_set_by_hand(value: JsonValue) -> None:
    assert _served(_set({"temperature": value})).params["temperature"] == value


@pytest.mark.parametrize(
    "to",
    [
        {},
        None,
        7,
        "max_tokens=9",
        {"": 1},
        {"n" * 200: 1},
        {7: 1},
        {"logit_bias": {"50256": -100}},
        {"stop": [["a"]]},
        {"stop": [{"a": 1}]},
        {"stop": ["a"] * 65},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"seed": 10**13},
        {"seed": 10**400},
        {"text": "x" * 5000},
        {f"p{i}": 1 for i in range(65)},
    ],
)
def test_what_is_no_set_of_plain_parameters_is_refused_with_a_short_message(to: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        ParamSet().prepare(_set(to), CONFIG)
    assert 10 < len(str(refused.value)) < 400


@pytest.mark.parametrize("name", ["api_key", "API_BASE", "base_url", "extra_headers", "model"])
def test_where_a_call_goes_and_with_which_secret_is_no_parameter(name: str) -> None:
    with pytest.raises(InvalidInputError, match="declare the deployment anew") as refused:
        ParamSet().prepare(_set({name: "sk-secret"}), CONFIG)
    assert "sk-secret" not in str(refused.value)


def test_true_is_not_one() -> None:
    config = replace(CONFIG, deployments={"a": Deployment("a", params={"logprobs": 1})})
    assert _served(_set({"logprobs": True}), config).params["logprobs"] is True


def test_an_unprepared_mutation_cannot_be_undone() -> None:
    with pytest.raises(InvalidInputError, match="prepare it first"):
        ParamSet().undo(_set({"seed": 7}), CONFIG)


def test_the_plugin_registers_its_executor() -> None:
    assert [e.kind for e in ParamSetPlugin().hive_executors()] == [MutationKind.PARAM_SET]


# --- declared bounds -----------------------------------------------------------------------------


def test_bounds_do_not_change_what_a_deployment_without_them_is_journalled_under() -> None:
    import msgspec

    encoded = msgspec.json.encode(Deployment("a", params={"x": 1}), order="deterministic").decode()
    assert "bounds" not in encoded
    assert content_id(encoded) == content_id('{"id":"a","model":"a","params":{"x":1}}')


def test_bounds_come_from_the_configuration_file_and_survive_the_store(tmp_path: Any) -> None:
    file = tmp_path / "hivefeedback.yaml"
    file.write_text(
        "deployments:\n- id: a\n  params: {max_tokens: 512}\n  bounds: {max_tokens: [128, 2048]}\n", encoding="utf-8"
    )
    for _ in range(2):  # the second loop reads what the first one journalled
        with FeedbackLoop(
            f"sqlite:///{tmp_path}/hive.db",
            policy=EvenPolicy(),
            config=file,
            clock=FakeClock(),
            plugins_allow=["stores"],
        ) as loop:
            assert loop.configuration.deployments["a"].bounds == {"max_tokens": (128.0, 2048.0)}


@pytest.mark.parametrize(
    "bounds",
    [(3.0, 1.0), (float("nan"), 2.0), (0.0, float("inf")), (600.0, 700.0), (1,), 7, "ab", (True, 900), ("a", "b")],
)
def test_bounds_that_are_no_range_or_exclude_the_parameter_itself_are_refused(bounds: Any) -> None:
    wrong = Deployment("a", params={"max_tokens": 512}, bounds={"max_tokens": bounds})
    with pytest.raises(ConfigurationError, match="'max_tokens' of deployment 'a'"):
        FeedbackLoop("memory://", [wrong], clock=FakeClock(), plugins_allow=["stores"])


def test_bounds_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a mapping"):
        FeedbackLoop("memory://", [Deployment("a", bounds=7)], clock=FakeClock())  # type: ignore[arg-type]  # the point

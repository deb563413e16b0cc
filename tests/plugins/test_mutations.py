"""Executors answer patches that can be verified and taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.hooks import Executor, Plugin
from hivefeedback.model import (
    Deployment,
    DropRoute,
    JsonValue,
    Mutation,
    MutationKind,
    PromptVersions,
    PutDeployment,
    PutPrompt,
    PutRoute,
    Route,
    UsePrompt,
)
from hivefeedback.testing import ExecutorContract
from hivefeedback_mutations import (
    ModelSwap,
    ModelSwapPlugin,
    PromptPatch,
    PromptPatchPlugin,
    RouteChange,
    RouteChangePlugin,
)

CONFIG = ExecutorContract.config


def _swap(target: str = "b", to: JsonValue = "other") -> Mutation:
    return Mutation(kind=MutationKind.MODEL_SWAP, target=target, to=to)


def _route(target: str, to: JsonValue) -> Mutation:
    return Mutation(kind=MutationKind.ROUTE_CHANGE, target=target, to=to)


def _patch(to: JsonValue, target: str = "p") -> Mutation:
    return Mutation(kind=MutationKind.PROMPT_PATCH, target=target, to=to)


class TestModelSwapKeepsTheContract(ExecutorContract):
    def make_executor(self) -> Executor:
        return ModelSwap()

    def make_mutation(self) -> Mutation:
        return _swap()

    def make_unknown(self) -> Mutation:
        return _swap("nobody")

    def make_nonsense(self) -> Mutation:
        return _swap(to=["x"])


class TestRouteChangeKeepsTheContract(ExecutorContract):
    def make_executor(self) -> Executor:
        return RouteChange()

    def make_mutation(self) -> Mutation:
        return _route("qa", {"candidates": ["a", "b"], "weights": {"a": 1, "b": 3}})

    def make_unknown(self) -> Mutation:
        return _route("qa", ["nobody"])

    def make_nonsense(self) -> Mutation:
        return _route("qa", 7)


class TestRouteOfANewPrefixKeepsTheContract(TestRouteChangeKeepsTheContract):
    def make_mutation(self) -> Mutation:
        return _route("", ["b"])


class TestRouteRemovalKeepsTheContract(TestRouteChangeKeepsTheContract):
    def make_mutation(self) -> Mutation:
        return _route("qa", None)


class TestNewPromptTextKeepsTheContract(ExecutorContract):
    def make_executor(self) -> Executor:
        return PromptPatch()

    def make_mutation(self) -> Mutation:
        return _patch({"body": "hash-new"})

    def make_unknown(self) -> Mutation:
        return _patch(1, "nothing")

    def make_nonsense(self) -> Mutation:
        return _patch(True)


class TestPromptVersionKeepsTheContract(TestNewPromptTextKeepsTheContract):
    def make_mutation(self) -> Mutation:
        return _patch(2)


def test_a_swap_changes_the_model_and_nothing_else() -> None:
    config = replace(CONFIG, deployments={"b": Deployment("b", model="m", params={"temperature": 0.5}, capability=80)})
    receipt = ModelSwap().apply(ModelSwap().prepare(_swap(), config), config)
    assert receipt.patch == (PutDeployment(Deployment("b", model="other", params={"temperature": 0.5}, capability=80)),)
    assert "'m' becomes 'other'" in receipt.message


@pytest.mark.parametrize("to", ["", "  ", None, 3, "model-b"])
def test_a_swap_needs_the_name_of_another_model(to: JsonValue) -> None:
    with pytest.raises(InvalidInputError, match="'b'"):
        ModelSwap().prepare(_swap(to=to), CONFIG)


def test_a_given_from_is_kept_so_that_the_undo_gate_can_compare_it() -> None:
    assert ModelSwap().prepare(replace(_swap(), from_="stale"), CONFIG).from_ == "stale"


def test_a_route_to_a_list_leaves_the_choice_to_the_policy() -> None:
    receipt = RouteChange().apply(RouteChange().prepare(_route("qa", ["b", "a"]), CONFIG), CONFIG)
    assert receipt.patch == (PutRoute("qa", Route(candidates=("b", "a"))),)


def test_a_route_to_none_gives_the_prefix_back_to_its_parent() -> None:
    receipt = RouteChange().apply(RouteChange().prepare(_route("qa", None), CONFIG), CONFIG)
    assert receipt.patch == (DropRoute("qa"),)


@pytest.mark.parametrize(
    "to",
    [
        [],
        ["a", "a"],
        [""],
        [1],
        {"candidates": ["a"], "weights": {"b": 1}},
        {"candidates": ["a"], "weights": {"a": -1}},
        {"candidates": ["a"], "weights": {"a": 0}},
        {"candidates": ["a"], "weights": {"a": float("nan")}},
        {"candidates": ["a"], "weights": {"a": True}},
        {"candidates": ["a"], "more": 1},
        {"weights": {"a": 1}},
    ],
)
def test_an_impossible_route_is_refused_with_what_was_expected(to: JsonValue) -> None:
    with pytest.raises(InvalidInputError):
        RouteChange().prepare(_route("qa", to), CONFIG)


@pytest.mark.parametrize("prefix", ["qa/", "/qa", " qa"])
def test_a_prefix_that_no_operation_can_have_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidInputError, match="prefix"):
        RouteChange().prepare(_route(prefix, ["a"]), CONFIG)


def test_a_new_text_becomes_the_next_version_and_is_served() -> None:
    receipt = PromptPatch().apply(PromptPatch().prepare(_patch({"body": "h"}), CONFIG), CONFIG)
    assert receipt.patch == (PutPrompt("p", 3, "h"), UsePrompt("p", 3))


def test_a_text_that_is_stored_already_is_not_stored_again() -> None:
    receipt = PromptPatch().apply(PromptPatch().prepare(_patch({"body": "hash-2"}), CONFIG), CONFIG)
    assert receipt.patch == (UsePrompt("p", 2),)


@pytest.mark.parametrize("to", [0, 3, -1, "plain text", {"body": ""}, {"text": "x"}, None, 1.5])
def test_neither_a_version_nor_a_stored_text_is_refused(to: JsonValue) -> None:
    with pytest.raises(InvalidInputError, match="'p'"):
        PromptPatch().prepare(_patch(to), CONFIG)


def test_an_erased_version_cannot_be_served() -> None:
    config = replace(CONFIG, prompts={"p": PromptVersions(bodies=("", "x"), current=2)})
    with pytest.raises(InvalidInputError, match="no version 1"):
        PromptPatch().prepare(_patch(1), config)


def test_undo_needs_a_prepared_mutation() -> None:
    with pytest.raises(InvalidInputError, match="prepare it first"):
        PromptPatch().undo(_patch(2), CONFIG)
    with pytest.raises(InvalidInputError, match="prepare it first"):
        ModelSwap().undo(_swap(), CONFIG)


def test_apply_to_something_that_was_removed_meanwhile_names_it() -> None:
    empty = replace(CONFIG, deployments={}, prompts={})
    with pytest.raises(UnknownNameError, match="'b'"):
        ModelSwap().apply(_swap(), empty)
    with pytest.raises(UnknownNameError, match="'p'"):
        PromptPatch().apply(_patch(2), empty)
    assert not ModelSwap().verify(_swap(), empty)
    assert not PromptPatch().verify(_patch(2), empty)


@pytest.mark.parametrize(
    ("plugin", "kind"),
    [(ModelSwapPlugin(), "MODEL_SWAP"), (RouteChangePlugin(), "ROUTE_CHANGE"), (PromptPatchPlugin(), "PROMPT_PATCH")],
)
def test_each_plugin_registers_the_executor_of_its_kind(plugin: Plugin, kind: str) -> None:
    (executor,) = plugin.hive_executors()
    assert executor.kind == kind
    assert not executor.is_external

"""The tree of errors is the one that is drawn, and messages say what to do."""

from __future__ import annotations

import inspect
import re

import hivefeedback.errors as errors
from hivefeedback.errors import HiveFeedbackError, MissingExtraError, UnknownNameError


def test_every_class_is_exported_and_has_the_one_root() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    assert sorted(c.__name__ for c in classes) == sorted(errors.__all__)
    assert all(issubclass(c, HiveFeedbackError) for c in classes)
    assert all(c.__doc__ for c in classes)


def test_the_drawn_tree_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    parents = [errors.HiveFeedbackError.__name__]
    drawn: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^((?:│   |    )*)(?:├── |└── )(\w+)", line)
        if found:
            depth = len(found.group(1)) // 4
            del parents[depth + 1 :]
            drawn[found.group(2)] = parents[-1]
            parents.append(found.group(2))
    real = {n: getattr(errors, n).__bases__[0].__name__ for n in errors.__all__ if n != "HiveFeedbackError"}
    assert drawn == real


def test_a_missing_extra_is_named_with_its_install_command() -> None:
    error = MissingExtraError("the LiteLLM hook", "litellm")
    assert str(error) == "the LiteLLM hook needs an extra; install it with: pip install 'hivefeedback[litellm]'"
    assert error.extra == "litellm"


def test_an_unknown_name_comes_with_the_known_ones() -> None:
    error = UnknownNameError("deployment", "gpt-x", ["b", "a"])
    assert str(error) == "deployment 'gpt-x' is not known; known: 'a', 'b'"
    assert (error.noun, error.name) == ("deployment", "gpt-x")


def test_an_unknown_name_among_very_many_keeps_the_message_short() -> None:
    many = str(UnknownNameError("prompt", "p", [f"name-{i}" for i in range(1000)]))
    assert len(many) < 300
    assert many.endswith(" and 988 more")


def test_an_unknown_name_without_known_ones_says_none() -> None:
    assert str(UnknownNameError("prompt", "p")).endswith("known: none")


def test_invalid_input_is_a_value_error_for_callers_who_know_only_the_standard_library() -> None:
    assert issubclass(errors.InvalidInputError, ValueError)


def test_known_names_are_listed_as_people_count() -> None:
    error = UnknownNameError("mutation", "m-99", ["m-10", "m-3", "a", "m-003", "m-3b", "1" * 5000])
    assert str(error).endswith("'a', 'm-3', 'm-003', 'm-3b', 'm-10'")

"""Prompts are plain text with named fields: hostile texts are refused, nothing is evaluated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivefeedback.errors import InvalidInputError, UnknownNameError
from hivefeedback.model import MAX_PROMPT_BYTES, check_prompt, prompt_fields, render


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{0}",
        "{a.b}",
        "{{",
        "}}",
        "{{a}}",
        "{a[0]}",
        "{a!r}",
        "{a:>10}",
        "{ a }",
        "{a",
        "a}",
        "{{ config.items() }}",
        "{% for x in y %}",
        "{a.__class__.__mro__}",
        "{é}",
        "{{{a}}}",
    ],
)
def test_a_brace_that_is_no_field_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="prompt 'p' has a brace"):
        check_prompt("p", f"before {text} after")


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31mred", "a\x7fb", "bell\x07", "a\x0bb", "a\x0cb"])
def test_a_control_character_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="control character"):
        check_prompt("p", text)


@pytest.mark.parametrize(
    "text", ["", "plain", "line\nline\r\n\ttab", "{question} in {tone}", "日本語 {x} 🙂", "$x %s <a>"]
)
def test_plain_text_with_fields_is_accepted(text: str) -> None:
    check_prompt("p", text)
    assert render("p", {"p": text}, {name: f"<{name}>" for name in prompt_fields(text)}).count("{") == 0


def test_a_megabyte_of_text_is_refused_with_the_bound() -> None:
    with pytest.raises(InvalidInputError, match="longer than 256 KiB"):
        check_prompt("p", "x" * 1_000_000)


def test_the_bound_counts_bytes_and_holds_exactly() -> None:
    check_prompt("p", "é" * (MAX_PROMPT_BYTES // 2))
    with pytest.raises(InvalidInputError, match="shorten"):
        check_prompt("p", "é" * (MAX_PROMPT_BYTES // 2) + "x")


def test_something_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="is int; expected a text"):
        check_prompt("p", 5)  # type: ignore[arg-type]  # the wrong type is the point


def test_a_lone_surrogate_is_measured_without_an_error() -> None:
    check_prompt("p", "\ud800")
    assert render("p", {"p": "\ud800{x}"}, {"x": 1}) == "\ud8001"


def test_a_field_without_a_value_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"^prompt 'p' needs x, y; given: none$"):
        render("p", {"p": "{x} {y} {x}"}, {})
    with pytest.raises(UnknownNameError, match=r"^prompt 'p' needs tone; given: question$"):
        render("p", {"p": "{question} {tone}"}, {"question": "q"})


def test_an_unknown_prompt_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="prompt 'q' is not known; known: 'p'"):
        render("q", {"p": ""}, {})


@given(st.text(), st.text())
def test_a_value_is_inserted_as_it_is_and_never_looked_at_again(before: str, value: str) -> None:
    text = before.replace("{", "").replace("}", "") + "{x}"
    assert render("p", {"p": text}, {"x": value, "y": "never"}) == text[:-3] + value


@given(st.text(alphabet="{}ab.0_ [!:", max_size=12))
def test_what_is_accepted_renders_without_any_brace_left(text: str) -> None:
    try:
        check_prompt("p", text)
    except InvalidInputError:
        return
    rendered = render("p", {"p": text}, dict.fromkeys(prompt_fields(text), ""))
    assert "{" not in rendered
    assert "}" not in rendered

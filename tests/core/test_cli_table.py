"""Tables and the words in them."""

from __future__ import annotations

import pytest

from hivefeedback.cli.console import error_line
from hivefeedback.cli.table import Column, table
from hivefeedback.cli.words import age, amount, duration_s, moment_s, plain
from hivefeedback.model import shown_url

COLUMNS = (Column("name"), Column("runs", is_number=True), Column("cost", "USD", is_number=True, rank=1))
ROWS = [["a rather long name of a deployment", "12", "0.5"], ["b", "3", "10"]]


def test_numbers_stand_to_the_right_and_units_in_the_header() -> None:
    assert table(COLUMNS, [["a", "12", "0.5"], ["b", "3", "10"]]).splitlines() == [
        "name  runs  cost",
        "             USD",
        "a       12   0.5",
        "b        3    10",
    ]


def test_a_table_without_units_has_one_line_of_header() -> None:
    assert table(COLUMNS[:2], []).splitlines() == ["name  runs"]


@pytest.mark.parametrize("width", range(20, 60))
def test_a_table_is_never_wider_than_the_terminal(width: int) -> None:
    lines = table(COLUMNS, ROWS, width=width).splitlines()
    body = [line for line in lines if not line.startswith("(left out")]
    assert max(map(len, body)) <= width
    assert body[-1].startswith("b")


def test_the_text_is_cut_before_a_column_is_left_out_and_numbers_are_never_cut() -> None:
    wide = table(COLUMNS, ROWS, width=30)
    assert "…" in wide
    assert "left out" not in wide
    narrow = table(COLUMNS, ROWS, width=18)
    assert "left out for want of room: cost" in narrow
    assert "12" in narrow


def test_without_a_terminal_nothing_is_cut_that_a_person_would_read() -> None:
    assert ROWS[0][0] in table(COLUMNS, ROWS, width=None)


def test_an_endless_id_does_not_make_every_line_endless() -> None:
    lines = table(COLUMNS[:2], [["a" * 10_000, "1"], ["b", "2"]]).splitlines()
    assert max(map(len, lines)) < 140
    assert "a…" in lines[1]
    assert lines[2].startswith("b ")


def test_wide_and_combining_characters_keep_the_columns_straight() -> None:
    lines = table(COLUMNS[:2], [["日本", "1"], ["é", "2"], ["abcd", "3"]]).splitlines()
    assert lines[1:] == ["日本     1", "é        2", "abcd     3"]


def test_no_cell_can_command_the_terminal_or_break_a_line() -> None:
    shown = table(COLUMNS[:1], [["\x1b[2J\nx\u202ey"]])
    assert shown.splitlines()[1:] == [r"\x1b[2J\x0ax\u202ey"]
    assert plain("a\nb\x07", is_block=True) == "a\nb\\x07"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("24h", 86400), ("7d", 604800), ("1.5h", 5400), ("1h 30m", 5400)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-5m", "5 minutes", "1e3s", "nan", "5mh"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="no duration"):
        duration_s(text)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert moment_s("1970-01-01T00:01", 0.0) == 60.0
    with pytest.raises(ValueError, match="no time"):
        moment_s("yesterday", 0.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.000123456, "0.000123"), (1.0, "1.00"), (99.96, "100.0"), (100.4, "100"), (1e-12, "1.00e-12"), (-2.5, "-2.50")],
)
def test_an_amount_has_three_digits_that_matter(value: float, shown: str) -> None:
    assert amount(value) == shown


def test_what_is_not_known_is_a_dash_and_never_zero() -> None:
    assert (amount(None), amount(float("nan")), amount(0.0)) == ("-", "-", "0")


def test_a_clock_that_went_back_makes_no_negative_age() -> None:
    assert age(-5.0) == "0s"


def test_an_error_stays_on_one_line_whatever_is_in_it() -> None:
    assert error_line("a\n b\x1b") == "error: a b\\x1b"


def test_a_url_without_a_password_is_shown_as_it_is() -> None:
    assert shown_url("sqlite:////var/hive@home.db") == "sqlite:////var/hive@home.db"
    assert shown_url("redis://:x@h:1/0") == "redis://***@h:1/0"

"""The small rules that the stores share."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hivefeedback.errors import ConfigurationError, StoreUnreachableError
from hivefeedback.hooks import Selector
from hivefeedback.stats import Cell
from hivefeedback.testing.store_samples import T0, commit_of, run_event
from hivefeedback_stores.buckets import Horizon
from hivefeedback_stores.json_place import line_and_column, offset_of, syntax_error
from hivefeedback_stores.memory import MemoryStore
from hivefeedback_stores.seen import MAX_GAPS, Seen
from hivefeedback_stores.takeback import subtract


def test_every_order_of_numbers_is_applied_once_each() -> None:
    for seed in range(20):
        numbers = [*range(1, 60), *range(1, 60), 1000, 500]
        Random(seed).shuffle(numbers)
        seen = Seen()
        assert sorted(n for n in numbers if seen.add(n)) == [*range(1, 60), 500, 1000]


def test_gaps_are_bounded_and_the_oldest_are_given_up() -> None:
    seen = Seen()
    for number in range(2, 4 * MAX_GAPS, 2):
        assert seen.add(number)
    assert len(seen.gaps) == MAX_GAPS
    assert not seen.add(1)
    assert seen.add(4 * MAX_GAPS - 3)


def test_splitting_a_gap_keeps_the_bound() -> None:
    seen = Seen()
    seen.add(10 * MAX_GAPS)
    for number in range(2, 4 * MAX_GAPS, 2):
        seen.add(number)
    assert len(seen.gaps) <= MAX_GAPS


def test_a_minute_has_one_bucket_at_each_time() -> None:
    minute = int(T0)
    widths = [Horizon.at(T0 + after_s).bucket(minute)[1] for after_s in (-1e6, 0, 7000, 11_000, 6e5, 8e5, 1e9)]
    assert widths == [60, 60, 60, 3600, 3600, 86_400, 86_400]


def test_a_cell_without_itself_is_empty() -> None:
    cell = Cell()
    for n in range(1, 5):
        body = run_event(n, duration_s=n / 3, tokens_in=n, cost_usd=0.1, outcome="ok" if n % 2 else "timeout").body
        cell.add_run(body)  # type: ignore[arg-type]  # a run event's body is a run
        cell.add_judged("rating", n / 4)
    assert subtract(cell, cell) == Cell()


def test_taking_more_than_there_is_leaves_nothing_below_zero() -> None:
    little, much = Cell(), Cell()
    for n in range(1, 5):
        body = run_event(n, tokens_in=10).body
        much.add_run(body)  # type: ignore[arg-type]  # a run event's body is a run
        if n == 1:
            little.add_run(body)  # type: ignore[arg-type]  # as above
    much.add_judged("rating", 0.5)
    assert subtract(little, much) == Cell()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a", "[1, "),
        ("$.a[1].b", "2}"),
        ("$.c.d[0]", '"x"'),
        ("$.a[1][...]", '{"b"'),
        ("$.a[7]", "[1,"),
        ("$.nope.b", "{"),
        ("$", "{"),
    ],
)
def test_a_path_leads_to_its_place_in_the_text(path: str, found: str) -> None:
    text = '\n {"a": [1, {"b": 2}],\n "c": {"d": ["x"]}, "e": []}'
    assert syntax_error(text) is None
    assert text[offset_of(text, path) :].startswith(found)
    assert line_and_column(text, offset_of(text, "$.c.d[0]")) == "line 3, column 14"


def test_memory_stores_of_one_name_share_and_those_without_do_not(tmp_path: Path) -> None:
    one, two = MemoryStore(f"memory://{tmp_path}"), MemoryStore(f"memory://{tmp_path}")
    own = MemoryStore("memory://")
    one.commit(commit_of(1, [run_event(1)]))
    assert two.log.count() == 1
    assert own.log.count() == MemoryStore().log.count() == 0


def test_a_memory_store_opened_for_reading_refuses_writes(tmp_path: Path) -> None:
    one = MemoryStore(f"memory://{tmp_path}")
    one.commit(commit_of(1, [run_event(1)]))
    reader = MemoryStore(f"memory://{tmp_path}", read_only=True)
    assert reader.log.count() == 1
    with pytest.raises(StoreUnreachableError, match="reading only"):
        reader.log.erase(Selector(deployment="a"))


def test_a_memory_url_of_another_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        MemoryStore("sqlite:///x")

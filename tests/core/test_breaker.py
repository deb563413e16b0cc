"""The breaker: the documents' numbers, half-open probes, and what must not touch it."""

from __future__ import annotations

import json

import pytest

from hivefeedback.model import UNCOUNTED
from hivefeedback.recording.breaker import Breakers

HOUR = 3600.0


def failures_of(breakers: Breakers, variant: str) -> int:
    """Counted failures in a row, as the dump says."""
    found = json.loads(breakers.dump())["breakers"].get(variant)
    return int(found["failures"]) if found else 0


def until_s(breakers: Breakers) -> float:
    """When the opening ends: from then on it is half open."""
    return float(json.loads(breakers.dump())["breakers"]["a"]["until_s"])


def fail(breakers: Breakers, times: int, now_s: float = 0.0) -> None:
    for _ in range(times):
        breakers.settle("a", "model_error", now_s)


def test_three_failures_open_for_an_hour_and_two_do_not() -> None:
    breakers = Breakers()
    fail(breakers, 2)
    assert breakers.open == frozenset()
    fail(breakers, 1)
    assert breakers.open == {"a"}
    assert until_s(breakers) == HOUR


def test_each_failed_probe_doubles_the_opening_up_to_a_day() -> None:
    breakers = Breakers()
    fail(breakers, 3)
    lengths = []
    for _ in range(8):
        now_s = until_s(breakers)
        assert breakers.take("a", now_s)
        fail(breakers, 1, now_s)
        lengths.append((until_s(breakers) - now_s) / HOUR)
    assert lengths == [2, 4, 8, 16, 24, 24, 24, 24]


def test_failures_of_calls_under_way_do_not_escalate() -> None:
    breakers = Breakers()
    fail(breakers, 8)
    assert failures_of(breakers, "a") == 3
    assert until_s(breakers) == HOUR


def test_only_the_first_failure_after_expiry_escalates() -> None:
    breakers = Breakers()
    fail(breakers, 3)
    fail(breakers, 5, now_s=HOUR)
    assert failures_of(breakers, "a") == 4
    assert until_s(breakers) == HOUR + 2 * HOUR


def test_the_count_survives_expiry_and_a_success_resets_it() -> None:
    breakers = Breakers()
    fail(breakers, 3)
    assert failures_of(breakers, "a") == 3
    assert breakers.settle("a", "ok", 10 * HOUR)
    assert breakers.open == frozenset()
    fail(breakers, 2, now_s=11 * HOUR)
    assert breakers.open == frozenset()


@pytest.mark.parametrize("outcome", sorted(UNCOUNTED))
def test_uncounted_outcomes_never_touch_it(outcome: str) -> None:
    breakers = Breakers()
    fail(breakers, 2)
    before = breakers.dump()
    assert not breakers.settle("a", outcome, 0.0)
    assert breakers.dump() == before
    fail(breakers, 1)
    assert breakers.open == {"a"}


@pytest.mark.parametrize("outcome", ["ok", "refused", "truncated"])
def test_a_counted_run_that_is_not_blamed_closes_it(outcome: str) -> None:
    breakers = Breakers()
    fail(breakers, 3)
    assert breakers.settle("a", outcome, HOUR)
    assert breakers.open == frozenset()


def test_a_success_with_nothing_to_reset_changes_nothing() -> None:
    assert not Breakers().settle("a", "ok", 0.0)


def test_a_half_open_breaker_gives_one_token_and_is_still_not_drawn() -> None:
    breakers = Breakers()
    fail(breakers, 3)
    assert breakers.half_open(HOUR - 1) == ()
    assert not breakers.take("a", HOUR - 1)
    assert breakers.half_open(HOUR) == ("a",)
    assert breakers.take("a", HOUR)
    assert not breakers.take("a", HOUR)
    assert breakers.half_open(HOUR) == ()
    assert breakers.open == {"a"}


def test_an_unsettled_token_returns() -> None:
    breakers = Breakers(token_s=60.0)
    fail(breakers, 3)
    breakers.take("a", HOUR)
    assert breakers.next_due_s(HOUR) == HOUR + 60
    assert breakers.half_open(HOUR + 60) == ("a",)
    assert breakers.take("a", HOUR + 60)


def test_it_says_when_something_is_due() -> None:
    breakers = Breakers()
    assert breakers.next_due_s(0.0) is None
    fail(breakers, 3)
    assert breakers.next_due_s(0.0) == HOUR
    assert breakers.next_due_s(2 * HOUR) == 2 * HOUR


def test_variants_do_not_know_each_other() -> None:
    breakers = Breakers()
    fail(breakers, 3)
    assert breakers.settle("b", "timeout", 0.0)
    assert breakers.open == {"a"}
    breakers.forget("a")
    assert breakers.open == frozenset()


def test_a_clock_that_goes_back_does_not_lock_a_deployment_out() -> None:
    breakers = Breakers()
    fail(breakers, 3, now_s=1e9)
    assert breakers.half_open(0.0) == ("a",)


def test_dump_and_load_keep_the_state() -> None:
    breakers, copy = Breakers(), Breakers()
    fail(breakers, 4)
    copy.load(breakers.dump())
    assert copy.dump() == breakers.dump()
    assert copy.open == {"a"}


@pytest.mark.parametrize("data", [b"", b"not json", b'{"version":99,"breakers":{}}', b"[1]"])
def test_damaged_data_is_ignored(data: bytes) -> None:
    breakers = Breakers()
    fail(breakers, 3)
    breakers.load(data)
    assert breakers.open == {"a"}


# --- several processes ----------------------------------------------------------------------------


def tell(source: Breakers, *others: Breakers) -> None:
    for variant, data in source.changes().items():
        for other in others:
            other.merge(variant, data)


def test_what_one_process_opens_the_others_leave_too_and_only_what_changed_is_told() -> None:
    here, there = Breakers(), Breakers()
    fail(here, 3)
    tell(here, there)
    assert there.open == {"a"}
    assert here.changes() == {}
    fail(there, 1, now_s=HOUR)
    assert failures_of(there, "a") == 4, "the count goes on where the other process had left it"


def test_a_success_that_came_after_the_failures_closes_it_everywhere_and_older_news_do_not_open_it() -> None:
    here, there = Breakers(), Breakers()
    fail(here, 3)
    news = here.changes()
    there.merge("a", news["a"])
    here.settle("a", "ok", HOUR)
    tell(here, there)
    assert there.open == frozenset()
    for breakers in (here, there):
        breakers.merge("a", news["a"])
        assert breakers.open == frozenset()
    fail(there, 3, now_s=2 * HOUR)
    tell(there, here)
    assert here.open == {"a"}


def test_a_success_that_is_heard_of_first_outweighs_what_a_third_process_tells_of_before() -> None:
    here, there, third = Breakers(), Breakers(), Breakers()
    fail(third, 3, now_s=5.0)
    news = third.changes()["a"]
    here.merge("a", news)
    here.settle("a", "ok", 10.0)
    tell(here, there)
    assert not there.merge("a", news)
    assert there.open == frozenset()
    there.merge("a", b'{"changed_s":7.0}')
    assert not there.merge("a", b'{"failures":3,"until_s":4000.0,"changed_s":8.0}'), "the latest success holds"


def test_of_a_variant_that_was_forgotten_nothing_is_told() -> None:
    breakers = Breakers()
    fail(breakers, 1)
    breakers.settle("a", "ok", 1.0)
    fail(breakers, 3, now_s=2.0)
    breakers.forget("a")
    assert breakers.changes() == {"a": b""}


def test_failures_that_came_after_another_processs_success_stay() -> None:
    here, there = Breakers(), Breakers()
    fail(here, 2)
    tell(here, there)
    here.settle("a", "ok", 10.0)
    fail(there, 1, now_s=20.0)
    tell(here, there)
    assert there.open == {"a"}


def test_two_that_fail_alone_count_the_larger_number_in_whatever_order_they_hear_of_each_other() -> None:
    for order in (0, 1):
        here, there, third = Breakers(), Breakers(), Breakers()
        fail(here, 1, now_s=5.0)
        fail(there, 2, now_s=3.0)
        news = [here.changes()["a"], there.changes()["a"]]
        for data in news if order else reversed(news):
            third.merge("a", data)
        assert failures_of(third, "a") == 2


@pytest.mark.parametrize("data", [b"", b"not json", b"[1]", b'{"failures":"many"}'])
def test_what_is_no_breaker_is_not_merged(data: bytes) -> None:
    breakers = Breakers()
    assert not breakers.merge("a", data)
    assert Breakers.is_forgotten(data, 0.0)


def test_news_that_are_a_month_old_are_forgotten() -> None:
    breakers = Breakers()
    fail(breakers, 1, now_s=10.0)
    news = breakers.changes()["a"]
    assert not Breakers.is_forgotten(news, 86400.0)
    assert Breakers.is_forgotten(news, 40 * 86400.0)

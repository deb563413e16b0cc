"""The small duties of a policy that keeps sums by operation and deployment."""

from __future__ import annotations

from collections.abc import Sequence

from hivefeedback.hooks import RowPolicy


class Shares(RowPolicy[float]):
    """Shares in proportion to what each has; 1 of who has nothing."""

    name = "shares"

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        row = self.rows.get(operation, {})
        wanted = [row.get(name, 1.0) for name in candidates]
        return [value / sum(wanted) for value in wanted]


def filled() -> Shares:
    policy = Shares()
    policy.rows = {"x": {"b": 3.0, "a": 1.0}, "y": {"a@m-1": 8.0}}
    return policy


def test_before_anything_is_declared_the_index_names_all_that_have_a_row() -> None:
    assert dict(filled().index("x")) == {"a": 0.2, "a@m-1": 0.2, "b": 0.6}


def test_the_index_names_who_is_in_service() -> None:
    policy = filled()
    policy.declare({"b": (50.0, None), "new": (90.0, 2.0)})
    assert dict(policy.index("x")) == {"b": 0.75, "new": 0.25}
    assert dict(policy.index("never seen")) == {"b": 0.5, "new": 0.5}


def test_of_nobody_there_is_an_empty_index() -> None:
    assert dict(Shares().index("x")) == {}


def test_who_adopts_a_variant_is_what_that_was_and_keeps_nothing_of_its_own() -> None:
    policy = filled()
    policy.adopt("a", "a@m-1")
    assert policy.rows == {"x": {"b": 3.0}, "y": {"a": 8.0}}


def test_a_variant_that_is_forgotten_leaves_no_sums() -> None:
    policy = filled()
    policy.forget("a@m-1")
    assert policy.rows == {"x": {"b": 3.0, "a": 1.0}, "y": {}}


def test_every_refresh_asks_for_all_and_hears_no_alarm() -> None:
    assert (list(filled().due(0.0)), list(filled().alarms())) == ([""], [])

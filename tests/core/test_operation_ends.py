"""Operations are paths, and people end paths with a slash."""

from __future__ import annotations

from typing import Any

import pytest

from hivefeedback import Run
from hivefeedback.errors import InvalidInputError
from tests.core.loops import sync_loop


def test_a_question_about_a_prefix_that_ends_with_a_slash_is_one_about_the_prefix() -> None:
    with sync_loop("a", "b") as loop:
        for operation in ("text-to-text/medical", "text-to-text/legal"):
            loop.record(Run("a", operation, "ok", 0.1))
        for asked in ("text-to-text", "text-to-text/"):
            assert loop.stats(operation=asked).coverage.n_runs == 2
            assert loop.trend("success_rate", operation=asked).coverage.n_runs == 2
        assert loop.stats(operation="text-to-text/legal/").coverage.n_runs == 1


@pytest.mark.parametrize("prefix", ["text-to-text/", "/text-to-text", " x", None])
def test_a_route_that_no_operation_could_have_is_refused(prefix: Any) -> None:
    with sync_loop("a", "b") as loop, pytest.raises(InvalidInputError, match="operation prefix"):
        loop.set_route(prefix, ["b"])


def test_candidates_of_a_route_are_a_list() -> None:
    with sync_loop("a", "b") as loop, pytest.raises(InvalidInputError, match="candidates are 'ab'"):
        loop.set_route("x", "ab")

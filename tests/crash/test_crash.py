"""A short run of the crash harness; ``make crash`` runs a thousand trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.rounds import play
from tests.plugins.redis_servers import INSTALL

TAKEN_OVER_WITHIN_S = 15.0


@pytest.mark.parametrize(
    ("store", "n_kills", "is_taken_over"),
    [("sqlite", 9, True), ("json", 6, False), ("redis", 6, False), ("redis-shards", 9, True)],
)
def test_what_was_acknowledged_outlives_every_kill_and_counts_once(
    tmp_path: Path, store: str, n_kills: int, is_taken_over: bool, skip_or_fail: Callable[[str, str], str]
) -> None:
    if store.startswith("redis"):
        skip_or_fail("redis-server", INSTALL)
    outcome = play(tmp_path, store, n_kills, seed=1, is_taken_over=is_taken_over)
    assert outcome.problems == []
    assert outcome.n_kills == n_kills
    assert min(outcome.n_runs, outcome.n_feedback, outcome.n_changes) > 0, "else nothing was tried"
    assert all(seconds < TAKEN_OVER_WITHIN_S for seconds in outcome.takeovers_s)
    assert len(outcome.takeovers_s) == is_taken_over

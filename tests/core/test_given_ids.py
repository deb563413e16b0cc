"""A run of a given id counts once, before and after a restart, and ids that we made cost nothing."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.hooks import EventLog
from hivefeedback.model import Event, Feedback, Run
from hivefeedback.testing import FakeClock
from tests.core.loops import bodies, live_loop, sync_loop
from tests.core.recount import assert_recount


def opened(tmp_path: Path, *, threads: bool) -> FeedbackLoop:
    url = f"sqlite:///{tmp_path / 'hive.db'}"
    return live_loop("a", store=url) if threads else sync_loop("a", store=url, clock=FakeClock())


@pytest.mark.parametrize("threads", [True, False])
def test_a_run_that_was_recorded_before_a_restart_is_refused_after_it(tmp_path: Path, threads: bool) -> None:
    for n_before in (0, 1):
        with opened(tmp_path, threads=threads) as loop:
            for _ in range(2):
                loop.record(Run("a", "x", "ok", 0.5, run_id="mine", tokens_in=7))
            loop.record(Run("a", "x", "ok", 0.5, run_id=f"new-{n_before}"))
            assert loop.flush()
            assert loop.counters["duplicate_run"] == 1 + n_before
            row = loop.stats()[0]
            assert (row.n_runs, row.reward, row.outcomes) == (2 + n_before, 1.0, {"ok": 2 + n_before})
            assert len(bodies(loop, Run)) == 2 + n_before
            assert_recount(loop)


@pytest.mark.parametrize("threads", [True, False])
def test_what_was_said_of_the_second_one_is_about_the_first(tmp_path: Path, threads: bool) -> None:
    with opened(tmp_path, threads=threads) as loop:
        loop.record(Run("a", "x", run_id="mine"))
    with opened(tmp_path, threads=threads) as loop:
        loop.record(Run("a", "x", run_id="mine"))
        loop.feedback(Feedback("helpful", 0.25, run_id="mine"))
        assert loop.flush()
        assert loop.flush()
        row = loop.stats()[0]
        assert (row.n_runs, row.n_judged, row.reward) == (1, 1, 0.25)
        assert_recount(loop)


class Asked:
    """A log that notes what it is asked for."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.ids: list[str] = []

    def find(self, event_id: str) -> Event | None:
        self.ids.append(event_id)
        return self._log.find(event_id)

    def among(self, ids: Collection[str]) -> Collection[str]:
        self.ids += ids
        return [event_id for event_id in ids if self._log.find(event_id) is not None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_the_log_is_asked_for_given_ids_only() -> None:
    with sync_loop("a") as loop:
        asked = Asked(loop.store.log)
        loop.store.log = asked
        loop.record(Run("a", "x"))
        with loop.track("a", operation="x"):
            pass
        assert asked.ids == []
        loop.record(Run("a", "x", run_id="mine"))
        assert asked.ids == ["mine"]

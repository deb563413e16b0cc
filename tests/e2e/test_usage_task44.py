"""The seven usage examples of Task 44 as its users would write them now: four in Python, three for a shell.

Where the source has ``curl``, the command line stands here; the HTTP routes of the same names ask the
same functions.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.cli.main import main
from hivefeedback.testing import FakeClock

SMALL, LARGE = "llama3.1:8b-instruct", "llama3.1:13b-instruct"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'stats.db'}"


@pytest.fixture
def loop(url: str, clock: FakeClock) -> FeedbackLoop:
    """The small model is fast and fails at times, the large one slow and good."""
    loop = FeedbackLoop(url, [Deployment(SMALL, vram_gb=8.0), Deployment(LARGE, vram_gb=16.0)], clock=clock)
    for i in range(20):
        for name, seconds, quality, is_bad in ((SMALL, 1.23456, 4.2, i % 5 == 0), (LARGE, 2.5, 4.8, False)):
            run_id = loop.record(Run(name, "photo_evaluation", "model_error" if is_bad else "ok", seconds))
            loop.feedback(Feedback(run_id=run_id, rating=quality))
        clock.advance(60.0)
    return loop


def test_basic_recording(url: str, clock: FakeClock) -> None:
    """S5.1, S5.12: record_model_performance(model, operation, processing_time_ms, quality_score, success)."""
    with FeedbackLoop(url, clock=clock) as loop:
        run_id = loop.record(
            Run(SMALL, "photo_evaluation", "ok", 1234.56 / 1000, tokens_out=100, memory_mb=5120.0), durable=True
        )
        loop.feedback(Feedback(run_id=run_id, rating=4.2))
        (row,) = loop.stats()
        assert (row.deployment, row.n_runs, row.success_rate) == (SMALL, 1, 1.0)
        assert row.mean_duration_s == pytest.approx(1.23456)
        assert row.rating == pytest.approx(4.2)
        assert row.memory_mb == pytest.approx(5120.0)
        assert row.tokens_per_s == pytest.approx(100 / 1.23456)


def test_get_recommendation(loop: FeedbackLoop) -> None:
    """S5.4, S5.5, S5.12: recommend_model(priority, available_models, duration_hours=24, min_operations=10)."""
    found = loop.recommend(priority="balanced", candidates=[SMALL, LARGE], window_s=24 * 3600.0, min_runs=10)
    assert (found.deployment, found.is_fallback) == (LARGE, False)
    assert [row.deployment for row in found.alternatives] == [SMALL]
    assert loop.recommend(priority="quality").deployment == LARGE
    assert loop.recommend(priority="balanced", available_vram_gb=8.0).deployment == SMALL


def test_compare_models(loop: FeedbackLoop) -> None:
    """S5.3, S5.12: rankings fastest and best_overall."""
    comparison = loop.compare([SMALL, LARGE])
    assert f"Fastest: {comparison.rankings['fastest'].model}" == f"Fastest: {SMALL}"
    assert f"Best Overall: {comparison.rankings['best_overall'].model}" == f"Best Overall: {LARGE}"


def test_automatic_tracking(url: str, clock: FakeClock) -> None:
    """S5.8, S5.12: ``with integration.track_model_performance(model, operation)`` is ``loop.track``."""
    with FeedbackLoop(url, clock=clock) as loop:
        with loop.track("llama3.1:8b", "photo_eval") as run:
            clock.advance(0.75)
            run.tokens_out = 30
        with pytest.raises(TimeoutError), loop.track("llama3.1:8b", "photo_eval"):
            raise TimeoutError
        (row,) = loop.stats(operation="photo_eval")
        assert (row.n_runs, row.failures) == (2, 1)
        assert row.mean_duration_s == pytest.approx(0.75)


def test_record_from_a_shell_script(url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """S5.7, S5.12: POST /record with quality_score; a quality that comes later is feedback on the run."""
    with FeedbackLoop(url, clock=clock) as loop:
        run_id = loop.record(Run(SMALL, "photo_evaluation", "ok", 1.23456))
    assert main(["--store", url, "feedback", "--run-id", run_id, "--rating", "4.2"], clock=clock) == 0
    capsys.readouterr()
    assert main(["--store", url, "stats", "--json"], clock=clock) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["rating"] == pytest.approx(4.2)


def test_recommend_from_a_shell_script(
    loop: FeedbackLoop, url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """S5.7, S5.12: GET /recommend?priority=balanced&duration_hours=24."""
    loop.close()
    assert (
        main(["--store", url, "recommend", "--priority", "balanced", "--window", "24h", "--id-only"], clock=clock) == 0
    )
    assert capsys.readouterr().out == f"{LARGE}\n"


def test_compare_from_a_shell_script(
    loop: FeedbackLoop, url: str, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """S5.7, S5.12: POST /compare with models and duration_hours."""
    loop.close()
    assert main(["--store", url, "compare", SMALL, LARGE, "--window", "24h", "--json"], clock=clock) == 0
    rankings = json.loads(capsys.readouterr().out)["rankings"]
    assert (rankings["fastest"]["deployment"], rankings["best_overall"]["deployment"]) == (SMALL, LARGE)

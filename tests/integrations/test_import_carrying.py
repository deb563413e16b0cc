"""What was read comes into the store once, however often it is carried over."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from hivefeedback import FeedbackLoop
from hivefeedback.cli.main import main
from hivefeedback_import import carry_over, read_file
from tests.integrations.test_import_files import CONFIG, LLMHIVE, RECORD


def written(folder: Path, content: object, name: str = "file.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def records(n: int, at_s: float) -> list[dict[str, Any]]:
    return [{**RECORD, "success": i % 4 > 0, "timestamp": at_s - n + i} for i in range(n)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hive.db'}"


def test_sums_are_counted_once_and_grow_by_what_is_new(tmp_path: Path, url: str) -> None:
    """S1.6, S1.17: 85 of 100 queries, and 86 of 101 after one more."""
    path = written(tmp_path, {"gpt-4o-mini": {"total_queries": 100, "successful_queries": 85, "avg_latency": 1245.0}})
    with FeedbackLoop(store=url) as loop:
        first, again = carry_over(loop, read_file(path)), carry_over(loop, read_file(path))
        assert (first.n_queries, again.n_queries, again.n_known) == (100, 0, 100)
        assert [(r.total_queries, r.successful_queries) for r in loop.stats()] == [(100, 85)]
        path = written(tmp_path, {"gpt-4o-mini": {"total_queries": 101, "successful_queries": 86}})
        assert carry_over(loop, read_file(path)).n_queries == 1
        (row,) = loop.stats()
        assert (row.total_queries, row.successful_queries) == (101, 86)
        assert row.accuracy == pytest.approx(0.85149, abs=5e-6)
        assert row.mean_duration_s == pytest.approx(1.245)


def test_sums_that_shrank_are_left_as_they_are(tmp_path: Path, url: str) -> None:
    with FeedbackLoop(store=url) as loop:
        carry_over(loop, read_file(written(tmp_path, LLMHIVE)))
        less = {"claude-3-haiku": {"total_queries": 1, "successful_queries": 0}}
        brought = carry_over(loop, read_file(written(tmp_path, less)))
        assert brought.n_queries == 0
        assert any("fewer queries" in sentence for sentence in brought.left)


def test_runs_are_counted_once_also_after_the_file_grew_and_the_log_was_cleared(tmp_path: Path, url: str) -> None:
    """S5.9, C24."""
    old = records(1000, time.time() - 60)
    with FeedbackLoop(store=url) as loop:
        first = carry_over(loop, read_file(written(tmp_path, old)))
        assert (first.n_runs, first.n_ratings) == (1000, 1000)
        loop.store.log.retain(before_s=time.time() + 60)
    with FeedbackLoop(store=url) as loop:
        grown = carry_over(loop, read_file(written(tmp_path, [*old, *records(5, time.time())])))
        assert (grown.n_runs, grown.n_known) == (5, 1000)
        (row,) = loop.stats()
        assert (row.n_runs, row.failures) == (1005, 252)
        assert row.rating == pytest.approx(4.2, abs=0.001)


def test_what_lies_too_far_back_is_told(tmp_path: Path, url: str) -> None:
    with FeedbackLoop(store=url) as loop:
        brought = carry_over(loop, read_file(written(tmp_path, [{**RECORD, "timestamp": "2001-01-01T00:00:00Z"}])))
        assert brought.n_runs == 0
        assert any("400 days" in sentence for sentence in brought.left)


def test_deployments_that_are_declared_already_stay_as_they_are(tmp_path: Path, url: str) -> None:
    path = written(tmp_path, CONFIG, "config.yaml")
    with FeedbackLoop(store=url, deployments=["haiku-eu"]) as loop:
        assert carry_over(loop, read_file(path)).n_deployments == 1
        assert carry_over(loop, read_file(path)).n_deployments == 0
        assert sorted(loop.configuration.deployments) == ["fast#1", "haiku-eu"]
        assert loop.configuration.deployments["haiku-eu"].model == "haiku-eu"


def test_the_command_reads_all_files_before_it_changes_anything(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = written(tmp_path, records(3, time.time())), written(tmp_path, "{", "bad.json")
    assert main(["--store", url, "import", str(good), str(bad)]) == 2
    assert "bad.json" in capsys.readouterr().err
    assert main(["--store", url, "import", "--dry-run", "--json", str(good)]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["n_runs"] == 3
    assert not (tmp_path / "hive.db").exists()
    assert main(["--store", url, "import", str(good)]) == 0
    assert "3 runs, 3 ratings" in capsys.readouterr().out
    assert main(["--store", url, "import", str(good)]) == 0
    assert "3 were there already" in capsys.readouterr().out

"""Commands that ask: compare, rank, recommend, trend, insights, assign, blacklist, prompts diff."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.cli import console
from hivefeedback.cli.bars import bar
from hivefeedback.testing import FakeClock
from tests.cli import Cli

NAME = "anbieter/größe-模型"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture(autouse=True)
def url(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in which one deployment is good, one is dear and fails, and one never ran."""
    made = f"sqlite:///{tmp_path / 'hive.db'}"
    deployments = [
        Deployment("good", capability=85.0),
        Deployment(NAME, capability=88.0),
        Deployment("idle", vram_gb=8),
    ]
    prompts = {"answer": "Answer {question}.\nBe polite."}
    with FeedbackLoop(store=made, deployments=deployments, prompts=prompts, clock=clock) as loop:
        loop.prompts.add("answer", "Answer {question} in {language}.\nBe polite.")
        for i in range(40):
            loop.record(Run("good", "x", "ok", 0.12, cost_usd=0.01, tokens_out=20))
            loop.record(Run(NAME, "x", "ok" if i % 2 else "model_error", 0.45, cost_usd=0.02, tokens_out=20))
            clock.advance(30.0)
    monkeypatch.setenv("HIVEFEEDBACK_STORE", made)
    return made


def test_compare_shows_rows_rankings_and_what_they_rest_on(cli: Cli) -> None:
    """S5.3 on the command line."""
    text = cli.done("compare").out
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["deployment", "runs", "success"]
    assert f"fastest: good before {NAME}, more than chance (p < 0.001)" in lines
    assert f"best overall: good before {NAME}" in lines
    assert "80 runs, 0 of them await a judgement, resolution 60 s" in lines[-1]
    data = cli.json("compare", "good", NAME, "--operation", "x")
    assert data["rankings"]["fastest"]["deployment"] == "good"
    assert [row["deployment"] for row in data["rows"]] == ["good", NAME]
    assert data["coverage"]["n_runs"] == 80
    assert "not known; known: 'good', 'idle'" in cli.refused(2, "compare", "nobody").replace(f"'{NAME}', ", "")


def test_rank_gives_the_reasons(cli: Cli) -> None:
    """S3.13: transparent, auditable reasons."""
    rows = cli.json("rank")["rows"]
    assert [(row["place"], row["deployment"]) for row in rows] == [(1, "good"), (2, "idle"), (3, NAME)]
    assert rows[2]["parts"]["penalties"] == 0.5
    text = cli.done("rank", "--by", "speed", "--candidate", "good", "--candidate", "idle").out
    assert text.splitlines()[2].split()[:2] == ["1", "good"]
    assert "known: 'accuracy', 'adaptive', 'balanced'" in cli.refused(2, "rank", "--by", "nope")


def test_recommend_is_made_for_shells(cli: Cli) -> None:
    """S5.4: GET /recommend?priority=balanced&duration_hours=24, on the command line."""
    text = cli.done("recommend").out
    assert text.startswith("use good\n'good' is first by balanced")
    assert "not ranked: idle, too few runs: 0 of 10" in text
    said = cli.done("recommend", "--id-only", "--priority", "reliable", "--window", "24h")
    assert said.out == "good\n"
    assert "first by reliable" in said.err
    fallback = cli.json("recommend", "--min-runs", "1000")
    assert (fallback["deployment"], fallback["is_fallback"]) == (NAME, True)
    none = cli("recommend", "--candidate", "idle", "--vram-gb", "4", "--id-only")
    assert (none.code, none.out) == (1, "")
    assert "no candidate fits into the memory" in none.err
    assert "use none" in cli("recommend", "--candidate", "idle", "--vram-gb", "4").out
    assert "this is a fallback" in cli.done("recommend", "--min-runs", "1000").out
    for wrong in (("--min-runs", "-1"), ("--min-runs", "x"), ("--vram-gb", "nan"), ("--window", "0s")):
        cli.refused(2, "recommend", *wrong)


def test_trend_is_a_plot_a_document_or_csv(cli: Cli) -> None:
    """S5.6 on the command line; S5.13: charts."""
    lines = cli.done(
        "trend", "success_rate", "--window", "1h", "--bucket", "10m", "--deployment", NAME
    ).out.splitlines()
    assert lines[0] == f"success_rate in % of {NAME}, buckets of 600 s; at the right the number behind each"
    halves = [line for line in lines if " 50.0  █" in line]
    assert len(halves) >= 2
    assert {line.count("█") for line in halves} == {20}
    assert any(line.endswith(" 0") and " - " in line for line in lines[1:-2])
    assert lines[-2] == "a full bar is 100.0 %"
    data = cli.json("trend", "mean_duration_s", "--format", "json", "--bucket", "10m")
    assert {p["value"] for p in data["points"] if p["n"] == 0} == {None}
    said = cli.done("trend", "n_runs", "--format", "csv", "--window", "1h", "--bucket", "30m")
    rows = list(csv.reader(io.StringIO(said.out)))
    assert rows[0] == ["from_s", "to_s", "n_runs", "low", "high", "n"]
    assert sum(float(row[2]) for row in rows[1:] if row[2]) == 80.0
    assert "resolution 60 s" in said.err
    assert "known: success_rate" in cli.refused(2, "trend", "nope")
    cli.refused(2, "trend", "n_runs", "--bucket", "0m")


def test_a_trend_says_where_it_is_coarser_than_asked(cli: Cli, clock: FakeClock, url: str) -> None:
    clock.advance(3 * 3600.0)
    with FeedbackLoop(store=url, clock=clock) as loop:
        loop.store.aggregates.compact(now_s=clock())
    text = cli.done("trend", "n_runs", "--bucket", "5m").out
    assert "buckets of 300 s were asked for; what is stored of this window has 3600 s" in text
    assert "buckets of 300 s were asked for" in cli.done("trend", "n_runs", "--bucket", "5m", "--format", "csv").err


def test_a_plot_fits_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", lambda: 60)
    narrow = cli.done("trend", "success_rate", "--deployment", "good").out.splitlines()
    assert max(len(line) for line in narrow if line[:3] == "202" and "UTC" not in line) <= 60
    assert bar(5.0, 1.0, 10) == "█" * 10


def test_insights_can_fail_a_script(cli: Cli) -> None:
    """S5.8, S5.13."""
    text = cli.done("insights").out
    assert text.startswith(f"critical: '{NAME}' succeeds in 50.0% of 40 runs")
    assert "'idle' is in service and had no run in this window" in text
    assert "what money buys, the cheapest success first:\n  'good' costs 0.01 USD per run" in text
    assert cli("insights", "--fail-on", "critical").code == 1
    assert cli.done("insights", "--operation", "other", "--fail-on", "warning").out.startswith("no warnings")
    data = cli.json("insights")
    assert [w["kind"] for w in data["warnings"]] == ["errors"]


def test_evaluations_show_what_was_judged_and_what_could_be_done(cli: Cli, url: str, clock: FakeClock) -> None:
    """S2.3 S2.4."""
    assert cli.done("evaluations", "--operation", "nowhere").out.startswith("nobody judged a run")
    with FeedbackLoop(store=url, clock=clock) as loop:
        for name, value in (("good", 0.9), (NAME, 0.2)):
            for i in range(30):
                run_id = loop.record(Run(name, "judged/task"))
                loop.feedback(Feedback("relevance", value=value + 0.01 * (i % 5), run_id=run_id))
    text = cli.done("evaluations", "--operation", "judged").out
    assert "weakness" in text
    assert f"relevance of '{NAME}' on 'judged/task' is 0.22 (n 30), 0.70" in text
    assert "route 'judged/task' to 'good' (0.92), or say in its prompt" in text
    data = cli.json("evaluations", "good", "--operation", "judged")
    assert [(row["deployment"], len(row["strengths"])) for row in data["rows"]] == [("good", 1)]
    assert "is not known" in cli.refused(2, "evaluations", "nobody")


def test_assign_gives_one_record_per_agent(cli: Cli) -> None:
    """S3.8, S3.9 on the command line."""
    data = cli.json("assign", "a1", "a2=x", "--candidate", "good", "--candidate", NAME)
    assert [(a["agent_id"], a["model_id"], a["operation"]) for a in data["assignments"]] == [
        ("a1", "good", ""), ("a2", "good", "x"),
    ]  # fmt: skip
    assert data["assignments"][0]["has_performance_data"] is True
    spread = cli.done("assign", "a1", "a2", "--spread").out
    assert {line.split()[1] for line in spread.splitlines()[2:4]} == {"good", "idle"}
    assert "named twice" in cli.refused(2, "assign", "a1", "a1")
    cli.refused(2, "assign")


def test_a_blacklisted_deployment_is_listed_and_cleared(cli: Cli, clock: FakeClock, url: str) -> None:
    """S2.4, S2.9: who is blacklisted, until when; a person may clear it, and says why."""
    assert cli.done("blacklist", "list").out == "nobody is blacklisted\n"
    with FeedbackLoop(store=url, clock=clock) as loop:
        for _ in range(3):
            loop.record(Run("idle", "x", "timeout"))
    (shut,) = cli.json("blacklist", "list")["blacklist"]
    assert (shut["deployment"], shut["failures"], shut["left_s"], shut["state"]) == ("idle", 3, 3600.0, "open")
    assert cli.done("blacklist", "list").out.splitlines()[2].split()[:2] == ["idle", "open"]
    shown = cli.done("stats").out.splitlines()
    assert shown[0].split()[-1] == "blacklisted"
    assert [line.endswith("2023-11-14 23:33:20") for line in shown[2:-1] if line.startswith("idle")] == [True]
    said = cli.done("stats", "--format", "csv").out.splitlines()
    assert said[0].endswith("rating,total_queries,successful_queries,accuracy,blacklisted_until_s")
    cli.refused(2, "blacklist", "clear", "idle")
    assert "known: 'idle'" in cli.refused(2, "blacklist", "clear", "good", "--why", "?")
    assert (
        cli.done("blacklist", "clear", "idle", "--why", "it is back", "--by", "anna").out == "'idle' is served again\n"
    )
    data = cli.json("blacklist", "list")
    assert (data["blacklist"], [(c["deployment"], c["by"], c["why"]) for c in data["cleared"]]) == (
        [], [("idle", "anna", "it is back")],
    )  # fmt: skip
    assert "cleared: idle at 2023-11-14" in cli.done("blacklist", "list").out


def test_two_versions_of_a_prompt_are_compared(cli: Cli) -> None:
    """S4.7: prompt versions, what changed between two."""
    text = cli.done("prompts", "diff", "answer", "1", "2").out
    assert "-Answer {question}.\n+Answer {question} in {language}.\n Be polite.\nfields added: language" in text
    assert cli.done("prompts", "diff", "answer", "2", "2").out == "the same text\n"
    back = cli.json("prompts", "diff", "answer", "2", "1")
    assert (back["from"], back["to"], back["fields_gone"], back["fields_added"]) == (2, 1, ["language"], [])
    assert "has no version 3; known: 1, 2" in cli.refused(2, "prompts", "diff", "answer", "1", "3")
    assert "prompt 'nope' is not known" in cli.refused(2, "prompts", "diff", "nope", "1", "2")
    cli.refused(2, "prompts", "diff", "answer", "1", "x")


def test_asking_leaves_no_trace_in_the_store(cli: Cli, url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    before = path.read_bytes()
    for words in ("compare", "rank", "recommend", "trend n_runs", "insights", "evaluations", "assign a1",
                  "blacklist list", "prompts diff answer 1 2"):  # fmt: skip
        cli.done(*words.split())
        assert path.read_bytes() == before, words


def test_an_empty_store_is_told(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    monkeypatch.setenv("HIVEFEEDBACK_STORE", empty)
    assert "nothing was recorded" in cli.refused(3, "compare")
    with FeedbackLoop(store=empty):
        pass
    assert cli.done("compare").out.startswith("no deployments; add one")
    assert cli.done("rank").out.startswith("no deployments; add one")
    assert cli("recommend").code == 1
    assert cli.done("insights").out.splitlines()[-1] == "no finished run in this window"
    assert "there is no deployment to assign" in cli.refused(2, "assign", "a1")

"""What LLMHive's users do, as they would write it now: its six test cases, its data flow of nine steps, its
log lines and its worked numbers, through the public loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hivefeedback import Deployment, Feedback, FeedbackLoop, Run
from hivefeedback.queries import StatRow
from hivefeedback.testing import FakeClock

MINI, HAIKU = "gpt-4o-mini", "claude-3-haiku"
MEDICAL, FINANCIAL = "text-to-text/medical", "text-to-text/financial"
Opened = Callable[[], FeedbackLoop]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Starts the application (again) on its JSON file."""
    clock = FakeClock(1_700_000_000.0)
    url = f"json:///{tmp_path}/.llmhive/performance_metrics.json"
    return lambda: FeedbackLoop(url, [MINI, HAIKU], clock=clock, policy="llmhive", seed=7)


def profile(loop: FeedbackLoop, model: str, operation: str | None = None) -> StatRow:
    return next(row for row in loop.stats(operation=operation) if row.deployment == model)


def log_runs(loop: FeedbackLoop, model: str, n_right: int, n: int, domain: str = "medical") -> None:
    for i in range(n):
        loop.log_run(models_used=[model], success_flag=i < n_right, latency_ms=1250.0, domain=domain)


def test_persistent_storage(opened: Opened) -> None:
    """S1.15 (1), S1.1, S1.2: saved after a query, there after a restart."""
    with opened() as loop:
        loop.log_run(models_used=[MINI, HAIKU], success_flag=True, latency_ms=1250.0, domain="medical")
        before = {row.deployment: (row.total_queries, row.successful_queries, row.accuracy) for row in loop.stats()}
    with opened() as loop:
        after = {row.deployment: (row.total_queries, row.successful_queries, row.accuracy) for row in loop.stats()}
    assert before == after == {MINI: (1, 1, 1.0), HAIKU: (1, 1, 1.0)}


def test_model_profile_updates(opened: Opened) -> None:
    """S1.15 (2), S1.6, S1.17: 100 -> 101 queries, 85 -> 86 right, 86/101 = 0.851."""
    with opened() as loop:
        log_runs(loop, MINI, 85, 100)
        row = profile(loop, MINI)
        assert (row.total_queries, row.successful_queries, row.accuracy) == (100, 85, 0.85)
        loop.log_run(models_used=[MINI, HAIKU], success_flag=True, latency_ms=1250.0, domain="medical")
        row = profile(loop, MINI)
        assert (row.total_queries, row.successful_queries) == (101, 86)
        assert row.accuracy == pytest.approx(0.85149, abs=5e-6)
        assert row.success_rate == 1.0  # no call failed


def test_the_average_latency_is_of_the_last_hundred(opened: Opened) -> None:
    """S1.7, S1.17: 99 of 1244.95 ms and one of 1250 average to 1245 ms; older ones no longer count."""
    with opened() as loop:
        for ms in (*[9000.0] * 50, *[1244.949495] * 99, 1250.0):
            loop.record(Run(MINI, MEDICAL, "ok", ms / 1000))
        mean_s = profile(loop, MINI).mean_last_100_s
        assert mean_s is not None
        assert round(mean_s * 1000, 1) == 1245.0


def test_adaptive_selection(opened: Opened) -> None:
    """S1.15 (3), S1.11: accuracy 0.25 in a domain is below 0.30, so the model is out there, and only there."""
    with opened() as loop:
        log_runs(loop, MINI, 25, 100)
        log_runs(loop, HAIKU, 60, 100)
        ranking = loop.rank(by="thresholds", operation=MEDICAL)
        assert [row.deployment for row in ranking] == [HAIKU, MINI]
        assert ranking[1].reason.startswith("Deprioritizing gpt-4o-mini (domain accuracy: 0.25 < 0.30)")
        loop.refresh()
        assert [loop.decide(MEDICAL).deployment for _ in range(20)].count(HAIKU) >= 18  # the others are explored
        assert not any("Deprioritizing" in row.reason for row in loop.rank(by="thresholds", operation=FINANCIAL))


def test_high_accuracy_boost(opened: Opened) -> None:
    """S1.15 (4), S1.11: accuracy 0.85 is above 0.7, so the score grows by 0.2 of the scale."""
    with opened() as loop:
        log_runs(loop, MINI, 85, 100)
        log_runs(loop, HAIKU, 60, 100)
        best, other = loop.rank(by="thresholds", operation=MEDICAL)
        assert (best.deployment, other.deployment) == (MINI, HAIKU)
        assert best.reason.startswith("Boosting gpt-4o-mini (domain accuracy: 0.85)")
        assert best.score - other.score == pytest.approx(20.0)


def test_auto_tuning(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """S1.15 (5), S1.12: a loop-back is counted for its domain and logged; often enough, more models are planned."""
    with opened() as loop, caplog.at_level(logging.INFO, "hivefeedback"):
        loop.set_route(FINANCIAL, [MINI])
        for i in range(200):
            run_id = loop.log_run([MINI], success_flag=True, latency_ms=900.0, domain="financial")
            loop.feedback(Feedback("loop_back", i % 2 == 0, run_id=run_id))
            loop.feedback(Feedback("fact_check", i % 4 != 0, run_id=run_id))
        told = [record for record in caplog.records if "Loop-back occurred for domain 'financial'" in record.message]
        assert [record.levelname for record in told] == ["INFO"] * 100
        assert told[0].message.endswith("this domain may benefit from more models or stricter verification")
        assert sum("Fact check failed for domain 'financial'" in record.message for record in caplog.records) == 50
        plan = loop.turn().plan
        assert plan is not None
        (mutation,) = (m for m in plan.mutations if m.planner == "wider_route_planner")
        assert (mutation.target, set(mutation.to)) == (FINANCIAL, {MINI, HAIKU})  # type: ignore[arg-type]  # a route's list
        assert "50.0% of the runs on 'text-to-text/financial' loop back" in mutation.reason
        assert profile(loop, MINI).accuracy == 0.75  # the checks say it, whatever the flags said


def test_thread_safety(tmp_path: Path) -> None:
    """S1.15 (6), S1.3: queries at the same time, none lost, none counted twice."""
    with FeedbackLoop(f"json:///{tmp_path}/metrics.json", [MINI, HAIKU]) as loop:

        def work() -> None:
            for i in range(100):
                loop.log_run([MINI, HAIKU], i % 4 != 0, 800.0, "medical")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loop.flush(60.0)
        found = {row.deployment: (row.total_queries, row.successful_queries) for row in loop.stats()}
        assert found == {MINI: (400, 300), HAIKU: (400, 300)}


def test_the_data_flow_of_nine_steps(opened: Opened) -> None:
    """S1.16, S1.13: from a query to the next one, which uses what was learnt."""
    with opened() as loop:
        for is_right in [False] * 12:
            decision = loop.decide(MEDICAL, candidates=[MINI])  # 1 a query comes in, 2 models are selected
            with loop.track("orchestrator", operation=MEDICAL, kind="agent", trace_id=decision.decision_id):
                loop.record(  # 3 the query is executed
                    Run(MINI, MEDICAL, "ok", 0.8, decision_id=decision.decision_id, trace_id=decision.decision_id)
                )
            loop.feedback(Feedback("fact_check", is_right, trace_id=decision.decision_id))  # 4 verified, 5 logged
        log_runs(loop, HAIKU, 12, 12)
        row = profile(loop, MINI)
        assert (row.total_queries, row.successful_queries, row.accuracy) == (12, 0, 0.0)  # 6 profiles are updated
        assert row.success_rate == 1.0
    with opened() as loop:  # 7 saved
        assert profile(loop, MINI).accuracy == 0.0
        loop.turn()  # 8 tuned
        served = [loop.decide(MEDICAL).deployment for _ in range(20)]
        assert served.count(HAIKU) >= 18  # 9 the next queries, but for what is explored


def test_the_six_log_lines(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """S1.14: each with its level and the words that people search for."""
    with caplog.at_level(logging.DEBUG, "hivefeedback"):
        with opened() as loop:
            log_runs(loop, MINI, 25, 100)
            log_runs(loop, HAIKU, 85, 100)
            loop.rank(by="thresholds", operation=MEDICAL)
            loop.feedback(Feedback("loop_back", run_id=loop.log_run([HAIKU], True, 1.0, "financial")))
        opened().close()
    told = {(record.levelname, record.message.partition(" at ")[0].partition(" from ")[0]) for record in caplog.records}
    lines = {
        ("DEBUG", "Performance feedback: No existing metrics file found"),
        ("INFO", "Performance feedback: Loaded metrics for 2 models"),
        ("DEBUG", "Performance feedback: Deprioritizing gpt-4o-mini (domain accuracy: 0.25 < 0.30)"),
        ("DEBUG", "Performance feedback: Boosting claude-3-haiku (domain accuracy: 0.85)"),
    }
    assert lines <= told
    words = [(record.levelname, record.message) for record in caplog.records]
    assert any(level == "INFO" and "Loop-back occurred for domain 'financial'" in text for level, text in words)
    saved = [text for level, text in words if level == "DEBUG" and "Saved metrics for" in text]
    assert saved[0].startswith("Performance feedback: Saved metrics for 1 models to json:///")
    assert saved[0].endswith("performance_metrics.json")


def test_nothing_is_said_unless_it_is_asked_for(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """S1.14: at the level of warnings there is silence."""
    with caplog.at_level(logging.WARNING, "hivefeedback"), opened() as loop:
        loop.feedback(Feedback("loop_back", run_id=loop.log_run([MINI], True, 1.0, "financial")))
    assert not [record for record in caplog.records if record.name.startswith("hivefeedback")]


def test_the_password_of_a_store_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    from hivefeedback.recording.telling import tell_loaded
    from hivefeedback_stores.memory import MemoryStore

    with FeedbackLoop("memory://", [Deployment("a")]) as loop, caplog.at_level(logging.DEBUG, "hivefeedback"):
        store = MemoryStore("memory://")
        store.url = "redis://hive:secret@host:6379/0"
        tell_loaded(store, loop.configuration)
    assert "redis://***@host:6379/0" in caplog.text
    assert "secret" not in caplog.text

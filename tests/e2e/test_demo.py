"""The demo closes the loop: real HTTP, real LiteLLM, real LangChain, in processes of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hivefeedback_demo.table import as_text

for vendor in ("litellm", "langchain_openai"):
    if subprocess.run(
        [sys.executable, "-c", f"import importlib.util as u; exit(u.find_spec('{vendor}') is None)"]
    ).returncode:
        pytest.skip(f"{vendor} is missing; install it with: pip install 'hivefeedback[demo]'", allow_module_level=True)

COMMAND = [sys.executable, "-m", "hivefeedback_demo", "--fast", "--json"]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    done = subprocess.run([*COMMAND, "--seed", "1"], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def states(result: dict[str, Any], mutation: str) -> list[str]:
    return [step["state"] for step in result["timeline"] if step["mutation"] == mutation]


def test_the_loop_closes(result: dict[str, Any]) -> None:
    assert result["is_closed"]
    assert not result["was_interrupted"]
    assert result["failed_calls"] == 0


def test_a_good_part_of_the_traffic_goes_through_each_library(result: dict[str, Any]) -> None:
    ways = result["calls_by_way"]
    assert ways["litellm"] + ways["langchain"] == result["calls"]
    assert min(ways.values()) > 0.4 * result["calls"]


def test_the_policy_left_the_degraded_model_where_it_was_free_to(result: dict[str, Any]) -> None:
    assert 0 < result["degraded"]["left_after_own_calls"] <= result["degraded"]["left_after_calls"]


def test_the_pinned_operation_was_mended_by_canary_and_promotion(result: dict[str, Any]) -> None:
    passed = states(result, result["degraded"]["promoted"])
    assert passed[:3] == ["proposed", "validated", "canary"]
    assert passed[-1] == "promoted"


def test_the_harmful_prompt_was_canaried_and_taken_back(result: dict[str, Any]) -> None:
    passed = states(result, result["harmful_patch"]["mutation"])
    assert passed[:3] == ["proposed", "validated", "canary"]
    assert passed[-1] == "rolled_back"


def test_learning_beats_uniform_choice_and_the_table_is_computed(result: dict[str, Any]) -> None:
    ours, uniform, best = result["table"]
    assert ours["success"] > uniform["success"] + 0.02
    assert best["success"] > uniform["success"]
    learnt = result["phases"][0]
    assert learnt["success_last"] > learnt["uniform"] + 0.05
    assert all(0 < row["cost_usd"] < 0.01 and row["p95_s"] > 0.5 for row in result["table"])


def test_one_story_is_told_with_its_finding_and_gates(result: dict[str, Any]) -> None:
    assert "finding: " in result["why"]
    assert "gate limits: yes" in result["why"]
    assert "promoted by turn" in result["why"]


def test_what_is_compressed_is_said_and_alpha_is_not(result: dict[str, Any]) -> None:
    assert result["compressed_settings"]
    assert "canary_alpha" not in result["compressed_settings"]
    assert result["latency_scale"] == 100


def test_switched_off_it_says_so_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVEFEEDBACK_MODE", "off")
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "unset HIVEFEEDBACK_MODE" in done.stderr


def test_a_store_that_cannot_be_kept_is_refused_before_the_first_call(tmp_path: Path) -> None:
    (tmp_path / "no_folder").write_text("a file", encoding="utf-8")
    url = f"sqlite:///{tmp_path / 'no_folder' / 'demo.db'}"
    done = subprocess.run([*COMMAND, "--store", url], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no_folder" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_interrupted_demo_is_not_called_a_failed_one(result: dict[str, Any]) -> None:
    cut = {**result, "is_closed": False, "was_interrupted": True}
    assert "Interrupted before the loop closed: " in as_text(cut)
    assert "The loop did NOT close: " in as_text({**cut, "was_interrupted": False})


def test_it_is_said_why_leaving_took_its_time_and_what_is_optimised(result: dict[str, Any]) -> None:
    shown = as_text(result)
    assert "12 calls were in the air at once and 15% of the feedback came up to 1.5 s late" in shown
    assert "optimises what feedback tells it, here success alone" in shown


def test_no_day_is_made_of_half_a_minute(result: dict[str, Any]) -> None:
    assert "_per_day" not in result["why"]


def test_what_the_loop_counted_as_wrong_is_printed(result: dict[str, Any]) -> None:
    assert "loop.counters" not in as_text({**result, "counters": {}})
    wrong = {**result, "counters": {"recorder_errors": 2, "bad_item": 1}}
    assert "(loop.counters): 1 bad_item, 2 recorder_errors." in as_text(wrong)


def test_a_good_run_counts_nothing_as_wrong(result: dict[str, Any]) -> None:
    assert result["counters"] == {}


def test_ctrl_c_ends_it_cleanly_with_what_was_reached() -> None:
    with subprocess.Popen(
        [*COMMAND, "--seed", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if " calls (" in line:
                break
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    result = json.loads(out)
    assert process.returncode == 130
    assert result["was_interrupted"]
    assert result["calls"] > 0
    assert "Traceback" not in told
    assert "Warning" not in told

"""What other systems wrote down is read: the kind by the content, and nothing that is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Price
from hivefeedback_import import Carried, read_file

LLMHIVE = {
    "gpt-4o-mini": {
        "total_queries": 100,
        "successful_queries": 85,
        "avg_latency": 1245.0,
        "latency_history": [1240.0, 1250.0],
        "domain_performance": {"medical": {"total_queries": 40, "successful_queries": 36}},
    },
    "claude-3-haiku": {"total_queries": 2, "successful_queries": 0, "avg_latency": 800.0, "secret_note": "x"},
}
RECORD = {
    "model_name": "llama3.1:8b-instruct",
    "operation": "photo_evaluation",
    "processing_time_ms": 1234.56,
    "quality_score": 4.2,
    "success": True,
    "memory_usage_mb": 5120.0,
    "tokens_generated": 240,
    "timestamp": "2025-11-09T12:00:00",
}
CONFIG = """
model_list:
  - model_name: fast
    litellm_params:
      model: openai/gpt-4o-mini
      api_key: sk-very-secret
      temperature: 0.2
      max_tokens: 512
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
      rpm: 100
  - model_name: fast
    litellm_params: {model: "anthropic/claude-3/haiku", api_base: "os.environ/BASE"}
    model_info: {id: haiku-eu}
router_settings: {routing_strategy: simple-shuffle}
"""


def read(folder: Path, content: object, name: str = "file.json") -> Carried:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_file(path)


def test_llmhives_sums_come_over_by_domain_with_their_latencies(tmp_path: Path) -> None:
    """S1.1, S1.6, S1.9."""
    carried = read(tmp_path, LLMHIVE)
    sums = {(t.deployment, t.operation): (t.n_queries, t.n_successful, t.latencies_s) for t in carried.totals}
    assert carried.kind == "llmhive"
    assert sums == {
        ("gpt-4o-mini", "text-to-text/medical"): (40, 36, ()),
        ("gpt-4o-mini", "text-to-text"): (60, 49, (1.24, 1.25)),
        ("claude-3-haiku", "text-to-text"): (2, 0, (0.8,)),
    }


def test_what_has_no_place_is_named_without_its_value(tmp_path: Path) -> None:
    left = " ".join(read(tmp_path, LLMHIVE).left)
    assert "secret_note" in left
    assert "claude-3-haiku" in left
    config = " ".join(read(tmp_path, CONFIG, "config.yaml").left)
    assert "api_key" in config
    assert "rpm" in config
    assert "router_settings" in config
    assert "sk-very-secret" not in config


def test_task_44s_records_are_runs_with_ratings(tmp_path: Path) -> None:
    """S5.1, S5.9."""
    later = {**RECORD, "success": False, "quality_score": None, "timestamp": 1762689700}
    for shape in ([later, RECORD], {RECORD["model_name"]: [later, RECORD]}, {"records": [later, RECORD]}):
        carried = read(tmp_path, shape)
        (first, rating), (second, unrated) = carried.runs
        assert carried.kind == "task44"
        assert (first.deployment, first.operation) == ("llama3.1:8b-instruct", "photo_evaluation")
        assert (first.outcome, rating) == ("ok", 4.2)
        assert first.duration_s == pytest.approx(1.23456)
        assert (first.memory_mb, first.tokens_out, first.started_at_s) == (5120.0, 240, 1762689600.0)
        assert (second.outcome, unrated) == ("model_error", None)
        assert first.run_id.startswith("import-")
        assert first.run_id != second.run_id


def test_the_same_record_has_the_same_id_and_equal_ones_are_told_apart(tmp_path: Path) -> None:
    once, twice = read(tmp_path, [RECORD]), read(tmp_path, [RECORD, RECORD])
    assert once.runs[0].run.run_id == twice.runs[0].run.run_id
    assert len({q.run.run_id for q in twice.runs}) == 2


def test_a_model_list_becomes_deployments_without_keys(tmp_path: Path) -> None:
    fast, haiku = read(tmp_path, CONFIG, "config.yaml").deployments
    assert (fast.id, fast.model, fast.params) == (
        "fast#1",
        "openai/gpt-4o-mini",
        {"temperature": 0.2, "max_tokens": 512},
    )
    assert fast.price == Price(input_usd_per_mtok=0.15, output_usd_per_mtok=0.6)
    assert (haiku.id, haiku.model, haiku.params, haiku.price) == ("haiku-eu", "anthropic/claude-3/haiku", {}, None)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (json.dumps(LLMHIVE)[:-20], "file.json", "cut off"),
        ('{"a": 1}', "file.json", "no known kind"),
        ("[]", "file.json", "no known kind"),
        ("", "file.json", "no whole JSON"),
        ("[" * 100_000, "file.json", "no whole JSON"),
        ("model_list: [", "config.yaml", "no YAML"),
        ("model_list: [{litellm_params: {}}]", "config.yaml", "entry 1 of model_list has no model_name"),
        ({"m": {"total_queries": 2, "successful_queries": 3}}, "file.json", "model 'm': 3 of 2 queries"),
        ({"m": {"total_queries": -1}}, "file.json", "total_queries"),
        ({"m": {"total_queries": 1.5}}, "file.json", "whole number"),
        ([{**RECORD, "quality_score": 6}], "file.json", "quality_score"),
        ([{**RECORD, "processing_time_ms": "fast"}], "file.json", "record 1 ('llama3.1:8b-instruct')"),
        ([{**RECORD, "processing_time_ms": float("nan")}], "file.json", "processing_time_ms"),
        ([{**RECORD, "timestamp": "yesterday"}], "file.json", "is no time"),
        ([{**RECORD, "success": "maybe"}], "file.json", "true or false"),
        ([{**RECORD, "model_name": ""}], "file.json", "model_name"),
    ],
)  # fmt: skip
def test_a_broken_or_foreign_file_is_refused_with_its_name(
    tmp_path: Path, content: object, name: str, expected: str
) -> None:
    with pytest.raises(InvalidInputError, match=r"file\.json|config\.yaml") as refused:
        read(tmp_path, content, name)
    assert expected in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_file(tmp_path / "none.json")


def test_a_store_is_no_file_to_import(tmp_path: Path) -> None:
    (tmp_path / "hive.db").write_bytes(b"SQLite format 3\x00\xff\xbe")
    with pytest.raises(InvalidInputError, match="a store is named by --store"):
        read_file(tmp_path / "hive.db")

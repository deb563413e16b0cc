"""What applications and plugins may rely on is frozen: names may only grow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import get_args, get_type_hints

import pytest

import hivefeedback
from hivefeedback import queries
from hivefeedback.hooks import specs
from tests.signatures import methods_of, schema_of, signature_of

Frozen = Callable[[str, list[str]], None]

ANSWERS = (
    queries.Comparison, queries.ComparisonRow, queries.Ranking, queries.Ranks, queries.RankRow, queries.Recommendation,
    queries.LeftOut, queries.Trend, queries.TrendPoint, queries.Insights, queries.Insight, queries.InsightLimits,
    queries.CostBenefit, queries.Assignments, queries.AgentAssignment, queries.Blacklisted,
)  # fmt: skip
"""What the questions answer."""
PUBLIC = ("hivefeedback", *(f"hivefeedback.{n}" for n in ("errors", "hooks", "model", "stats", "telemetry", "testing")))


def test_the_public_face_only_grows(frozen: Frozen) -> None:
    lines = [f"{name}: {public}" for name in PUBLIC for public in sorted(import_module(name).__all__)]
    for cls in (hivefeedback.FeedbackLoop, hivefeedback.TrackedRun, hivefeedback.Decision):
        lines += methods_of(cls)
    lines += [f"TrackedRun.{name} = {value!r}" for name, value in vars(hivefeedback.TrackedRun("r")).items()]
    row = get_args(get_type_hints(hivefeedback.Stats)["rows"])[0]
    structs = (hivefeedback.Turn, hivefeedback.Stats, row, *ANSWERS)
    lines += [line for struct in structs for line in schema_of(struct)]
    frozen("public_face", lines)


def test_the_hooks_only_grow(frozen: Frozen) -> None:
    hooks = {n: f for n, f in vars(specs).items() if n.startswith("hive_") and inspect.isfunction(f)}
    frozen("hooks", [signature_of(name, hook) for name, hook in hooks.items()])


def test_the_calls_of_the_readme_are_possible() -> None:
    """The face that applications were promised, argument by argument."""
    loop = hivefeedback.FeedbackLoop
    asked = {
        "__init__": ["store", "deployments", "prompts", "policy", "plugins", "mode", "seed", "clock"],
        "decide": ["operation", "candidates", "session_id"],
        "record": ["run", "durable"],
        "feedback": ["feedback"],
        "flush": ["timeout_s"],
        "track": ["deployment", "operation"],
        "call": ["fn", "operation", "max_attempts"],
        "acall": ["fn", "operation", "max_attempts"],
        "add_deployment": ["deployment"],
        "remove_deployment": [],
        "propose": ["mutation"],
        "approve": ["by", "why"],
        "reject": ["by", "why"],
        "rollback": ["why"],
        "turn": [],
        "start": ["every_s"],
        "close": [],
        "aflush": [],
        "aturn": [],
        "aclose": [],
        "stats": ["window_s", "operation", "by"],
        "erase": [],
    }
    missing = {
        name: [a for a in arguments if a not in inspect.signature(getattr(loop, name)).parameters]
        for name, arguments in asked.items()
    }
    assert {name: gone for name, gone in missing.items() if gone} == {}


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Snapshot'"):
        getattr(hivefeedback, "Snap" + "shot")


def test_the_lazy_names_are_those_of_all() -> None:
    assert dir(hivefeedback) == sorted(hivefeedback.__all__)
    for name in hivefeedback.__all__:
        thing = getattr(hivefeedback, name)
        assert getattr(thing, "__name__", name) == name

"""What analyze, plan, validate, execute and monitor hand on: finding → mutation → plan → verdict → rollout."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from hivefeedback.model.adapter import Adapter
from hivefeedback.model.deployment import Deployment, JsonValue

__all__ = [
    "Answer",
    "Decided",
    "DropAdapter",
    "DropDeployment",
    "DropRoute",
    "Effect",
    "Finding",
    "Interval",
    "Mutation",
    "MutationKind",
    "Patch",
    "PatchOp",
    "Plan",
    "PutAdapter",
    "PutDeployment",
    "PutPrompt",
    "PutRoute",
    "Receipt",
    "Risk",
    "Route",
    "UsePrompt",
    "Verdict",
]

Risk = Literal["low", "medium", "high"]
Answer = Literal["yes", "no", "ask"]
"""A gate's answer: ``yes`` lets pass, ``no`` stops, ``ask`` sends the mutation to a person."""
Decided = Literal["continue", "widen", "promote", "roll_back", "pause", "inconclusive"]
"""A monitor's answer for an open rollout."""


class MutationKind(StrEnum):
    """What a mutation changes."""

    MODEL_SWAP = "MODEL_SWAP"
    ROUTE_CHANGE = "ROUTE_CHANGE"
    PARAM_SET = "PARAM_SET"
    PROMPT_PATCH = "PROMPT_PATCH"
    LORA_APPLY = "LORA_APPLY"
    MEMORY_UPDATE = "MEMORY_UPDATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with the bounds that it has at the stated confidence."""

    estimate: float
    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that got worse, or could be better.

    Args:
        finding_id: Stable within a turn; ``analyzer:kind:target:operation``.
        analyzer: The plugin that says it.
        kind: What was found: ``degradation``, ``dissatisfaction``, ``imbalance`` …
        deployment, operation: What it concerns; either may be empty.
        severity: 0 (a remark) … 1 (act now).
        message: One sentence with the numbers, without content of prompts or answers.
        before, after: The measure then and now.
        p_value: Chance of seeing this if nothing had changed, adjusted for multiple looks.
        n_runs: Runs behind ``after``.
        evidence: Trace or run ids that show it, at most 16.
    """

    finding_id: str
    analyzer: str
    kind: str
    message: str
    deployment: str = ""
    operation: str = ""
    severity: float = 0.5
    before: Interval | None = None
    after: Interval | None = None
    p_value: float | None = None
    n_runs: int = 0
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a mutation is expected to bring: the change of a named metric."""

    metric: str = "success_rate"
    change: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A proposed change of the configuration.

    Args:
        kind: What it changes.
        target: Deployment id, operation prefix, prompt name or agent id, as the kind asks.
        to: The new value. MODEL_SWAP: a model name. ROUTE_CHANGE: a list of candidates, or
            ``{"candidates": [...], "weights": {...}}``, or None for "the policy decides".
            PARAM_SET: parameters to set. PROMPT_PATCH: a version number, or a new text.
            LORA_APPLY: an adapter or None.
        from_: The value that it replaces; filled from the live configuration where not given.
        expected_effect: What it should bring.
        confidence: How sure the planner is, 0–1; a person's own proposal has 1.
        risk: ``high`` asks for a person's approval.
        reason: One sentence that says why.
        finding_id: The finding behind it.
        evidence: Trace or run ids behind it.
        undo: How to take it back, in words.
        priority: Impact × urgency, 0–1.
        planner: Who planned it.
        mutation_id: Empty until it is stored.
        resources: What it is expected to need beyond today by name with unit, such as
            ``tokens_out_per_day`` or ``cost_usd_per_run``; savings are negative. Empty: unknown.
    """

    kind: MutationKind
    target: str
    to: JsonValue
    from_: JsonValue = None
    expected_effect: Effect = field(default_factory=Effect)
    confidence: float = 1.0
    risk: Risk = "low"
    reason: str = ""
    finding_id: str = ""
    evidence: tuple[str, ...] = ()
    undo: str = ""
    priority: float = 0.5
    planner: str = ""
    mutation_id: str = ""
    resources: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", MutationKind(self.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The mutations of one turn, the most urgent first, under a content hash."""

    plan_id: str
    mutations: tuple[Mutation, ...] = ()
    content_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A gate's answer to one mutation, with the numbers it rests on."""

    gate: str
    mutation_id: str
    answer: Answer
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


class Route(Struct, frozen=True, omit_defaults=True):
    """Candidates of an operation prefix.

    Args:
        candidates: Deployment ids that may serve it; empty: all.
        weights: Fixed weight of each candidate, ≥ 0; None: the policy decides.
    """

    candidates: tuple[str, ...] = ()
    weights: dict[str, float] | None = None


class PutDeployment(Struct, frozen=True, tag_field="op", tag="put_deployment"):
    """Add a deployment, or replace what its id stands for."""

    deployment: Deployment


class DropDeployment(Struct, frozen=True, tag_field="op", tag="drop_deployment"):
    """Take a deployment out of service."""

    deployment_id: str


class PutRoute(Struct, frozen=True, tag_field="op", tag="put_route"):
    """Route an operation prefix."""

    prefix: str
    route: Route


class DropRoute(Struct, frozen=True, tag_field="op", tag="drop_route"):
    """Give an operation prefix back to what its parent prefix says."""

    prefix: str


class PutPrompt(Struct, frozen=True, tag_field="op", tag="put_prompt"):
    """Add a version of a named prompt; its text lies beside the journal under ``body``."""

    name: str
    version: int
    body: str


class UsePrompt(Struct, frozen=True, tag_field="op", tag="use_prompt"):
    """Serve a version of a named prompt; 0: none."""

    name: str
    version: int


class PutAdapter(Struct, frozen=True, tag_field="op", tag="put_adapter"):
    """Register an adapter, or replace what its name stands for; nobody is served it by that."""

    adapter: Adapter


class DropAdapter(Struct, frozen=True, tag_field="op", tag="drop_adapter"):
    """Forget an adapter; a deployment that has it keeps it until it is changed."""

    name: str


PatchOp = PutDeployment | DropDeployment | PutRoute | DropRoute | PutPrompt | UsePrompt | PutAdapter | DropAdapter
Patch = tuple[PatchOp, ...]
"""A change of the configuration; the operations hold in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an executor answers: the configuration patch, or what it did outside.

    Args:
        mutation_id: The mutation that was applied.
        patch: For what the snapshot serves: the change, which the turn appends.
        external: True where the executor acted on something outside; then ``patch`` is empty.
        message: One sentence for people.
    """

    mutation_id: str
    patch: Patch = ()
    external: bool = False
    message: str = ""

"""Answers why a mutation happened, from the journal alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hivefeedback.control.approval import known_life
from hivefeedback.control.context import Context
from hivefeedback.control.counts import read_counts
from hivefeedback.control.moves import WAITING
from hivefeedback.control.targets import as_json
from hivefeedback.model import ArmCounts, EntryState, JournalEntry, JsonValue, Mutation, StepCounts, Verdict

__all__ = ["Why", "WhyStep", "why"]

_WIDTH = 110
_TIED = "\u00a0"
"""Stands between name and number, where textwrap breaks no line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyStep:
    """One entry of the journal, with its reason as text (empty where it was erased or not given)."""

    at_s: float
    state: EntryState
    by: str
    reason: str
    numbers: Mapping[str, float]
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The story of one mutation.

    Args:
        mutation: What was to change, with evidence and expected effect.
        state: Where it stands.
        steps: What happened to it; the first one holds the finding's sentence and numbers.
        arms: Units and failures of both arms by share, as counted so far.
        undo: How to take it back; empty where nothing is in force.
    """

    mutation: Mutation
    state: EntryState
    steps: tuple[WhyStep, ...]
    arms: tuple[StepCounts, ...] = ()
    undo: str = ""

    def text(self) -> str:
        """The story in lines for people; times are UTC."""
        m = self.mutation
        lines = [f"{m.mutation_id}  {m.kind} of {m.target!r}: {_value(m.from_)} -> {_value(m.to)}"]
        lines.append(f"state: {self.state.replace('_', ' ')}; confidence {m.confidence:.2f}, risk {m.risk}")
        effect = m.expected_effect
        if effect.change:
            lines.append(f"expected: {effect.metric} {effect.change:+.3f}")
        if m.reason:
            lines.append(f"reason: {m.reason}")
        if m.resources:
            lines.append(f"resources: {', '.join(f'{name} {n:+.4g}' for name, n in sorted(m.resources.items()))}")
        if m.finding_id:
            lines.append(f"finding: {m.finding_id.rstrip(':')}")
        if m.evidence:
            lines += _wrapped("evidence: ", m.evidence)
        for one in self.steps:
            lines += _lines_of(one)
        lines += [f"arms at share {c.share:g}: control {_arm(c.control)}; canary {_arm(c.canary)}" for c in self.arms]
        if self.undo:
            lines.append(f"undo: {self.undo}")
        return "\n".join(lines)


def why(ctx: Context, mutation_id: str) -> Why:
    """The story of a mutation.

    Raises:
        UnknownNameError: No such mutation.
    """
    life = known_life(ctx, mutation_id)
    return Why(
        mutation=life.mutation,
        state=life.state,
        steps=tuple(_step(ctx, entry) for entry in life.entries),
        arms=read_counts(ctx.store, mutation_id),
        undo=_undo(life.mutation, life.state),
    )


def _step(ctx: Context, entry: JournalEntry) -> WhyStep:
    return WhyStep(
        at_s=entry.at_s,
        state=entry.state,
        by=entry.by,
        reason=ctx.keeper.body(entry.why),
        numbers=entry.numbers,
        verdicts=entry.verdicts,
    )


def _undo(mutation: Mutation, state: EntryState) -> str:
    """How to get rid of it, by where it stands."""
    if state in WAITING:
        return f"hivefeedback mutations reject {mutation.mutation_id}"
    if state in ("canary", "paused", "promoted", "applying"):
        return f"hivefeedback mutations rollback {mutation.mutation_id}" + (
            f" ({mutation.undo})" if mutation.undo else ""
        )
    return ""


def _value(value: JsonValue) -> str:
    """A value in a line; a stored text by the beginning of its hash."""
    if isinstance(value, dict) and "body" in value:
        return f"stored text {str(value['body'])[:12]}"
    return as_json(value)


def _lines_of(one: WhyStep) -> list[str]:
    when = datetime.fromtimestamp(one.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    head = f"{when}  {one.state.replace('_', ' ')}"
    head += f" by {one.by}" if one.by else ""
    head += f": {one.reason}" if one.reason else ""
    numbers = _wrapped("    ", [f"{name} {value:.4g}" for name, value in one.numbers.items()])
    gates = [f"    gate {v.gate}: {v.answer}, {v.reason}" for v in one.verdicts]
    return [head, *numbers, *gates]


def _wrapped(head: str, items: Iterable[str]) -> list[str]:
    """A list that fills many lines, further in from the second on and never broken within an item."""
    line = head + ", ".join(item.replace(" ", _TIED) for item in items)
    lines = textwrap.wrap(line, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return [line.replace(_TIED, " ") for line in lines]


def _arm(counts: ArmCounts) -> str:
    failures = ", ".join(f"{n} {name}" for name, n in sorted((counts.failures or {}).items()))
    return f"{counts.units} units" + (f" ({failures})" if failures else "")

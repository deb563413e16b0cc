"""Gate: only what can be taken back.

The target must be there, ``from_`` must be what is live now (so that the way back leads to where
one is), and the way back must exist. What lies outside the configuration goes to a person unless
the mutation says how it is undone. Options::

    options:
      undo: {ask_for_external: true}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from hivefeedback.errors import UnknownNameError
from hivefeedback.hooks import Gate, PluginWithOptions, hookimpl
from hivefeedback.model import (
    Answer,
    Configuration,
    JsonValue,
    Ledger,
    Mutation,
    MutationKind,
    Plan,
    Verdict,
    live_value,
)
from hivefeedback.stats import View

__all__ = ["Undo", "UndoGate", "UndoOptions"]

_EXTERNAL: Final = frozenset({MutationKind.LORA_APPLY, MutationKind.MEMORY_UPDATE})
"""Kinds that act on something outside, whose way back the configuration alone does not guarantee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOptions:
    """What happens to changes outside the configuration.

    Args:
        ask_for_external: A change outside without a stated way back goes to a person; else it is refused.
    """

    ask_for_external: bool = True


class Undo:
    """Checks that there is a way back."""

    name = "undo"

    def __init__(self, options: UndoOptions | None = None) -> None:
        self._options = options or UndoOptions()

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        """No, where the target is unknown or has changed; ask, where nobody knows the way back."""
        answer, reason = self._judge(mutation, config)
        return Verdict(gate=self.name, mutation_id=mutation.mutation_id, answer=answer, reason=reason)

    def _judge(self, mutation: Mutation, config: Configuration) -> tuple[Answer, str]:
        try:
            live = live_value(config, mutation.kind, mutation.target)
        except UnknownNameError as error:
            return "no", str(error)
        if mutation.kind in _EXTERNAL and not mutation.undo:
            answer: Answer = "ask" if self._options.ask_for_external else "no"
            return answer, f"{mutation.kind} acts outside the configuration and does not say how it is undone"
        if mutation.kind is MutationKind.MEMORY_UPDATE:
            return "yes", f"the way back: {mutation.undo}"
        if not _same(live, mutation.from_):
            return "no", f"{mutation.target!r} is {live!r} now, not {mutation.from_!r} as planned; plan it anew"
        if _same(live, mutation.to):
            return "no", f"{mutation.target!r} is {live!r} already"
        return "yes", f"{mutation.target!r} can go back to {live!r}"


def _same(a: JsonValue, b: JsonValue) -> bool:
    """Equal as JSON, whatever store they came through."""
    return msgspec.json.encode(a, order="deterministic") == msgspec.json.encode(b, order="deterministic")


class UndoGate(PluginWithOptions[UndoOptions]):
    """Registers the gate."""

    name = "undo"
    Options = UndoOptions

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        """The gate."""
        return (Undo(self.options),)

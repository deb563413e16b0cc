"""Gate: what people wrote reaches a memory only through a person.

A planned MEMORY_UPDATE carries free text from feedback: whoever can give feedback could otherwise
write into the prompts of an agent. So it is asked about, whatever risk its planner states. What a
program or a person proposes itself is its own text and passes, unless it is to be asked about too.
Options::

    options:
      taint: {ask_always: false}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hivefeedback.hooks import Gate, PluginWithOptions, hookimpl
from hivefeedback.model import Answer, Configuration, Ledger, Mutation, MutationKind, Plan, Verdict
from hivefeedback.stats import View

__all__ = ["Taint", "TaintGate", "TaintOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintOptions:
    """What is asked about.

    Args:
        ask_always: Also a text that nobody planned from feedback; for programs that hand on what
            their users wrote.
    """

    ask_always: bool = False


class Taint:
    """Sends free text to a person before an agent remembers it."""

    name = "taint"

    def __init__(self, options: TaintOptions | None = None) -> None:
        self._options = options or TaintOptions()

    def check(
        self, mutation: Mutation, plan: Plan, view: View, config: Configuration, ledger: Ledger, *, now_s: float
    ) -> Verdict:
        """Ask, where a memory would take in free text."""
        answer, reason = self._judge(mutation)
        return Verdict(gate=self.name, mutation_id=mutation.mutation_id, answer=answer, reason=reason)

    def _judge(self, mutation: Mutation) -> tuple[Answer, str]:
        is_text = isinstance(mutation.to, dict) and "forget" not in mutation.to
        if mutation.kind is not MutationKind.MEMORY_UPDATE or not is_text:
            return "yes", "it takes in no free text"
        if mutation.planner or mutation.risk == "high":
            return "ask", f"agent {mutation.target!r} would remember what people wrote; read it before you approve"
        if self._options.ask_always:
            return "ask", f"agent {mutation.target!r} would remember a new text; read it before you approve"
        return "yes", "its text was proposed as it is, not taken from feedback"


class TaintGate(PluginWithOptions[TaintOptions]):
    """Registers the gate."""

    name = "taint"
    Options = TaintOptions

    @hookimpl
    def hive_gates(self) -> Sequence[Gate]:
        """The gate."""
        return (Taint(self.options),)

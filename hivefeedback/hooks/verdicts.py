"""What plugins answer to ``hive_validate``: about the plan that they were asked about, or it counts as a no.

A plugin that judges changes and fails has not judged: as with a gate, nothing unjudged may pass.
"""

from __future__ import annotations

from hivefeedback.errors import PluginError
from hivefeedback.hooks.guard import PluginInfo
from hivefeedback.model import Plan, Verdict

__all__ = ["about", "refusals"]

_MOST = 300
"""Characters of an error that a reason repeats."""


def about(plan: Plan, verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts as they are.

    Raises:
        PluginError: One is about a mutation that is not in the plan, so nobody knows what was meant.
    """
    known = {mutation.mutation_id for mutation in plan.mutations}
    for verdict in verdicts:
        if verdict.mutation_id not in known:
            raise PluginError(f"judged mutation {verdict.mutation_id!r:.100}, which is not in the plan")
    return verdicts


def refusals(plan: Plan, info: PluginInfo) -> list[Verdict]:
    """A no to every mutation of the plan, with a reason that names the plugin that could not judge."""
    if info.state == "ok":
        reason = f"plugin {info.name!r} failed in {info.last_error[:_MOST]}"
    else:
        reason = f"plugin {info.name!r} is out of service; mend it, then: hivefeedback plugins enable {info.name}"
    return [Verdict(gate=info.name, mutation_id=m.mutation_id, answer="no", reason=reason) for m in plan.mutations]

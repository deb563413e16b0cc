"""What a planner looks at in one turn, with what several of its plans need worked out once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from hivefeedback.model import Configuration, Finding
from hivefeedback.stats import View
from hivefeedback_planners.standing import degraded_deployments
from hivefeedback_planners.traffic import Traffic, traffic_of
from hivefeedback_planners.worth import Weight

__all__ = ["Scene"]


class Scene:
    """The findings, the view and the configuration of a turn.

    Args:
        findings, view, config: As they are handed to ``hive_plan``.
    """

    def __init__(self, findings: Iterable[Finding], view: View, config: Configuration) -> None:
        self.findings, self.view, self.config = tuple(findings), view, config
        self.bad = degraded_deployments(self.findings)

    @cached_property
    def traffic(self) -> Traffic:
        """Who served how much; made when it is first asked for, as most turns plan nothing."""
        return traffic_of(self.view)

    def weight(
        self, *, gain: float, urgency: float, deployment: str, operations: Iterable[str] | None = None
    ) -> Weight:
        """How a gain on what a deployment serves is weighed against all traffic."""
        share = self.traffic.share(self.traffic.of(deployment, operations).n_runs)
        return Weight.of(gain=gain, share=share, urgency=urgency)

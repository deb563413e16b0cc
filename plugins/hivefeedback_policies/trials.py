"""A newcomer's trial: many calls while it holds up, few where it does not.

A deployment that joins a pool which already knows its best would wait long for its chance. It gets
``share`` of the calls for a while instead. The trial ends early when its rewards speak against it:
a log-likelihood ratio of "``factor`` times what the best other one earns here" against "as good".
"""

from __future__ import annotations

from msgspec import Struct

from hivefeedback_policies.changes import evidence

__all__ = ["Trial", "TrialRules"]


class TrialRules(Struct, frozen=True):
    """How newcomers are tried.

    Args:
        after: Calls that the policy must have seen before a deployment counts as a newcomer.
        share: Share of calls while the trial runs, over all newcomers.
        calls: Length of a trial in the policy's calls.
        factor: Which fraction of the best other one's success would be a reason to stop.
        threshold: Nats of evidence for it that stop the trial.
        most_expected: Cap on what the best other one is taken to earn, so that a single failure
            never stops a trial.
    """

    after: int = 100
    share: float = 0.5
    calls: int = 60
    factor: float = 0.5
    threshold: float = 2.5
    most_expected: float = 0.85


class Trial(Struct):
    """One newcomer's trial: the evidence against it and the call at which it ends."""

    ends_at: int
    against: float = 0.0

    def is_over(self, now: int, rules: TrialRules) -> bool:
        """True once the time is up or the evidence suffices."""
        return now >= self.ends_at or self.against >= rules.threshold

    def judge(self, best_expected: float, reward: float, rules: TrialRules) -> None:
        """Take in a reward of the newcomer where the best other one expects ``best_expected``."""
        self.against += evidence(min(best_expected, rules.most_expected), rules.factor, reward)

"""What a process takes over from those before it: what the policy, the breakers and the reward rule had learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hivefeedback.hooks import Policy, State
from hivefeedback.recording import Breakers, Counters, Learnt, Peers, RewardRule, most_learnt
from hivefeedback.recording.breaker import ALL, BREAKER, variants_told
from hivefeedback.recording.learning.learnt import POLICY

__all__ = ["dumped", "restore_breakers", "restore_policy", "restored_rule"]


def restore_policy(policy: Policy, state: State, counters: Counters) -> Learnt:
    """Load what was learnt before this start; answers from how many observations, and whose.

    Args:
        policy: What learns; where it cannot load, it starts anew and that is counted.
        state: The store's small records.
        counters: Where what goes wrong is counted.
    """
    learnt = most_learnt(policy.name, state.list(POLICY, prefix=policy.name))
    if learnt is None:
        return Learnt("", 0, b"", {})
    try:
        policy.load(learnt.dump)
    except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
        counters.note("policy_failed", f"{policy.name}.load: {type(error).__name__}: {error}")
    return learnt


def dumped(policy: Policy, counters: Counters) -> bytes:
    """What the policy learnt, as it is stored; nothing where it fails."""
    try:
        return bytes(memoryview(policy.dump()))  # anything but bytes raises here
    except Exception as error:  # noqa: BLE001  # the plugin guard: a policy is a plugin
        counters.note("policy_failed", f"{policy.name}.dump: {type(error).__name__}: {error}")
        return b""


def restore_breakers(breakers: Breakers, state: State, peers: Peers | None = None) -> None:
    """Take in which breakers are open.

    Args:
        breakers: Takes it in.
        state: The store's small records.
        peers: Reads them and remembers what it read, where this process goes on to follow the others.
    """
    shut = state.get(BREAKER, ALL)  # what an older version wrote
    if shut is not None:
        breakers.load(shut.value)
    told = peers.breakers() if peers is not None else variants_told(state.list(BREAKER))
    for variant, data in told.items():
        breakers.merge(variant, data)


def restored_rule(judgements: Mapping[str, Sequence[str]], state: State) -> RewardRule:
    """The rule that says what a run earns, with the operations that somebody judged before this start."""
    rule = RewardRule(judgements)
    for record in state.list(RewardRule.NAMESPACE):
        rule.recall(record)
    return rule

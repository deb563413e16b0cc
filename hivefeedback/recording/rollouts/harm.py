"""The harm test of each open rollout, updated after every batch: core, and always on.

Units of assignment (a session, or a request without one) count once per guardrail, in the step in
which they were first seen, with that step's share.

**Who decides.** N processes that each test what they alone saw would be wrong N times as often as
one. So evidence has two uses here:

- *Suspicion* is quick and costs nobody anything: what this process knows (its own units up to this
  moment, the others' up to its last look into the store) speaks against the canary, so it is withheld
  from here on in this process. No word of that leaves the process.
- *Proof* rests on the store alone. A suspicious process looks at once at what all processes have
  committed. Commits have one order, so every look of every process is a look at one and the same
  e-process at some time, and by Ville's inequality all looks together are wrong with probability at
  most α, however many processes there are. What is proven is told: every other process withholds the
  canary within a poll, one that starts later from its first decision on, and the turn writes the
  rollback. Where nothing is proven, since the others had news that speaks for the canary, the
  suspicion ends and the canary goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from hivefeedback.hooks import Record
from hivefeedback.model import Decision, Rollout
from hivefeedback.recording.rollouts.evidence import Evidence
from hivefeedback.recording.rollouts.heard import Heard
from hivefeedback.stats import ROLLOUT_STOPS, HarmProof, counts_key, encode_stop, guardrail_alpha

__all__ = ["HarmTests"]


class HarmTests:
    """All open rollouts' tests in this process.

    Args:
        alpha: Chance of ever taking a harmless rollout back.
        unit_memory: Units remembered per rollout, the least recently used forgotten first; and
            sessions that this process lists per step: later ones are no units any more.
    """

    def __init__(self, *, alpha: float, unit_memory: int) -> None:
        self._alpha, self._unit_memory = alpha, unit_memory
        self._tests: dict[str, Evidence] = {}
        self._to_tell: dict[str, dict[str, float]] = {}
        self.tripped: dict[str, dict[str, float]] = {}
        """Rollouts that are not served here, with the numbers behind it."""
        self.suspected: frozenset[str] = frozenset()
        """Those of them that nothing is proven of: the store has to be looked at."""

    def follow(self, rollouts: Mapping[str, Rollout]) -> None:
        """Take in which rollouts are open; what was counted of those that stay is kept."""
        for name, rollout in rollouts.items():
            test = self._tests.get(name)
            if test is None:
                self._tests[name] = Evidence(rollout, self._unit_memory)
            else:
                test.rollout = rollout
        self._tests = {name: test for name, test in self._tests.items() if name in rollouts}
        self.tripped = {name: numbers for name, numbers in self.tripped.items() if name in rollouts}
        self.suspected = self.suspected.intersection(rollouts)

    def hear(self, heard: Mapping[str, Heard]) -> list[tuple[str, str]]:
        """Take in what other processes told (and this one before a restart).

        Returns:
            What changed, and for which rollout: ``harm_told`` (another process has proof),
            ``harm_proven`` (the counts of all prove harm), ``harm`` (suspicion), ``harm_lifted``.
        """
        words = ((name, self._hear(name, news)) for name, news in heard.items() if name in self._tests)
        return [(word, name) for name, word in words if word]

    def _hear(self, name: str, news: Heard) -> str:
        if name in self.tripped and name not in self.suspected:
            return ""
        test = self._tests[name]
        test.hear(news)
        proof = HarmProof.of(news.counts or (), self._alpha, test.rails)
        if news.stop is not None or proof is not None:
            self.suspected -= {name}
            self.tripped[name] = news.stop or (proof.stored() if proof is not None else {})
            if news.stop is None:
                self._to_tell[name] = self.tripped[name]
            return "harm_told" if news.stop is not None else "harm_proven"
        if self._suspect(name):
            return "" if name in self.suspected else self._withhold(name)
        if name in self.suspected:
            self.suspected -= {name}
            del self.tripped[name]
            return "harm_lifted"
        return ""

    def settle(
        self,
        decision: Decision,
        *,
        is_blamed: bool,
        reward: float | None,
        duration_s: float | None,
        cost_usd: float | None,
    ) -> list[str]:
        """Count a run whose end is known for the units that it belongs to; answers rollouts that tripped now."""
        tripped = []
        for assignment in decision.told:
            name = assignment.rollout_id
            test = self._tests.get(name)
            if test is None or (name in self.tripped and name not in self.suspected):
                continue  # proven harm stays proven
            failed = _failed_by(test.rollout.limits or {}, is_blamed, reward, duration_s, cost_usd)
            if test.settle(decision, assignment, failed) and name not in self.suspected and self._suspect(name):
                self._withhold(name)
                tripped.append(name)
        return tripped

    def _suspect(self, name: str) -> dict[str, float] | None:
        """The numbers that speak against a canary, as far as this process knows."""
        test = self._tests[name]
        rails = test.rails
        for rail in rails:
            log_e = test.log_e(rail)
            if log_e >= -log(guardrail_alpha(rail, self._alpha, rails)):
                return HarmProof(guardrail=rail, log_e=log_e).suspected()
        return None

    def _withhold(self, name: str) -> str:
        self.tripped[name] = self._suspect(name) or {}
        self.suspected |= {name}
        return "harm"

    def records(self, producer: str, epoch: int) -> list[Record]:
        """What changed since the last call, for the other processes: requests, sessions, proofs."""
        records = [record for test in self._tests.values() for record in test.records(producer, epoch)]
        told, self._to_tell = self._to_tell, {}
        for name, numbers in told.items():
            records.append(Record(ROLLOUT_STOPS, counts_key(name, producer, epoch), encode_stop(numbers)))
        return records


def _failed_by(
    limits: Mapping[str, float],
    is_blamed: bool,
    reward: float | None,
    duration_s: float | None,
    cost_usd: float | None,
) -> list[str]:
    """The guardrails that a run fails by."""
    failed = ["error"] if is_blamed else []
    if is_blamed or (reward is not None and reward < 0.5):
        failed.append("quality")
    if duration_s is not None and duration_s > limits.get("latency", float("inf")):
        failed.append("latency")
    if cost_usd is not None and cost_usd > limits.get("cost", float("inf")):
        failed.append("cost")
    return failed

"""Runs a loop with the installed plugin and shows that all four things were asked."""

from __future__ import annotations

import sys

from hivefeedback import Deployment, FeedbackLoop, Mutation, MutationKind, Run
from hivefeedback.errors import RefusedError
from hivefeedback.testing import FakeClock
from hivefeedback_example.store import AuditedStore

OPERATION = "text-to-text/faq"
ANSWERS = {"quick": ("yes", 0.4), "wordy": ("well " * 300, 9.0)}


def main() -> int:
    """The exit code: 0 where analyzer, gate, scorer and store all did their work."""
    clock = FakeClock()
    loop = FeedbackLoop(
        store="audited://memory://",
        deployments=[Deployment(name) for name in ANSWERS],
        options={"example": {"max_p95_s": 5.0}},
        clock=clock,
        seed=1,
    )
    for number in range(200):
        # every fifth question has to go to the wordy one, else the policy soon leaves it
        decision = loop.decide(OPERATION, candidates=["wordy"] if number % 5 == 0 else None)
        output, duration_s = ANSWERS[str(decision.deployment)]
        clock.advance(duration_s)
        loop.record(
            Run(str(decision.deployment), OPERATION, "ok", duration_s, decision_id=decision.decision_id, output=output)
        )
    findings = [f.message for f in loop.turn().findings if f.analyzer == "example"]
    refused = propose_without_reason(loop)
    judged = {row.deployment: row.quality for row in loop.stats(by=("deployment",)).rows}
    counts = loop.store.counts if isinstance(loop.store, AuditedStore) else {}
    loop.close()
    print(f"analyzer: {findings or 'found nothing'}")
    print(f"gate:     {refused or 'was not asked'}")
    print(f"scorer:   {judged or 'judged nothing'}")
    print(f"store:    {dict(counts) or 'was not used'}")
    return 0 if findings and refused and counts and all(q is not None for q in judged.values()) else 1


def propose_without_reason(loop: FeedbackLoop) -> str:
    """What the gate said to a mutation that does not say why."""
    try:
        loop.propose(Mutation(kind=MutationKind.MODEL_SWAP, target="quick", to="quick-2"))
    except RefusedError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main())

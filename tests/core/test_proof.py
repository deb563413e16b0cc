"""A proof of harm has the same numbers wherever it is found, stored, read and journaled."""

from __future__ import annotations

from hivefeedback.control.safety import proven_harm
from hivefeedback.hooks import Record
from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.recording.rollouts.harm import HarmTests
from hivefeedback.recording.rollouts.heard import Heard
from hivefeedback.stats import HarmProof, counts_key, encode_stop
from hivefeedback.testing.control import Rig
from tests.core.rigs import opened

BROKEN = StepCounts(
    share=0.05,
    control=ArmCounts(units=152, failures={"error": 10}),
    canary=ArmCounts(units=8, failures={"error": 8}),
)


def test_what_a_process_tells_of_its_proof_is_read_as_it_was() -> None:
    proof = HarmProof.of((BROKEN,), 0.01, ("error", "quality"))
    assert proof is not None
    assert (proof.guardrail, proof.control, proof.canary) == ("error", (152, 10), (8, 8))
    assert str(proof) == "8 of 8 settled units against 10 of 152"
    assert HarmProof.read(proof.stored()) == proof
    assert HarmProof.of((), 0.01, ("error",)) is None


def test_a_stop_of_an_older_version_says_what_it_can() -> None:
    assert HarmProof.read({"log_e": 9.0}) == HarmProof(guardrail="harm", log_e=9.0)
    assert HarmProof.read({"log_e": 7.0, "is_cost": 1.0}).guardrail == "cost"


def test_a_process_and_the_turn_journal_one_proof_by_the_same_names(rig: Rig) -> None:
    control, mutation_id = opened(rig)
    rollout = control.configuration.rollouts[mutation_id]
    by_counts = proven_harm(rollout, (BROKEN,), control._ctx.options)
    assert by_counts is not None
    assert by_counts.numbers is not None
    tests = HarmTests(alpha=0.01, unit_memory=100)
    tests.follow({mutation_id: rollout})
    assert tests.hear({mutation_id: Heard(counts=(BROKEN,))}) == [("harm_proven", mutation_id)]
    told = encode_stop(tests.tripped[mutation_id])
    rig.store.state.put(Record("rollout_stop", counts_key(mutation_id, "p", 1), told))
    control.turn()
    last = control.why(mutation_id).steps[-1]
    assert last.state == "rolled_back"
    assert dict(last.numbers).items() <= dict(by_counts.numbers).items()
    assert last.numbers["canary_error"] == 8.0

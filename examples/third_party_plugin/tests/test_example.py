"""What a plugin's author proves: own behaviour by own tests, the contracts by the suites of hivefeedback."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hivefeedback.errors import StoreUnreachableError
from hivefeedback.hooks import Commit, Gate, Scorer, Store
from hivefeedback.model import Configuration, JournalEntry, Ledger, Mutation, MutationKind, Plan, Run
from hivefeedback.stats import Delta, View
from hivefeedback.testing import GateContract, ScorerContract, StoreContract, event_of, view_of
from hivefeedback_example import AuditedStore, BrevityScorer, ExamplePlugin, Options, ReasonGate, slow_deployments

CONFIG = Configuration()


class TestAuditedStore(StoreContract):
    """The store keeps the whole contract of stores."""

    def make_store(self, folder: Path) -> Store:
        return AuditedStore(f"audited://sqlite:///{folder / 'hive.db'}")


class TestReasonGate(GateContract):
    """The gate keeps the contract of gates; the harmless mutation has to say why."""

    def make_gate(self) -> Gate:
        return ReasonGate()

    def make_harmless(self) -> Mutation:
        return replace(super().make_harmless(), reason="it answers better and costs less")


class TestBrevityScorer(ScorerContract):
    """The scorer keeps the contract of scorers."""

    def make_scorer(self) -> Scorer:
        return BrevityScorer()

    def good_run(self) -> Run:
        return Run("a", "x", output="forty-two")


def view_with(duration_s: float, n_runs: int) -> View:
    """A view in which deployment ``a`` had runs of one duration."""
    return view_of(Run("a", "x", "ok", duration_s, started_at_s=30.0) for _ in range(n_runs))


def test_a_slow_deployment_is_found_and_a_quick_one_is_not() -> None:
    found = list(slow_deployments(view_with(9.0, 30), max_p95_s=5.0, min_runs=20))
    assert [f.deployment for f in found] == ["a"]
    assert found[0].message.startswith("'a' takes 8.9")
    assert list(slow_deployments(view_with(1.0, 30), max_p95_s=5.0, min_runs=20)) == []


def test_few_runs_are_no_finding() -> None:
    assert list(slow_deployments(view_with(9.0, 19), max_p95_s=5.0, min_runs=20)) == []


@pytest.mark.parametrize(("reason", "answer"), [("", "no"), ("..........", "no"), ("it is cheaper now", "yes")])
def test_the_gate_wants_a_reason(reason: str, answer: str) -> None:
    mutation = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="b", reason=reason, mutation_id="m")
    plan = Plan(plan_id="p", mutations=(mutation,))
    verdict = ReasonGate().check(mutation, plan, View(asked_from_s=0, asked_to_s=1), CONFIG, Ledger(), now_s=0.0)
    assert (verdict.mutation_id, verdict.answer) == ("m", answer)


@pytest.mark.parametrize(("words", "value"), [(0, 1.0), (10, 1.0), (15, 0.5), (20, 0.0), (1000, 0.0)])
def test_the_score_falls_with_the_length(words: int, value: float) -> None:
    event = event_of(Run("a", "x", output="word " * words), "r")
    assert [(s.run_id, s.value) for s in BrevityScorer(max_words=10).score(event)] == [("r", value)]


def test_a_run_without_an_output_is_not_judged() -> None:
    assert list(BrevityScorer().score(event_of(Run("a", "x")))) == []


def test_the_audit_file_has_a_line_per_change(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    store = AuditedStore("audited://memory://", audit_file=str(file))
    store.commit(Commit("p", 1, 1, [], Delta()))
    store.journal.append(JournalEntry(at_s=0.0, state="edited", by="ann"), expected_head=0)
    store.close()
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(line["what"], line.get("by")) for line in lines] == [("commit", None), ("entry", "ann")]
    assert store.counts == {"commit": 1, "entry": 1}


def test_an_unknown_inner_store_is_named() -> None:
    with pytest.raises(StoreUnreachableError, match="no store is known for 'tape://x'"):
        AuditedStore("audited://tape://x")


def test_options_reach_what_the_plugin_registers() -> None:
    plugin = ExamplePlugin()
    plugin.configure(Options(max_words=1, max_p95_s=0.1, min_runs=1))
    event = event_of(Run("a", "x", output="one two"))
    assert plugin.hive_scorers()[0].score(event)[0].value == 0.0
    assert [f.deployment for f in plugin.hive_analyze(view_with(1.0, 5), CONFIG, 0.0)] == ["a"]

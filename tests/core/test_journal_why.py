"""``why`` tells the story of a mutation from the journal; spans tell it as it happens."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hivefeedback.control import Why, WhyStep, counts_key, encode_counts
from hivefeedback.control.spans import evidence_links
from hivefeedback.errors import UnknownNameError
from hivefeedback.hooks import Record
from hivefeedback.model import ArmCounts, Deployment, Effect, Finding, Interval, StepCounts
from hivefeedback.testing.control import Rig, swap
from hivefeedback_stores.memory import MemoryStore

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def rig() -> Rig:
    finding = Finding(
        finding_id="degradation:a",
        analyzer="degradation",
        kind="degradation",
        message="a fell from 0.90 to 0.30",
        before=Interval(estimate=0.9, low=0.85, high=0.95),
        after=Interval(estimate=0.3, low=0.2, high=0.4),
        p_value=0.001,
        n_runs=40,
    )
    rig = Rig(MemoryStore())
    rig.control("declarer").declare([Deployment("a")])
    rig.stages.findings, rig.stages.answers = [finding], {"limits": "yes", "risk": "ask"}
    rig.stages.planned = [
        swap(
            finding_id="degradation:a",
            evidence=(TRACE, "run-7"),
            expected_effect=Effect(change=0.4),
            planner="model_swap",
            confidence=0.9,
        )
    ]
    return rig


def test_the_story_has_finding_numbers_traces_verdicts_approver_arms_outcome_and_undo(rig: Rig) -> None:
    control = rig.control()
    control.turn()
    control.approve("m-2", by="ann", why="the numbers convince")
    control.turn()
    counts = StepCounts(
        share=0.05, control=ArmCounts(units=209, failures={"error": 143}), canary=ArmCounts(units=11, failures={})
    )
    rig.store.state.put(Record("rollout", counts_key("m-2", "p", 1), encode_counts([counts])))
    rig.stages.outlooks, rig.stages.numbers = {"sequential": "promote"}, {"gain": 31.5}
    control.turn()
    text = control.why("m-2").text()
    for part in (
        'm-2  MODEL_SWAP of \'a\': "a" -> "better"',
        "state: promoted; confidence 0.90, risk low",
        "expected: success_rate +0.400",
        f"evidence: {TRACE}, run-7",
        "proposed by model_swap: a fell from 0.90 to 0.30",
        "before 0.9",
        "p_value 0.001",
        "gate limits: yes, limits says yes",
        "approved by ann: the numbers convince",
        "canary by turn",
        "promoted by turn: sequential says so",
        "gain 31.5",
        "arms at share 0.05: control 209 units (143 error); canary 11 units",
        "undo: hivefeedback mutations rollback m-2 (put the model back)",
    ):
        assert part in text, f"{part!r} is missing in:\n{text}"
    assert "2023-11-14 22:13:20" in text


def test_a_story_breaks_long_lists_between_their_items() -> None:
    names = tuple(f"{n:032x}" for n in range(16))
    numbers = {f"log_e_needed_number_{n}": n / 3 for n in range(20)}
    step = WhyStep(at_s=0.0, state="canary", by="turn", reason="", numbers=numbers)
    mutation = swap(finding_id="degradation:a:", evidence=names)
    lines = Why(mutation=mutation, state="canary", steps=(step,)).text().splitlines()
    assert max(map(len, lines)) <= 110
    assert all(any(name in line for line in lines) for name in names)
    assert all(any(f"{name} {value:.4g}" in line for line in lines) for name, value in numbers.items())
    assert "finding: degradation:a" in lines


def test_a_waiting_mutation_says_how_to_reject_it_and_one_that_is_over_says_nothing(rig: Rig) -> None:
    control = rig.control()
    control.turn()
    assert control.why("m-2").undo == "hivefeedback mutations reject m-2"
    control.reject("m-2", by="ann")
    assert control.why("m-2").undo == ""


def test_an_erased_reason_leaves_the_entry(rig: Rig) -> None:
    control = rig.control()
    control.turn()
    control.approve("m-2", by="ann", why="private")
    rig.store.journal.erase_body(next(e.why for e in rig.store.journal.read() if e.state == "approved"))
    assert control.why("m-2").steps[-1].reason == ""
    assert "private" not in control.why("m-2").text()


def test_a_mutation_that_is_not_there_is_named(rig: Rig) -> None:
    with pytest.raises(UnknownNameError, match="'m-9'"):
        rig.control().why("m-9")


def test_a_turn_is_visible_as_stages_and_as_linked_steps_of_its_mutations(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    rig.stages.answers = {"limits": "yes"}
    turn = rig.control().turn()
    done = exporter.get_finished_spans()
    names = [s.name for s in done if s.name.startswith("hivefeedback.stage")]
    assert names == [f"hivefeedback.stage {n}" for n in ("analyze", "plan", "validate", "execute", "monitor")]
    assert {dict(s.attributes or {}).get("hivefeedback.turn.id") for s in done if s.name in names} == {turn.turn_id}
    moves = [s for s in done if s.name == "hivefeedback.mutation MODEL_SWAP"]
    assert [dict(s.attributes or {})["hivefeedback.mutation.state"] for s in moves] == [
        "proposed",
        "validated",
        "canary",
    ]
    by_id = {s.context.span_id: s.name for s in done if s.context}
    assert [by_id[s.parent.span_id] for s in moves if s.parent] == [
        "hivefeedback.stage plan",
        "hivefeedback.stage validate",
        "hivefeedback.stage execute",
    ]
    assert all(f"{s.links[0].context.trace_id:032x}" == TRACE for s in moves)


def test_only_trace_ids_become_links_and_every_link_is_valid() -> None:
    links = evidence_links((TRACE, TRACE.upper(), "run-7", "0" * 32, "g" * 32))
    assert [f"{link.context.trace_id:032x}" for link in links] == [TRACE, TRACE]
    assert all(link.context.is_valid for link in links)
    assert links[0].context.span_id == links[1].context.span_id

"""The planner of LORA_APPLY picks an adapter by what it was made for, and trusts what runs have shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from hivefeedback.model import Adapter, Configuration, Deployment, Finding, Interval, Mutation, MutationKind, Run
from hivefeedback.stats import View
from hivefeedback.testing import Seen, view_of
from hivefeedback_planners import LoraApplyOptions, LoraApplyPlanner

T0_S = 1_700_000_040.0
OPERATION = "text-to-text/medical"
CONFIG = Configuration(
    version=1,
    deployments={
        "a": Deployment("a", model="llama"),
        "b": Deployment("b", model="llama", adapter="med"),
        "c": Deployment("c", model="qwen"),
    },
    adapters={
        "med": Adapter("med", tags=("medical",), models=("llama",), vram_gb=2.0),
        "law": Adapter("law", tags=("legal",)),
    },
)
FINDING = Finding(
    finding_id="degradation:degradation:a:text-to-text/medical",
    analyzer="degradation",
    kind="degradation",
    message="success of 'a' fell from 90 % to 50 %",
    deployment="a",
    operation=OPERATION,
    severity=0.8,
    before=Interval(estimate=0.9, low=0.85, high=0.95),
    after=Interval(estimate=0.5, low=0.4, high=0.6),
    evidence=("t-1", "t-2"),
)


def _runs(deployment: str, n: int, rate: float, operation: str = OPERATION) -> Iterator[Seen]:
    good = np.random.default_rng([n, ord(deployment)]).permutation(np.arange(n) < round(rate * n))
    for i in range(n):
        run = Run(deployment, operation, run_id=f"{deployment}-{operation}-{i}", started_at_s=T0_S + i)
        yield Seen(run=run, reward=float(good[i]))


def _view(*parts: Iterator[Seen]) -> View:
    return view_of([seen for part in parts for seen in part])


def _plan(
    view: View, *findings: Finding, config: Configuration = CONFIG, options: LoraApplyOptions | None = None
) -> list[Mutation]:
    planner = LoraApplyPlanner()
    planner.configure(options or LoraApplyOptions())
    return list(planner.hive_plan(findings or (FINDING,), view, config, T0_S + 1000))


def test_an_adapter_whose_tag_is_a_segment_of_the_operation_is_planned() -> None:
    """S4.5: LORA_APPLY."""
    (planned,) = _plan(_view(_runs("a", 60, 0.5)))
    assert (planned.kind, planned.target, planned.to, planned.from_) == (MutationKind.LORA_APPLY, "a", "med", None)
    assert planned.evidence == ("t-1", "t-2")
    assert planned.undo == "serve 'a' with no adapter again"
    assert planned.resources == {"vram_gb": 2.0}
    assert (planned.confidence, planned.risk) == (0.7, "medium")
    assert planned.expected_effect.change == pytest.approx(0.2)  # half of what was lost
    assert "no run has shown it yet" in planned.reason


def test_what_another_deployment_does_with_the_adapter_says_what_to_expect() -> None:
    (planned,) = _plan(_view(_runs("a", 60, 0.5), _runs("b", 60, 0.9)))
    assert planned.expected_effect.change == pytest.approx(0.4, abs=0.1)  # by the newest 30 runs of "a"
    assert planned.confidence > 0.95
    assert planned.risk == "low"
    assert "'b' does" in planned.reason


def test_an_adapter_that_does_no_better_elsewhere_is_not_planned() -> None:
    assert _plan(_view(_runs("a", 60, 0.5), _runs("b", 60, 0.5))) == []


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, adapters={}),
        replace(CONFIG, adapters={"law": CONFIG.adapters["law"]}),
        replace(CONFIG, adapters={"med": Adapter("med", tags=("medical",), models=("qwen",))}),
        replace(CONFIG, adapters={"med": Adapter("med", tags=("medic",))}),
        replace(CONFIG, deployments={"a": Deployment("a", model="llama", adapter="med")}),
        replace(CONFIG, deployments={}),
    ],
    ids=["none", "other tag", "other model", "part of a segment", "has it already", "not in service"],
)
def test_what_does_not_fit_is_not_planned(config: Configuration) -> None:
    assert _plan(_view(_runs("a", 60, 0.5)), config=config) == []


def test_only_what_got_worse_is_a_reason() -> None:
    assert _plan(_view(_runs("a", 60, 0.5)), replace(FINDING, kind="imbalance")) == []
    assert len(_plan(_view(_runs("a", 60, 0.5)), replace(FINDING, kind="dissatisfaction", before=None))) == 1


def test_an_adapter_for_a_small_part_of_the_traffic_is_not_put_on_all_of_it() -> None:
    mixed = _view(_runs("a", 20, 0.5), _runs("a", 80, 0.9, "text-to-text/other"))
    assert _plan(mixed) == []
    assert len(_plan(mixed, options=LoraApplyOptions(min_share=0.1))) == 1


def test_a_finding_about_all_operations_takes_those_that_fit() -> None:
    (planned,) = _plan(_view(_runs("a", 60, 0.5)), replace(FINDING, operation=""))
    assert planned.to == "med"


def test_the_more_exact_tag_wins_and_one_mutation_is_planned_for_a_deployment() -> None:
    general = Adapter("general", tags=("text-to-text",))
    config = replace(CONFIG, adapters={"general": general, "med": CONFIG.adapters["med"]})
    other = replace(FINDING, finding_id="again", severity=0.5)
    (planned,) = _plan(_view(_runs("a", 60, 0.5)), FINDING, other, config=config)
    assert planned.to == "med"
    assert planned.finding_id == FINDING.finding_id


def test_options_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"min_share is 1\.5"):
        LoraApplyOptions(min_share=1.5)

"""The sequential monitor rolls back, pauses, promotes, widens and waits for stated reasons."""

from __future__ import annotations

import pytest

from hivefeedback.model import ArmCounts, Mutation, MutationKind, Outlook, Rollout, Run, StepCounts
from hivefeedback.stats import CellKey, Delta, Slice, View
from hivefeedback.testing import Seen, view_of
from hivefeedback_monitors import SequentialMonitor, SequentialOptions

EMPTY = View(asked_from_s=0.0, asked_to_s=1.0)
DAY_S = 86400.0


def _rollout(share: float, limits: dict[str, float] | None = None) -> Rollout:
    mutation = Mutation(kind=MutationKind.MODEL_SWAP, target="a", to="b")
    return Rollout(
        rollout_id="m-1",
        mutation=mutation,
        patch=(),
        salt="s",
        share=share,
        step=0,
        started_at_s=0.0,
        step_started_at_s=0.0,
        limits=limits,
    )


def _step(share: float, control: tuple[int, int], canary: tuple[int, int], guardrail: str = "error") -> StepCounts:
    """(units, failures) of each arm; an error is a failure of quality as well."""
    names = ("error", "quality") if guardrail == "error" else (guardrail,)
    (n0, k0), (n1, k1) = control, canary
    return StepCounts(
        share=share,
        control=ArmCounts(units=n0, failures=dict.fromkeys(names, k0)),
        canary=ArmCounts(units=n1, failures=dict.fromkeys(names, k1)),
    )


def _ask(
    *steps: StepCounts,
    share: float | None = None,
    now_s: float = 60.0,
    view: View = EMPTY,
    options: SequentialOptions | None = None,
    limits: dict[str, float] | None = None,
) -> Outlook:
    monitor = SequentialMonitor()
    if options is not None:
        monitor.configure(options)
    outlook = monitor.hive_monitor(_rollout(share or steps[-1].share, limits), steps, view, now_s)
    assert outlook is not None
    return outlook


def test_a_broken_canary_is_rolled_back_after_a_few_requests() -> None:
    outlook = _ask(_step(0.05, (90, 4), (5, 5)))
    assert outlook.decided == "roll_back"
    assert "proven worse by error: 5 of 5 settled units against 4 of 90" in outlook.reason
    assert outlook.numbers is not None
    assert outlook.numbers["log_e_harm_error"] >= outlook.numbers["log_e_needed_error"]
    assert outlook.numbers["rate_ratio_low_error"] > 1


def test_a_canary_that_only_answers_badly_is_rolled_back_by_quality() -> None:
    outlook = _ask(_step(0.25, (300, 20), (100, 40), "quality"))
    assert outlook.decided == "roll_back"
    assert "by quality" in outlook.reason


def test_a_slower_canary_is_rolled_back_only_where_latency_is_a_guardrail() -> None:
    slow = _step(0.5, (500, 25), (500, 120), "latency")
    assert _ask(slow, limits={"latency": 2.0}).decided == "roll_back"
    assert _ask(slow).decided != "roll_back"


def test_each_further_guardrail_makes_the_others_need_more_evidence() -> None:
    few = _ask(_step(0.5, (10, 1), (10, 1))).numbers
    more = _ask(_step(0.5, (10, 1), (10, 1)), limits={"latency": 2.0, "cost": 0.1}).numbers
    assert few is not None
    assert more is not None
    assert more["log_e_needed_quality"] > few["log_e_needed_quality"]
    assert more["log_e_needed_error"] == few["log_e_needed_error"]


def test_harm_that_was_proven_at_an_earlier_step_is_not_forgotten_at_full_share() -> None:
    outlook = _ask(_step(0.5, (100, 2), (100, 40)), _step(1.0, (0, 0), (5000, 10)))
    assert outlook.decided == "roll_back"


def test_units_that_were_not_assigned_by_the_share_pause_the_rollout() -> None:
    outlook = _ask(_step(0.5, (1000, 10), (1300, 13)))
    assert outlook.decided == "pause"
    assert "1300 of 2300 at 0.5" in outlook.reason


def test_harm_comes_before_a_skewed_assignment() -> None:
    assert _ask(_step(0.5, (1000, 10), (1300, 300))).decided == "roll_back"


def test_a_proven_improvement_is_promoted_at_any_step() -> None:
    outlook = _ask(_step(0.05, (200, 120), (12, 1)), _step(0.25, (75, 50), (25, 2)))
    assert outlook.decided == "promote"
    assert "proven better" in outlook.reason


def test_an_improvement_in_one_thing_does_not_hide_harm_in_another() -> None:
    """Fewer errors, but more bad answers: not yet proven harm, too much of it to promote."""
    step = StepCounts(
        share=0.5,
        control=ArmCounts(units=100, failures={"error": 30, "quality": 32}),
        canary=ArmCounts(units=100, failures={"error": 2, "quality": 56}),
    )
    outlook = _ask(step)
    assert outlook.numbers is not None
    assert outlook.numbers["log_e_gain_error"] > 5.3
    assert outlook.decided == "continue"


def test_enough_units_in_both_arms_widen_the_canary() -> None:
    assert _ask(_step(0.05, (900, 40), (49, 2))).decided == "continue"
    outlook = _ask(_step(0.05, (900, 40), (50, 2)))
    assert outlook.decided == "widen"
    assert "50 units per arm" in outlook.reason


def test_units_of_earlier_steps_do_not_widen_the_next() -> None:
    outlook = _ask(_step(0.05, (9000, 400), (500, 22)), _step(0.25, (90, 4), (30, 1)))
    assert outlook.decided == "continue"


def test_the_last_controlled_step_ends_in_promotion_once_harm_is_bounded() -> None:
    small = _ask(_step(0.5, (2000, 100), (2000, 100)))
    assert small.decided == "continue"
    large = _ask(_step(0.5, (12_000, 600), (12_000, 600)))
    assert large.decided == "promote"
    assert large.numbers is not None
    assert large.numbers["harm_bound_error"] < 0.02


def test_a_wider_margin_promotes_sooner() -> None:
    assert _ask(_step(0.5, (2000, 100), (2000, 100)), options=SequentialOptions(margin=0.1)).decided == "promote"


def test_an_earlier_step_is_not_promoted_for_lack_of_harm_alone() -> None:
    assert _ask(_step(0.05, (200_000, 10_000), (10_500, 525))).decided == "widen"


def test_the_ramp_may_be_another_one() -> None:
    options = SequentialOptions(steps=(0.1, 0.3))
    assert _ask(_step(0.1, (900, 40), (100, 4)), options=options).decided == "widen"
    assert _ask(_step(0.3, (700, 40), (300, 17)), options=options).decided == "continue"


def test_judgements_that_are_awaited_widen_the_bound_of_quality() -> None:
    awaited = view_of([Seen(run=Run("a", "x", started_at_s=0.0), arm="m-1:canary")])
    slices = tuple(Slice(s.start_s, s.width_s, s.key, s.cell) for s in awaited.slices)
    for s in slices:
        s.cell.n_awaiting = s.cell.n_runs
    view = View(asked_from_s=0.0, asked_to_s=1.0, slices=slices)
    steps = _step(0.5, (12_000, 600), (12_000, 600))
    assert _ask(steps, view=view).decided == "continue"
    delta = Delta()
    delta.cell(CellKey("a", "x", arm="m-1:canary"), 0).add_run(Run("a", "x"))
    settled = View(
        asked_from_s=0.0, asked_to_s=1.0, slices=tuple(Slice(0, 60, k, c) for (k, _), c in delta.cells.items())
    )
    assert _ask(steps, view=settled).decided == "promote"


def test_what_stays_undecided_is_paused_at_its_largest_age() -> None:
    step = _step(0.5, (300, 15), (300, 15))
    assert _ask(step, now_s=7 * DAY_S - 1).decided == "continue"
    outlook = _ask(step, now_s=7 * DAY_S)
    assert outlook.decided == "pause"
    assert "inconclusive after 7 days" in outlook.reason


def test_without_any_unit_it_waits() -> None:
    outlook = _ask(share=0.05)
    assert outlook.decided == "continue"
    assert outlook.numbers is not None
    assert outlook.numbers["control_units"] == 0.0


def test_every_number_is_finite_so_that_the_journal_can_keep_it() -> None:
    for steps in (
        [_step(0.05, (90, 4), (5, 5))],
        [_step(0.5, (12_000, 0), (12_000, 600))],
        [_step(1.0, (0, 0), (9, 9))],
    ):
        numbers = _ask(*steps).numbers
        assert numbers is not None
        assert all(value - value == 0 for value in numbers.values())


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"margin": 1.0}, {"min_units": 0}, {"max_age_s": 0.0}])
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SequentialOptions(**wrong)  # type: ignore[arg-type]  # ints and floats by name

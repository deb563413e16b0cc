"""Tests of a canary keep their promise at every look, and find harm quickly."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, exp, log

import numpy as np
import numpy.typing as npt
import pytest

from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.stats import (
    FailingUnits,
    failing_units,
    gain_log_e,
    guardrail_alpha,
    harm_lean,
    harm_log_e,
    sample_ratio_log_e,
    tripped_guardrail,
)
from hivefeedback.stats.sequential import ERROR_RATIOS, HARM_RATIOS

ALPHA = 0.01
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def _log_e(shares: Floats, is_canary: Bools, is_failed: Bools, guardrail: str = "error") -> Floats:
    """log e after each unit of each rollout: the same product as ``harm_log_e``, for many at once."""
    total = np.zeros(is_canary.shape, np.float32)
    for ratio, weight in ERROR_RATIOS if guardrail == "error" else HARM_RATIOS:
        q = shares * ratio / (shares * ratio + 1 - shares)
        factor = np.where(is_canary, np.log(q / shares), np.log((1 - q) / (1 - shares))).astype(np.float32)
        product = np.cumsum(factor * is_failed, axis=1)
        total += np.float32(weight) * np.exp(np.clip(product, -60.0, 60.0))
    return np.log(total).astype(np.float64)


def _counts(share: float, control: tuple[int, int], canary: tuple[int, int], guardrail: str = "error") -> StepCounts:
    (n0, k0), (n1, k1) = control, canary
    return StepCounts(
        share=share,
        control=ArmCounts(units=n0, failures={guardrail: k0}),
        canary=ArmCounts(units=n1, failures={guardrail: k1}),
    )


# --- values by hand -----------------------------------------------------------------------------


def test_the_evidence_of_one_failing_canary_is_computed_by_hand() -> None:
    # q/s = r / (s·r + 1 − s) for each ratio
    expected = sum(w * r / (0.5 * r + 0.5) for r, w in ERROR_RATIOS)
    assert harm_log_e([FailingUnits(0.5, 0, 1)]) == pytest.approx(log(expected))


def test_the_evidence_of_one_failing_control_is_computed_by_hand() -> None:
    expected = sum(w / (0.05 * r + 0.95) for r, w in ERROR_RATIOS)
    assert harm_log_e([FailingUnits(0.05, 1, 0)]) == pytest.approx(log(expected))


def test_no_failing_unit_says_nothing() -> None:
    assert harm_log_e([]) == harm_log_e([FailingUnits(0.3, 0, 0)]) == gain_log_e([]) == 0.0


def test_without_a_control_nothing_is_learnt() -> None:
    some = FailingUnits(0.25, 7, 5)
    assert harm_log_e([some, FailingUnits(1.0, 0, 99)]) == harm_log_e([some])
    assert gain_log_e([some, FailingUnits(1.0, 0, 99)]) == gain_log_e([some])


def test_plain_tuples_and_any_order_of_steps_give_the_same() -> None:
    steps = [FailingUnits(0.05, 9, 1), FailingUnits(0.25, 7, 5), FailingUnits(0.5, 2, 8)]
    plain: list[tuple[float, int, int]] = [tuple(s) for s in reversed(steps)]  # type: ignore[misc]  # a NamedTuple's own
    assert harm_log_e(plain) == pytest.approx(harm_log_e(steps))


def test_huge_counts_do_not_overflow() -> None:
    assert harm_log_e([FailingUnits(0.5, 0, 10**7)]) > 1e6
    assert harm_log_e([FailingUnits(0.5, 10**7, 0)]) < -1e5


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("log_e", [harm_log_e, gain_log_e, lambda steps: harm_log_e(steps, "quality")])
def test_the_expected_evidence_of_equal_arms_is_one(share: float, log_e: Callable[[list[FailingUnits]], float]) -> None:
    """The defining property of an e-value, by summing over every outcome of 20 failing units."""
    n = 20
    mean = sum(
        comb(n, k) * share**k * (1 - share) ** (n - k) * exp(log_e([FailingUnits(share, n - k, k)]))
        for k in range(n + 1)
    )
    assert mean == pytest.approx(1.0)


def test_a_truly_better_canary_makes_the_harm_evidence_smaller_on_average() -> None:
    share, n, ratio = 0.25, 20, 0.5
    p = share * ratio / (share * ratio + 1 - share)
    mean = sum(
        comb(n, k) * p**k * (1 - p) ** (n - k) * exp(harm_log_e([FailingUnits(share, n - k, k)])) for k in range(n + 1)
    )
    assert mean < 1.0


def test_the_lean_of_one_look_adds_up_over_the_steps() -> None:
    # excess (3 − 1) + (6 − 5), variance 20·0.05·0.95 + 10·0.25
    steps = [FailingUnits(0.05, 17, 3), FailingUnits(0.5, 4, 6)]
    assert harm_lean(steps) == pytest.approx(3 / (0.95 + 2.5) ** 0.5)
    assert harm_lean([]) == harm_lean([FailingUnits(1.0, 0, 5)]) == 0.0


# --- α and guardrails ---------------------------------------------------------------------------


def test_the_parts_of_alpha_sum_to_alpha() -> None:
    for names in (("error", "quality"), ("error", "quality", "latency", "cost"), ("quality", "latency")):
        assert sum(guardrail_alpha(g, ALPHA, names) for g in names) == pytest.approx(ALPHA)
    assert guardrail_alpha("error", ALPHA) == ALPHA / 2
    assert guardrail_alpha("unheard_of", ALPHA) == 0.0


def test_the_guardrail_that_proves_harm_is_named() -> None:
    bad = _counts(0.5, (100, 0), (100, 15), "latency")
    assert tripped_guardrail([bad], ALPHA) == ("latency", harm_log_e(failing_units([bad], "latency"), "latency"))
    assert tripped_guardrail([_counts(0.5, (100, 5), (100, 5))], ALPHA) is None
    assert tripped_guardrail([bad], ALPHA, ("error", "quality")) is None


# --- simulation: false alarms -------------------------------------------------------------------


def _false_rollbacks(shares: Floats, is_failed: Bools, rng: np.random.Generator, alpha: float) -> float:
    is_canary = rng.random(is_failed.shape) < shares
    log_e = _log_e(shares, is_canary, is_failed)
    fell, served = is_failed[0], is_canary[0]
    steps = [
        FailingUnits(float(s), int((fell & ~served & (shares == s)).sum()), int((fell & served & (shares == s)).sum()))
        for s in np.unique(shares)
    ]
    assert log_e[0, -1] == pytest.approx(harm_log_e(steps), abs=1e-3)  # what is simulated is what is shipped
    return float((log_e.max(axis=1) >= log(1 / alpha)).mean())


N = 4000
RAMP = np.repeat([0.05, 0.25, 0.5], [1000, 400, 600])


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_equal_arms_looked_at_after_every_unit_are_rolled_back_at_most_alpha_often(share: float) -> None:
    rng = np.random.default_rng(11)
    is_failed = rng.random((N, 2000)) < 0.05
    assert _false_rollbacks(np.full(2000, share), is_failed, rng, ALPHA) <= ALPHA


def test_the_full_ramp_with_a_drifting_baseline_keeps_alpha() -> None:
    rng = np.random.default_rng(12)
    baseline = 0.2 + 0.18 * np.sin(np.linspace(0.0, 9.0, 2000) + rng.uniform(0, 6, (N, 1)))
    is_failed = rng.random((N, 2000)) < baseline
    assert _false_rollbacks(RAMP, is_failed, rng, ALPHA) <= ALPHA


def test_sticky_sessions_that_count_once_keep_alpha() -> None:
    """Sessions of 20 requests on average, failures correlated within them (0.3): the unit is the session."""
    rng = np.random.default_rng(13)
    mean, correlation = 0.05, 0.3
    scale = 1 / correlation - 1
    per_session = rng.beta(mean * scale, (1 - mean) * scale, (N, 2000))
    n_requests = rng.geometric(1 / 20, (N, 2000))
    is_failed = rng.random((N, 2000)) < 1 - (1 - per_session) ** n_requests
    assert _false_rollbacks(RAMP, is_failed, rng, ALPHA) <= ALPHA


def test_all_guardrails_together_keep_alpha_over_the_ramp() -> None:
    rng = np.random.default_rng(14)
    n = N
    is_canary = rng.random((n, 2000)) < RAMP
    error = rng.random((n, 2000)) < 0.05
    quality = error | (rng.random((n, 2000)) < 0.1)
    latency, cost = rng.random((n, 2000)) < 0.05, rng.random((n, 2000)) < 0.05
    rolled_back = np.zeros(n, dtype=bool)
    for name, failed in (("error", error), ("quality", quality), ("latency", latency), ("cost", cost)):
        log_e = _log_e(RAMP, is_canary, failed, name)
        rolled_back |= log_e.max(axis=1) >= -log(guardrail_alpha(name, ALPHA))
    assert rolled_back.mean() <= ALPHA


# --- simulation: detection ----------------------------------------------------------------------


def _canary_requests_until_found(errors: float, share: float = 0.05, n: int = 4000) -> float:
    rng = np.random.default_rng(15)
    is_canary = rng.random((n, 1000)) < share
    is_failed = rng.random((n, 1000)) < np.where(is_canary, errors, 0.05)
    found = _log_e(np.full(1000, share), is_canary, is_failed) >= -log(guardrail_alpha("error", ALPHA))
    seen = np.cumsum(is_canary, axis=1)
    first = np.where(found.any(axis=1), seen[np.arange(n), found.argmax(axis=1)], 10**6)
    return float(np.median(first))


@pytest.mark.parametrize(("errors", "requests"), [(0.3, 20), (0.5, 9), (0.9, 4)])
def test_a_harmful_canary_is_found_within_a_few_of_its_requests(errors: float, requests: int) -> None:
    """With failing units alone no weighting of ratios reaches 8 at 50 % and 20 at 30 % at once (49.8 % are
    found within 8)."""
    assert _canary_requests_until_found(errors) <= requests


# --- sample ratio -------------------------------------------------------------------------------


def test_the_sample_ratio_test_keeps_its_alpha_at_every_look() -> None:
    rng = np.random.default_rng(16)
    alpha, n = 0.001, 1500
    canary = np.cumsum(rng.random((n, 1000)) < 0.25, axis=1)
    looks = range(10, 1000, 10)
    alarms = sum(
        any(
            sample_ratio_log_e([_counts(0.25, (t - int(row[t - 1]), 0), (int(row[t - 1]), 0))]) >= -log(alpha)
            for t in looks
        )
        for row in canary
    )
    assert alarms <= 5  # 1.5 expected at most


def test_units_that_went_the_wrong_way_are_noticed() -> None:
    assert sample_ratio_log_e([_counts(0.5, (1000, 0), (800, 0))]) > log(1000)
    assert sample_ratio_log_e([_counts(0.05, (1000, 0), (0, 0))]) > log(1000)
    assert sample_ratio_log_e([_counts(0.5, (900, 0), (900, 0)), _counts(1.0, (0, 0), (500, 0))]) < 0


def test_the_expected_sample_ratio_evidence_is_one() -> None:
    n, s = 30, 0.25
    mean = sum(
        comb(n, k) * s**k * (1 - s) ** (n - k) * exp(sample_ratio_log_e([_counts(s, (n - k, 0), (k, 0))]))
        for k in range(n + 1)
    )
    assert mean == pytest.approx(1.0)

"""Simulated canaries in several processes, to see how often the harm test is wrong.

What each process and the turn may know at each moment is worked out from the times of the failures
(numpy, a few milliseconds per rollout); that the product counts so is tested with real loops.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import inf, log

import numpy as np
import numpy.typing as npt

from hivefeedback.model import ArmCounts, StepCounts
from hivefeedback.stats import guardrail_alpha, sample_ratio_log_e
from hivefeedback.stats.sequential import ERROR_RATIOS, HARM_RATIOS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RAILS = ("error", "quality")
ALPHA = 0.01
POLL_S = 0.5
TURN_S = 5.0
_MIXTURES = {"error": ERROR_RATIOS, "quality": HARM_RATIOS}


@dataclass(frozen=True)
class Traffic:
    """Sessions of one rollout, all in order of their start.

    Args:
        start_s: When each session began.
        share: The canary's share then.
        is_canary: Its arm then.
        at_s, session, is_error: Time, session and kind (else only its quality was bad) of each failing request.
        where: A number in [0, 1) for each failing request: which process served it.
        end_s: When the rollout was over.
    """

    start_s: Floats
    share: Floats
    is_canary: npt.NDArray[np.bool_]
    at_s: Floats
    session: Ints
    is_error: npt.NDArray[np.bool_]
    where: Floats
    end_s: float


def harmless(
    rng: np.random.Generator, *, sessions: int = 1500, rate: float = 0.05, canary_rate: float = -1.0
) -> Traffic:
    """Sticky sessions of 20 requests on average, alike inside (intra-class correlation 0.3), whose failures
    triple and fall back while the share goes from 5 to 25 to 50 %; ``canary_rate`` makes it harmful."""
    start = np.sort(rng.uniform(0.0, sessions / 10.0, sessions))  # ten sessions a second: 200 requests
    order = np.arange(sessions)
    share = np.where(order < sessions * 0.6, 0.05, np.where(order < sessions * 0.75, 0.25, 0.5))
    is_canary = rng.random(sessions) < share
    drift = 1.0 + np.sin(np.linspace(0.0, 3 * np.pi, sessions)) ** 2 * 2.0
    means = np.where(is_canary & (canary_rate >= 0), canary_rate, np.minimum(rate * drift, 0.5))
    like = 1 / 0.3 - 1
    chance = rng.beta(np.maximum(means * like, 1e-3), np.maximum((1 - means) * like, 1e-3))
    n = rng.geometric(1 / 20, sessions)
    session = np.repeat(order, n)
    at = start[session] + rng.exponential(15.0, len(session))
    fails = rng.random(len(session)) < chance[session]
    at, session = at[fails], session[fails]
    by_time = np.argsort(at, kind="stable")
    k = len(at)
    return Traffic(
        start, share, is_canary, at[by_time], session[by_time], rng.random(k) < 0.5, rng.random(k), float(start[-1])
    )


def log_e_path(t: Traffic, sessions: Ints, guardrail: str) -> tuple[Floats, Floats]:
    """Evidence per ratio, one column each, that failing sessions add in their order; and the log weights."""
    ratios, weights = (np.array(x) for x in zip(*_MIXTURES[guardrail], strict=True))
    s = t.share[sessions][:, None]
    q_over_s = ratios / (s * ratios + 1 - s)
    return np.where(t.is_canary[sessions][:, None], np.log(q_over_s), np.log(q_over_s / ratios)), np.log(weights)


def mixed(logs: Floats, weights: Floats) -> Floats:
    """log of the weighted mean of the evidence over the ratios."""
    return np.asarray(np.logaddexp.reduce(logs + weights, axis=-1), dtype=np.float64)


@dataclass(frozen=True)
class _Pool:
    """The failing sessions of all processes by one guardrail: times, running evidence, its limit."""

    at_s: Floats
    first_s: Floats
    running: Floats
    weights: Floats
    limit: float

    def log_e(self, at_s: Floats | float) -> Floats:
        """Evidence in everything until then."""
        return mixed(self.running[np.searchsorted(self.at_s, at_s, side="right")], self.weights)


def _pool(t: Traffic, guardrail: str, chosen: npt.NDArray[np.bool_]) -> _Pool:
    sessions, first = np.unique(t.session[chosen], return_index=True)
    order = np.argsort(first, kind="stable")
    at = t.at_s[chosen][first[order]]
    steps, weights = log_e_path(t, sessions[order], guardrail)
    running = np.vstack([np.zeros(steps.shape[1]), np.cumsum(steps, axis=0)])
    first_s = np.full(len(t.start_s), inf)
    first_s[sessions[order]] = at
    return _Pool(at, first_s, running, weights, log(1 / guardrail_alpha(guardrail, ALPHA, RAILS)))


def _suspected(t: Traffic, pool: _Pool, chosen: npt.NDArray[np.bool_], guardrail: str, processes: int) -> Floats:
    """When each process first suspects: it knows what was told until its last look, and its own news."""
    found = np.full(processes, inf)
    for j in range(processes):
        own = chosen & ((t.where * processes).astype(int) == j)
        if not own.any():
            continue
        sessions, first = np.unique(t.session[own], return_index=True)
        order = np.argsort(first, kind="stable")
        sessions, at = sessions[order], t.at_s[own][first[order]]
        look = np.floor(at / POLL_S) * POLL_S
        steps, _ = log_e_path(t, sessions, guardrail)
        steps[pool.first_s[sessions] <= look] = 0.0  # the others told of them already
        running = np.vstack([np.zeros(steps.shape[1]), np.cumsum(steps, axis=0)])
        begin = np.searchsorted(at, look, side="right")
        heard = pool.running[np.searchsorted(pool.at_s, look, side="right")]
        known = mixed(heard + running[1:] - running[begin], pool.weights)
        tripped = np.flatnonzero(known >= pool.limit)
        found[j] = at[tripped[0]] if len(tripped) else inf
    return found


@dataclass(frozen=True)
class Ending:
    """How a rollout ends.

    Args:
        proven_s: When a look at the counts of all proved harm; infinite: never, it stays open.
        suspected_s: When each process first suspected, infinite: never.
    """

    proven_s: float
    suspected_s: Floats

    @property
    def is_taken_back(self) -> bool:
        """True where harm was proven."""
        return self.proven_s < inf

    @property
    def is_suspected_in_vain(self) -> bool:
        """True where a process withheld the canary for a moment and nothing was ever proven."""
        return not self.is_taken_back and bool((self.suspected_s < inf).any())


def ending(t: Traffic, processes: int) -> Ending:
    """Every process looks twice a second. One process alone knows all at any moment, and its look after a
    suspicion sees what it suspected by."""
    proven, suspected = inf, np.full(processes, inf)
    for guardrail in RAILS:
        chosen = t.is_error if guardrail == "error" else np.ones(len(t.at_s), dtype=bool)
        chosen = chosen & (t.at_s <= t.end_s)
        pool = _pool(t, guardrail, chosen)
        suspected = np.minimum(suspected, _suspected(t, pool, chosen, guardrail, processes))
        looks = pool.at_s if processes == 1 else np.arange(POLL_S, t.end_s + POLL_S, POLL_S)
        seen = looks[pool.log_e(looks) >= pool.limit]
        proven = min(proven, float(seen[0]) if len(seen) else inf)
    return Ending(proven, suspected)


def is_skewed(t: Traffic, times: Ints | int = 1, alpha: float = 0.001) -> bool:
    """True where the sample-ratio test ever pauses; ``times``: how often each session is counted."""
    weight = np.broadcast_to(times, t.start_s.shape)
    for look in np.arange(TURN_S, t.end_s + TURN_S, TURN_S):
        seen = t.start_s <= look
        counts = []
        for share in np.unique(t.share[seen]):
            here = seen & (t.share == share)
            n1, n = int(weight[here & t.is_canary].sum()), int(weight[here].sum())
            counts.append(StepCounts(share=float(share), control=ArmCounts(units=n - n1), canary=ArmCounts(units=n1)))
        if sample_ratio_log_e(counts) >= log(1 / alpha):
            return True
    return False


def canary_requests_until_stop(
    rng: np.random.Generator, rate: float, *, processes: int = 1, share: float = 0.05
) -> int:
    """Requests without a session that a broken canary gets before all processes have stopped serving it;
    the control fails at 5 %."""
    n = 40_000
    is_canary = rng.random(n) < share
    at = np.sort(rng.uniform(0.0, n / 20.0, n))  # twenty requests a second
    fails = rng.random(n) < np.where(is_canary, rate, 0.05)
    k = np.flatnonzero(fails)
    t = Traffic(
        at, np.full(n, share), is_canary, at[k], k, np.ones(len(k), dtype=bool), rng.random(len(k)), float(at[-1])
    )
    end = ending(t, processes)
    by_process = np.minimum(end.proven_s, np.where(end.suspected_s >= end.proven_s - POLL_S, end.suspected_s, inf))
    where = rng.integers(0, processes, n)
    served = is_canary & (at <= by_process[where])
    return int(served.sum())


def _print_rates(n: int) -> None:
    """Rates of wrong answers, and medians until a broken canary is stopped."""
    rollouts = [harmless(np.random.default_rng(seed)) for seed in range(n)]
    print(f"{n} harmless rollouts; paused by the sample ratio: {sum(map(is_skewed, rollouts)) / n:.2%}")
    for processes in (1, 2, 4, 8):
        endings = [ending(t, processes) for t in rollouts]
        back, vain = sum(e.is_taken_back for e in endings), sum(e.is_suspected_in_vain for e in endings)
        print(f"{processes} processes: {back / n:.2%} taken back, {vain / n:.2%} suspected in vain for a moment")
        for rate in (0.3, 0.5, 0.9):
            seeds = range(max(60, n // 2))
            found = [canary_requests_until_stop(np.random.default_rng(s), rate, processes=processes) for s in seeds]
            print(f"  canary with {rate:.0%} errors: {np.median(found):.0f} of its requests (median)")


if __name__ == "__main__":
    _print_rates(int(sys.argv[1]))

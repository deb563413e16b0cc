"""The default policy: Thompson sampling with shrinkage, a change detector and re-probes.

Shares are the wins among samples of each candidate's rate (``estimates``, ``winners``), narrowed so
that few calls go to what is only just possible, and widened again the longer an operation is known,
as whoever stays longer gains more from looking. A small share looks more broadly and leaves nobody
out, so that estimates of other policies have support. A deployment whose success falls is left
(``changes``) and probed until it is itself again; a newcomer gets a bounded trial (``trials``).

What the parts bought in simulated streams, reward against the best choice for each operation (rates
of BFCL 2024-08, twelve models, one pass of 1700 calls): UCB1 .87, Thompson over all operations .90,
per operation .93, ε-greedy .92; shrinkage without sharpness .91, with it .95; in 12 000 calls .956
and .977. Newcomers that are better get half of the best choice's share within 60 calls in 80 % of
the streams without trials, in all with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log, log1p

import msgspec
import numpy as np
import numpy.typing as npt

from hivefeedback.hooks import Observation
from hivefeedback.model import decoded
from hivefeedback_policies.changes import Rules, Watch
from hivefeedback_policies.estimates import Estimates
from hivefeedback_policies.roster import Roster
from hivefeedback_policies.trials import Trial, TrialRules
from hivefeedback_policies.winners import Winners

__all__ = ["HierarchicalOptions", "HierarchicalPolicy"]

Floats = npt.NDArray[np.float64]

_VERSION = 1
_MAX_ROWS = 4096
_MAX_COLUMNS = 4096
_POOLED = "*"
"""The row of all operations beyond the bound."""
_MAX_SETS = 256
_KEPT = 10.0
"""Most observations that a cell keeps when its level is known to have changed."""
_TRIAL_WEIGHT = 0.7
"""Weight of a newcomer's prior: a spread of 1.2 logits, twice that of the first deployments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchicalOptions:
    """How the policy explores and judges.

    Args:
        explore: Share of calls that looks broadly; 2 % give off-policy estimates their support.
        even: Part of that share which is spread evenly; the rest goes where it may still matter.
        sharpness: Samples lie this many times closer to the mean than the posterior says, at
            least; plain Thompson sampling looks too long where a hundred calls are a long time.
        sharpness_per_log: The same for many candidates, times the logarithm of their number.
        soften: How fast sharpness fades with the logarithm of an operation's calls …
        soften_calls: … counted in units of so many calls.
        broad: Sharpness of the broad looks.
        price_prior: Logits of ability that one standard deviation of log price is worth before
            anything is known: dearer models are a little better on every public table.
        capability_prior: The same for one unit of (capability − 50) ÷ 50.
        changes: How falls and returns are judged.
        trials: How newcomers are tried.
    """

    explore: float = 0.02
    even: float = 0.1
    sharpness: float = 4.0
    sharpness_per_log: float = 1.9
    soften: float = 0.6
    soften_calls: float = 100.0
    broad: float = 1.5
    price_prior: float = 0.25
    capability_prior: float = 0.5
    changes: Rules = field(default_factory=Rules)
    trials: TrialRules = field(default_factory=TrialRules)


class _State(msgspec.Struct):
    policy: str
    version: int
    rows: list[str]
    columns: list[str | None]
    served: list[str]
    drawn: tuple[tuple[str, float], ...]
    total: int
    position: int
    watches: list[Watch]
    trials: dict[str, Trial]
    unread: list[int]
    arrays: dict[str, str]


class HierarchicalPolicy:
    """Learns each (operation, deployment) with help of its row, its column and the past.

    Args:
        seed: Of the samples; the same seed and calls give the same shares.
        options: See ``HierarchicalOptions``.
    """

    name = "hierarchical"

    def __init__(self, seed: int = 0, options: HierarchicalOptions | None = None) -> None:
        self._options = options or HierarchicalOptions()
        self._estimates = Estimates()
        self._winners = Winners(seed)
        self._rows = Roster(_MAX_ROWS)
        self._rows.add(_POOLED)
        self._estimates.add_row()
        self._columns = Roster(_MAX_COLUMNS)
        self._watches: list[Watch] = []
        self._fallen: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}
        self._served: dict[str, None] = {}
        self._total = 0
        self._unread: set[int] = set()
        self._alarms: list[tuple[str, str, dict[str, float]]] = []
        self._sets: dict[tuple[str, ...], npt.NDArray[np.intp]] = {}
        self._extra_before: tuple[tuple[str, float], ...] = ()

    # --- learning ------------------------------------------------------------------------------

    def learn(self, observations: Sequence[Observation]) -> None:
        """Take in a batch in order. Detectors see first rewards only; a correction moves the sums
        by its difference."""
        columns, rows, unread = self._columns.indices, self._rows.indices, self._unread
        for seen in observations:
            k = columns.get(seen.deployment)
            if k is None:
                k = self._column(seen.deployment)
            if k < 0 or not 0.0 <= seen.reward <= 1.0:
                continue
            row = rows.get(seen.operation)
            if row is None:
                row = self._row(seen.operation)
            unread.add(row)
            if seen.previous is not None:
                self._estimates.add(row, k, seen.reward - seen.previous, 0.0)
                continue
            self._total += 1
            self._learn_first(row, k, seen)

    def learn_alike(self, operation: str, deployment: str, reward: float, n: int) -> None:
        """Take in equal first rewards; successes of a deployment that nothing is suspected of are one sum."""
        k = self._column(deployment)
        if k < 0 or not 0.0 <= reward <= 1.0:
            return
        row = self._row(operation)
        self._unread.add(row)
        watch = self._watches[k]
        if reward == 1.0 and not watch.is_fallen and watch.is_quiet and deployment not in self._trials:
            self._total += n
            self._estimates.add(row, k, float(n), float(n))
            return
        seen = Observation(operation, deployment, reward, 0.0)
        for _ in range(n):
            self._total += 1
            self._learn_first(row, k, seen)

    def learn_shared(self, operation: str, deployment: str, n: int, total: float) -> None:
        """Add what other processes learnt to the sums; of a deployment that fell here it is from before."""
        k = self._column(deployment)
        if k < 0 or self._watches[k].is_fallen:
            return
        row = self._row(operation)
        self._unread.add(row)
        self._estimates.add(row, k, total, float(n))

    def _learn_first(self, row: int, k: int, seen: Observation) -> None:
        if self._trials and (trial := self._trials.get(seen.deployment)) is not None:
            trial.judge(self._best_other(row, k), seen.reward, self._options.trials)
        watch, estimates = self._watches[k], self._estimates
        if watch.is_fallen:
            self._learn_fallen(seen, k, watch, estimates.expected.item(row, k))
            return
        estimates.add(row, k, seen.reward)
        if seen.reward == 1.0 and watch.is_quiet:
            return  # most calls of a healthy deployment end here
        expected = estimates.expected.item(row, k)
        if expected <= 0.0:
            return  # never read, so nobody relied on it
        fall = watch.judge(row, expected, seen.reward, self._options.changes)
        if fall >= 0:
            for r, _, reward in watch.fall(fall, self._total, self._options.changes):
                self._estimates.add(r, k, -reward, -1.0)
                self._unread.add(r)
            self._fallen[seen.deployment] = k
            self._alarms.append((seen.deployment, seen.operation, {"factor": watch.factor, "expected": expected}))

    def _learn_fallen(self, seen: Observation, k: int, watch: Watch, expected: float) -> None:
        is_back = watch.probe(expected, seen.reward, self._total, self._options.changes)
        if not is_back and watch.n_after >= self._options.changes.accept_after:
            self._estimates.scale_column(k, watch.factor, _KEPT)
            self._unread.update(range(self._estimates.n_rows))
            self._watches[k] = Watch()
        if not self._watches[k].is_fallen:
            del self._fallen[seen.deployment]

    def _best_other(self, row: int, k: int) -> float:
        expected = self._estimates.expected[row, : self._estimates.n_columns].copy()
        expected[k] = 0.0
        return float(expected.max())

    # --- answering -----------------------------------------------------------------------------

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """Wins among samples, a small broad share, and the probes and trials of the moment."""
        if not candidates:
            return ()
        names = tuple(candidates)
        columns = self._set(names)
        rows = self._rows.indices
        row = rows.get(operation, -1 if len(rows) < _MAX_ROWS else rows[_POOLED])
        if row in self._unread:
            self._unread.discard(row)
            self._estimates.refit(row)
        mean, sd = self._estimates.read(row)
        mean, sd = self._with_falls(mean[columns], sd[columns], names)
        options = self._options
        wins, broad = self._winners.shares(mean, sd / self._sharpness(row, len(names)), sd / options.broad)
        looks = (1.0 - options.even) * broad + options.even / len(names)
        out: Floats = (1.0 - options.explore) * wins + options.explore * looks
        answer: list[float] = self._with_extras(out, names).tolist()
        return answer

    def _sharpness(self, row: int, n: int) -> float:
        options = self._options
        calls = float(self._estimates.counts[row].sum()) if row >= 0 else 0.0
        start = max(options.sharpness, options.sharpness_per_log * log(n) + 0.5)
        return max(start / (1.0 + options.soften * log1p(calls / options.soften_calls)), 1.0)

    def _with_falls(self, mean: Floats, sd: Floats, names: tuple[str, ...]) -> tuple[Floats, Floats]:
        for name, k in self._fallen.items():
            if name in names:
                j, watch = names.index(name), self._watches[k]
                sd[j] = np.hypot(sd[j] * watch.factor, mean[j] * watch.factor_sd)
                mean[j] *= watch.factor
        return mean, sd

    def _with_extras(self, shares: Floats, names: tuple[str, ...]) -> Floats:
        extras = self._extras()
        if not extras:
            return shares
        wanted = np.array([extras.get(name, 0.0) for name in names])
        total = float(wanted.sum())
        if total <= 0.0 or wanted.all():
            return shares
        most = self._options.trials.share
        if total > most:
            wanted *= most / total
            total = most
        mixed: Floats = (1.0 - total) * shares + wanted
        return mixed

    def _extras(self) -> dict[str, float]:
        """Shares that fallen deployments and newcomers get beside the draw."""
        extras = {}
        changes, rules = self._options.changes, self._options.trials
        for name, trial in list(self._trials.items()):
            if trial.is_over(self._total, rules):
                del self._trials[name]
            else:
                extras[name] = rules.share
        for name, k in self._fallen.items():
            extras[name] = self._watches[k].probe_share(self._total, changes)
        return extras

    def index(self, operation: str) -> Mapping[str, float]:
        """Share of each deployment in service, if all of them were candidates."""
        names = tuple(self._served) or tuple(self._columns.indices)
        return dict(zip(names, self.shares(operation, names), strict=True))

    def due(self, now_s: float) -> Sequence[str]:
        """All operations when an alarm, a return, a probe or a trial changed what is drawn."""
        extra = tuple(self._extras().items())
        if extra == self._extra_before:
            return ()
        self._extra_before = extra
        return ("",)

    def alarms(self) -> Sequence[tuple[str, str, dict[str, float]]]:
        """Falls noticed since the last call, with the factor that is left of success."""
        alarms, self._alarms = self._alarms, []
        return alarms

    # --- who is there --------------------------------------------------------------------------

    def declare(self, deployments: Mapping[str, tuple[float, float | None]]) -> None:
        """Take the deployments in service with their weak priors; who joins later is tried."""
        priors = self._priors(deployments)
        for name, prior in priors.items():
            k = self._column(name)
            if k < 0 or name in self._served:
                continue
            self._estimates.set_prior(k, prior)
            if self._total >= self._options.trials.after and not self._estimates.counts[:, k].any():
                self._start_trial(name, k)
        self._served = dict.fromkeys(name for name in deployments if name in self._columns.indices)

    def _start_trial(self, name: str, k: int) -> None:
        best = max((float(self._estimates.ability[j]) for j in self._columns.indices.values()), default=0.0)
        self._estimates.set_prior(k, best, _TRIAL_WEIGHT)
        self._trials[name] = Trial(self._total + self._options.trials.calls)

    def _priors(self, deployments: Mapping[str, tuple[float, float | None]]) -> dict[str, float]:
        logs = {name: log(price) for name, (_, price) in deployments.items() if price is not None and price > 0.0}
        values = list(logs.values())
        middle = float(np.mean(values)) if values else 0.0
        spread = float(np.std(values)) or 1.0 if values else 1.0
        priors = {}
        for name, (capability, _) in deployments.items():
            dear = (logs[name] - middle) / spread if name in logs else 0.0
            able = (min(max(capability, 0.0), 100.0) - 50.0) / 50.0
            priors[name] = self._options.price_prior * dear + self._options.capability_prior * able
        return priors

    def adopt(self, deployment: str, variant: str) -> None:
        """Let the deployment be what the variant was, and drop the variant."""
        source, target = self._columns.indices.get(variant), self._column(deployment)
        if source is None or target < 0 or source == target:
            return
        self._estimates.copy_column(source, target)
        self._watches[target] = self._watches[source]
        self._trials.pop(deployment, None)
        self._fallen.pop(deployment, None)
        if self._watches[target].is_fallen:
            self._fallen[deployment] = target
        self.forget(variant)

    def forget(self, variant: str) -> None:
        """Drop what was learnt about a variant; its place is used again."""
        for known in (self._trials, self._fallen, self._served):
            known.pop(variant, None)
        k = self._columns.remove(variant)
        if k is not None:
            self._sets.clear()
            self._estimates.clear_column(k)
            self._watches[k] = Watch()

    def _row(self, operation: str) -> int:
        row = self._rows.add(operation)
        if row < 0:
            row = self._rows.indices[_POOLED]
        while row >= self._estimates.n_rows:
            self._estimates.add_row()
        return row

    def _column(self, name: str) -> int:
        """Index of a deployment, a new one where needed; −1 beyond the bound."""
        is_new = name not in self._columns.indices
        k = self._columns.add(name)
        if is_new and k >= 0:
            if k == self._estimates.n_columns:
                self._estimates.add_column()
                self._watches.append(Watch())
            self._estimates.set_prior(k, 0.0)
            self._inherit(name, k)
        return k

    def _inherit(self, name: str, k: int) -> None:
        """A canary's variant, ``deployment@rollout``, starts as its deployment with little weight,
        so that the canary is drawn about as often as what it may replace."""
        parent = self._columns.indices.get(name.rpartition("@")[0])
        if parent is not None:
            self._estimates.copy_column(parent, k)
            self._estimates.scale_column(k, 1.0, _KEPT)
            self._unread.update(range(self._estimates.n_rows))

    def _set(self, names: tuple[str, ...]) -> npt.NDArray[np.intp]:
        columns = self._sets.get(names)
        if columns is None:
            if len(self._sets) >= _MAX_SETS:
                self._sets.clear()
            # Beyond the bound a deployment shares the estimates of the first one.
            columns = np.array([max(self._column(name), 0) for name in names], dtype=np.intp)
            self._sets[names] = columns
        return columns

    # --- keeping -------------------------------------------------------------------------------

    def operations(self) -> list[str]:
        return [operation for operation in self._rows.indices if operation != _POOLED]

    def dump(self) -> bytes:
        """All of the state but the noise, which comes from the seed."""
        return msgspec.json.encode(
            _State(
                policy=self.name,
                version=_VERSION,
                rows=list(self._rows.indices),
                columns=self._columns.names(),
                served=list(self._served),
                drawn=self._extra_before,
                total=self._total,
                position=self._winners.position,
                watches=self._watches,
                trials=self._trials,
                unread=sorted(self._unread),
                arrays=self._estimates.dump(),
            )
        )

    def load(self, data: bytes) -> None:
        """Take back what ``dump`` wrote; anything else is ignored."""
        try:
            state = decoded(data, _State)
            if state.policy != self.name or state.version != _VERSION:
                return
            estimates = Estimates()
            estimates.load(state.arrays, n_rows=len(state.rows), n_columns=len(state.columns))
            if len(state.watches) != len(state.columns) or _POOLED not in state.rows:
                return
        except (msgspec.DecodeError, ValueError):
            return
        self._estimates = estimates
        self._rows.restore(state.rows)
        self._columns.restore(state.columns)
        self._watches = state.watches
        self._trials = state.trials
        self._fallen = {name: k for name, k in self._columns.indices.items() if self._watches[k].is_fallen}
        self._served = dict.fromkeys(state.served)
        self._total = state.total
        self._winners.position = state.position
        self._unread = set(state.unread)
        self._extra_before = state.drawn
        self._sets.clear()

"""Lets a ranker decide: the best by its formula gets the calls, but for a small even share.

This is how the sources route. It has no detector and no uncertainty beyond their minimum of runs;
the default policy learns better, these are for those who want the formula that they know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from hivefeedback.hooks import Observation, RowPolicy
from hivefeedback.model import decoded
from hivefeedback.stats import JUDGED_UNIT, QUERY, Judged
from hivefeedback_rankers.contender import Contender, Placing
from hivefeedback_rankers.performance import Performance

__all__ = ["RankedPolicy"]

_VERSION = 1
_MEMORY = 1000
"""Runs of a deployment after which older ones fade: its numbers are halved. The source kept 1000 records."""
_MIN_RUNS = 10
"""With fewer in an operation, the next wider one is looked at; the minimum of the rankers."""
_MAX_OPERATIONS = 1000
"""Operations that are remembered; then the one that was quiet longest is forgotten."""
_GOOD = 0.5
"""A reward from here on is a success: the sources know success and failure only, and 3 of 5 is no failure."""


class _Row(msgspec.Struct, array_like=True):
    """Sums of a deployment's runs; latencies in ms, of good runs."""

    n: float = 0.0
    n_good: float = 0.0
    reward: float = 0.0
    n_timed: float = 0.0
    latency_ms: float = 0.0

    def put(self, reward: float, duration_s: float | None, sign: float = 1.0) -> None:
        self.n += sign
        self.reward += sign * reward
        if reward >= _GOOD:
            self.n_good += sign
            if duration_s is not None:
                self.n_timed += sign
                self.latency_ms += sign * duration_s * 1000.0

    def fade(self) -> None:
        if self.n >= _MEMORY:
            for name in self.__struct_fields__:
                setattr(self, name, getattr(self, name) / 2.0)

    def performance(self) -> Performance:
        n, n_good = max(self.n, 0.0), max(self.n_good, 0.0)
        return Performance(
            n_runs=n,
            n_succeeded=n_good,
            n_whole=n_good,
            latency_ms=max(0.0, self.latency_ms / self.n_timed) if self.n_timed >= 0.5 else None,
            n_latency=max(self.n_timed, 0.0),
            judged={
                "rating": Judged(round(n), round(self.reward * JUDGED_UNIT)),
                QUERY: Judged(round(n), round(n_good * JUDGED_UNIT)),
            },
        )


class _State(msgspec.Struct):
    policy: str
    version: int
    rows: dict[str, dict[str, _Row]]
    served: dict[str, tuple[float, float | None]]


class RankedPolicy(RowPolicy[_Row]):
    """Draws the first of a ranking.

    Statistics are kept per operation and all that lie above it; a deployment with too few runs of
    an operation is judged by the next wider one, the whole at last.

    Args:
        name: Of the policy.
        placing: The ranker.
        explore: Share of calls in (0, 1] that is spread evenly, so that every propensity is positive
            and a deployment that fell can show that it recovered; 2 % as in the default policy.
        rolls_up: False: only the ranker's own scope counts, whatever is known of wider ones.

    >>> from hivefeedback_rankers.adaptive import AdaptiveRanker
    >>> policy = RankedPolicy("adaptive", AdaptiveRanker())
    >>> policy.declare({"a": (85.0, None), "b": (88.0, None)})
    >>> policy.shares("chat", ["a", "b"])
    [0.01, 0.99]
    >>> policy.learn([Observation("chat", "b", 0.0, float(i), duration_s=0.1) for i in range(10)])
    >>> policy.shares("chat", ["a", "b"])
    [0.99, 0.01]
    """

    def __init__(self, name: str, placing: Placing, *, explore: float = 0.02, rolls_up: bool = True) -> None:
        super().__init__()
        self.name = name
        self._placing = placing
        self._explore = explore
        self._rolls_up = rolls_up
        self._has_learnt = False

    def learn(self, observations: Sequence[Observation]) -> None:
        """Add rewards; a correction takes back what it corrects."""
        self._has_learnt = self._has_learnt or bool(observations)
        for seen in observations:
            for prefix in _prefixes(seen.operation):
                row = self._touched(prefix).setdefault(seen.deployment, _Row())
                if seen.previous is not None:
                    row.put(seen.previous, seen.duration_s, -1.0)
                row.put(seen.reward, seen.duration_s)
                row.fade()
        while len(self.rows) > _MAX_OPERATIONS:
            del self.rows[next(iter(self.rows))]

    def shares(self, operation: str, candidates: Sequence[str]) -> Sequence[float]:
        """The even share each, the rest for the first of the ranking."""
        names = list(dict.fromkeys(candidates))
        first = self._placing.place([self._contender(name, operation) for name in names], operation=operation)[0]
        out = [self._explore / len(candidates)] * len(candidates)
        out[candidates.index(first.deployment)] += 1.0 - self._explore
        return out

    def due(self, now_s: float) -> Sequence[str]:
        """All operations after anything was learnt, since wider ones stand in for narrow ones."""
        has_learnt, self._has_learnt = self._has_learnt, False
        return ("",) if has_learnt else ()

    def dump(self) -> bytes:
        """The sums as JSON."""
        return msgspec.json.encode(_State(self.name, _VERSION, self.rows, self.served))

    def load(self, data: bytes) -> None:
        """Take back what ``dump`` wrote; anything else is ignored."""
        try:
            state = decoded(data, _State)
        except msgspec.DecodeError:
            return
        if state.policy == self.name and state.version == _VERSION:
            self.rows, self.served = state.rows, state.served
            self._has_learnt = True

    def _touched(self, prefix: str) -> dict[str, _Row]:
        """The row of an operation, moved to the end of those that are remembered."""
        row = self.rows[prefix] = self.rows.pop(prefix, {})
        return row

    def _contender(self, name: str, operation: str) -> Contender:
        capability, price = self.served.get(name, (50.0, None))
        return Contender(
            deployment=name,
            capability=min(100.0, max(0.0, capability)),
            performance=self._known(name, self._placing.scope(operation)),
            price_usd_per_mtok=price,
        )

    def _known(self, name: str, scope: str) -> Performance:
        """By the narrowest operation with enough runs, else by the widest that may be looked at."""
        row = _Row()
        for prefix in _prefixes(scope) if self._rolls_up else (scope,):
            row = self.rows.get(prefix, {}).get(name) or row
            if row.n >= _MIN_RUNS:
                break
        return row.performance()


def _prefixes(operation: str) -> Iterator[str]:
    """An operation and all above it, the narrowest first.

    >>> list(_prefixes("a/b/c"))
    ['a/b/c', 'a/b', 'a', '']
    """
    while operation:
        yield operation
        operation = operation.rpartition("/")[0]
    yield ""

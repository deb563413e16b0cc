"""The newest runs of each (deployment, operation), sorted when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

from msgspec.structs import replace

from hivefeedback.model import UNCOUNTED
from hivefeedback.stats.delta import MAX_EXEMPLARS, Exemplar

__all__ = ["Newest", "Pieces", "Sorted", "counted_runs", "newest"]

_AGE, _STARTED = attrgetter("started_at_s", "run_id"), attrgetter("started_at_s")
_ENOUGH = 2 * MAX_EXEMPLARS

Name = tuple[str, str]
Pieces = tuple[Sequence[Exemplar], ...]


def newest(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    """The newest exemplars, each run once, newest last.

    A judgement adds its run again: what was learnt of a run is never replaced by what was not, in
    whatever order the two come.

    >>> [e.reward for e in newest([Exemplar(1.0, "r", reward=0.5), Exemplar(1.0, "r")])]
    [0.5]
    """
    if len(exemplars) > 2 * _ENOUGH:  # many at once: most are older than those that are wanted
        since_s = sorted(map(_STARTED, exemplars))[-_ENOUGH]
        found = _newest([e for e in exemplars if e.started_at_s >= since_s])
        if len(found) == MAX_EXEMPLARS:
            return found
    return _newest(exemplars)


def _newest(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    latest = {e.run_id: e for e in exemplars}
    if len(latest) < len(exemplars):  # seldom
        latest = {}
    for exemplar in exemplars if not latest else ():
        known = latest.get(exemplar.run_id)
        latest[exemplar.run_id] = exemplar if known is None else _merged(known, exemplar)
    return sorted(latest.values(), key=_AGE)[-MAX_EXEMPLARS:]


def _merged(known: Exemplar, other: Exemplar) -> Exemplar:
    """One of two tellings of a run; which prompts it asked for stays known, though who judged it did not know."""
    if known.reward is None or other.reward is not None:
        known, other = other, known
    return replace(known, prompts=other.prompts) if other.prompts and not known.prompts else known


def counted_runs(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    """Those that enter success statistics, outside of canaries; order is kept."""
    return [e for e in exemplars if not e.is_canary and e.outcome not in UNCOUNTED]


class Newest(Mapping[Name, tuple[Exemplar, ...]]):
    """Newest runs by (deployment, operation), newest last, of which only those that are asked for are sorted.

    Args:
        known: Runs by name, in pieces, in any order and perhaps repeated; they are never changed.
        memo: What was worked out before, shared with other moments of the same window; an entry
            holds as long as the pieces of its name are the same object.
    """

    __slots__ = ("_known", "_memo")

    def __init__(self, known: Mapping[Name, Pieces], memo: dict[Name, tuple[Pieces, Sorted]]) -> None:
        self._known, self._memo = known, memo

    def __getitem__(self, name: Name) -> tuple[Exemplar, ...]:
        return self._sorted(name).all

    def counted(self, name: Name) -> tuple[Exemplar, ...]:
        """Those that enter success statistics, outside of canaries, newest last; empty where there are none."""
        return self._sorted(name).counted if name in self._known else ()

    def with_memo(self, name: Name) -> tuple[tuple[Exemplar, ...], dict[int, object]]:
        """The same with a place for what is worked out from them, which lasts as long as they are these."""
        if name not in self._known:
            return (), {}
        found = self._sorted(name)
        return found.counted, found.memo

    def _sorted(self, name: Name) -> Sorted:
        known = self._known[name]
        memo = self._memo.get(name)
        if memo is None or memo[0] is not known:
            memo = self._memo[name] = known, Sorted(known)
        return memo[1]

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[Name]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Sorted:
    """The newest runs of one name, and those of them that count."""

    __slots__ = ("all", "counted", "memo")

    def __init__(self, pieces: Pieces) -> None:
        self.all = tuple(newest(list(chain.from_iterable(pieces))))
        self.counted = tuple(counted_runs(self.all))
        self.memo: dict[int, object] = {}

"""The breaker (the users' word: blacklist) for failed calls.

Three counted failures in a row open it for an hour; each further one doubles that, up to a day:
3 → 1 h, 4 → 2 h, 5 → 4 h … A deployment that is open gets no calls, so a fourth failure needs a
probe: when the time is over the breaker is half open, one call may try, and its outcome closes or
escalates. Hence the count survives expiry and only a success resets it.

Each variant's breaker is a record of its own in the store, so that processes that serve the same
deployments do not overwrite what the others saw: what changed here is told by ``changes``, and what
another process told comes in by ``merge``. A record is written without a look at the one that is there: of
two processes that write at the same moment the last one is read by those who come later, be its news the
older. That costs one probe at most, or one more incident until the breaker opens; those that hear both are right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from hivefeedback.hooks import Record
from hivefeedback.model import BLAMED, UNCOUNTED, decoded

__all__ = ["ALL", "BREAKER", "Breakers", "breaker_key", "variants_told"]

_VERSION = 1
_MAX_RESETS = 10_000
_FORGOTTEN_S = 30 * 86400.0
"""What no run has touched for so long is not kept any longer."""


BREAKER: Final = "breaker"
"""Namespace of the records, one for each variant."""
ALL: Final = "all"
"""Key of the one record that older versions kept."""
_PREFIX = "v/"


def breaker_key(variant: str) -> str:
    """Key of a variant's record."""
    return f"{_PREFIX}{variant}"


def _record(variant: str, data: bytes) -> Record:
    """What is known of a variant, as it is stored; where that is nothing, the record goes."""
    return Record(BREAKER, breaker_key(variant), data, expires_at_s=None if data else 0.0)


def variants_told(records: Iterable[Record]) -> dict[str, bytes]:
    """What the records say of each variant; the one record that older versions kept is left out."""
    return {r.key.removeprefix(_PREFIX): r.value for r in records if r.key.startswith(_PREFIX)}


class _Breaker(Struct, omit_defaults=True):
    failures: int = 0
    until_s: float | None = None
    """End of the opening; None while closed. Half open once it is past."""
    taken_s: float | None = None
    """When the probe token was taken; None while it is there."""
    changed_s: float = 0.0
    """When a run was counted last; 0 in what older versions wrote."""


class _Dump(Struct):
    version: int
    breakers: dict[str, _Breaker]


class Breakers:
    """The breakers of all variants: a state with explicit time, no clock and no thread.

    Args:
        failures: Counted failures in a row that open a breaker.
        base_s: Length of the first opening.
        cap_s: Length of the longest one.
        token_s: After this an unsettled probe token returns; longer than most calls last.

    >>> breakers = Breakers()
    >>> [breakers.settle("a", "timeout", 0.0) for _ in range(3)]
    [True, True, True]
    >>> breakers.open, breakers.half_open(3599.0), breakers.half_open(3600.0)
    (frozenset({'a'}), (), ('a',))
    """

    def __init__(
        self, *, failures: int = 3, base_s: float = 3600.0, cap_s: float = 86400.0, token_s: float = 300.0
    ) -> None:
        self._threshold = failures
        self._base_s = base_s
        self._cap_s = cap_s
        self.token_s = token_s
        self._breakers: dict[str, _Breaker] = {}
        self._resets: dict[str, float] = {}
        self._changed: dict[str, None] = {}
        self._was_one_record = False

    def settle(self, variant: str, outcome: str, now_s: float) -> bool:
        """Take in how a run of a variant ended; True where anything changed.

        Uncounted outcomes touch nothing. Failures of calls that were under way when the breaker
        opened do not escalate: one incident, one step.
        """
        if outcome not in BLAMED:
            return outcome not in UNCOUNTED and self._reset(variant, now_s)
        breaker = self._breakers.get(variant)
        if breaker is None:
            breaker = self._breakers[variant] = _Breaker()
        if self._is_running(breaker, now_s):
            return False
        breaker.failures += 1
        breaker.taken_s, breaker.changed_s = None, now_s
        self._changed[variant] = None
        if breaker.failures >= self._threshold:
            breaker.until_s = now_s + self.length_s(breaker.failures)
        return True

    @property
    def is_any_unclean(self) -> bool:
        """True where some variant failed last."""
        return bool(self._breakers)

    def is_unclean(self, variant: str) -> bool:
        """True where this one failed last: its next success has to be told."""
        return variant in self._breakers

    def _reset(self, variant: str, now_s: float) -> bool:
        if self._breakers.pop(variant, None) is None:
            return False
        self._changed[variant] = None
        self._note_reset(variant, now_s)
        return True

    def _note_reset(self, variant: str, at_s: float) -> None:
        """Older news of failures, from other processes, must not open it again."""
        self._resets.pop(variant, None)
        self._resets[variant] = at_s
        if len(self._resets) > _MAX_RESETS:
            del self._resets[next(iter(self._resets))]

    def length_s(self, failures: int) -> float:
        """How long that many failures in a row open a breaker: ``base · 2^(failures − threshold)``,
        at most the cap; 0 below the threshold.

        >>> [Breakers().length_s(n) / 3600 for n in (2, 3, 4, 5, 8, 5000)]
        [0.0, 1.0, 2.0, 4.0, 24.0, 24.0]
        """
        if failures < self._threshold:
            return 0.0
        doublings = min(failures - self._threshold, 64)
        return min(self._base_s * 2.0**doublings, self._cap_s)

    @property
    def open(self) -> frozenset[str]:
        """Variants that must not be drawn: open ones, and half-open ones, which only the holder
        of a probe token may call."""
        return frozenset(v for v, b in self._breakers.items() if b.until_s is not None)

    def half_open(self, now_s: float) -> tuple[str, ...]:
        """Variants whose opening is over and whose probe token is there, in order of name."""
        return tuple(sorted(v for v, b in self._breakers.items() if self._wants_probe(b, now_s)))

    def take(self, variant: str, now_s: float) -> bool:
        """Take the probe token of a half-open variant; False where there is none to take."""
        breaker = self._breakers.get(variant)
        if breaker is None or not self._wants_probe(breaker, now_s):
            return False
        breaker.taken_s = now_s
        return True

    def next_due_s(self, now_s: float) -> float | None:
        """When the next breaker becomes half open or the next token returns; None: never."""
        times = [self._due_s(b, now_s) for b in self._breakers.values()]
        return min((t for t in times if t is not None), default=None)

    def standing(self, variant: str) -> tuple[int, float] | None:
        """Counted failures in a row and end of the opening of an open or half-open variant; else None.
        May be asked from any thread."""
        breaker = self._breakers.get(variant)
        return None if breaker is None or breaker.until_s is None else (breaker.failures, breaker.until_s)

    def clear(self, variant: str, now_s: float) -> bool:
        """A person closes the breaker, as a success would; False where nothing was counted."""
        return self._reset(variant, now_s)

    def forget(self, variant: str) -> None:
        """Drop everything about a variant."""
        breaker, reset_s = self._breakers.pop(variant, None), self._resets.pop(variant, None)
        if breaker is not None or reset_s is not None:
            self._changed[variant] = None

    # --- several processes ------------------------------------------------------------------------

    def changes(self) -> dict[str, bytes]:
        """What the others have to know since the last call: the state of each variant that changed;
        nothing for one that was forgotten."""
        changed, self._changed = self._changed, {}
        return {variant: self._told(variant) for variant in changed}

    def records(self) -> list[Record]:
        """The same as records; the one that an older version kept for all goes with them."""
        records = [_record(variant, data) for variant, data in self.changes().items()]
        if self._was_one_record:
            self._was_one_record = False
            records.append(Record(BREAKER, ALL, b"", expires_at_s=0.0))
        return records

    def _told(self, variant: str) -> bytes:
        known = self._breakers.get(variant)
        if known is None:
            reset_s = self._resets.get(variant)
            return msgspec.json.encode(_Breaker(changed_s=reset_s)) if reset_s is not None else b""
        return msgspec.json.encode(_Breaker(known.failures, known.until_s, None, known.changed_s))

    def merge(self, variant: str, data: bytes) -> bool:
        """Take in what another process told; True where that changed anything.

        Of two that count failures the larger count and the later end hold: a deployment that fails
        everywhere is left everywhere. A success takes back what failed before it and nothing later.
        Anything that is no breaker is ignored.
        """
        try:
            told = decoded(data, _Breaker)
        except msgspec.DecodeError:
            return False
        mine = self._breakers.get(variant)
        if told.failures <= 0:
            if told.changed_s > self._resets.get(variant, 0.0):  # where nothing is known here, too
                self._note_reset(variant, told.changed_s)
            if mine is None or mine.changed_s > told.changed_s:
                return False
            del self._breakers[variant]
            return True
        if told.changed_s <= self._resets.get(variant, -1.0):
            return False
        if mine is None:
            self._breakers[variant] = _Breaker(told.failures, told.until_s, None, told.changed_s)
            return True
        return _join(mine, told)

    @staticmethod
    def is_forgotten(data: bytes, now_s: float) -> bool:
        """True for what ``changes`` told so long ago that nobody needs it, and for what is no breaker."""
        try:
            told = decoded(data, _Breaker)
        except msgspec.DecodeError:
            return True
        return 0.0 < told.changed_s < now_s - _FORGOTTEN_S

    def dump(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(_Dump(_VERSION, self._breakers))

    def load(self, data: bytes) -> None:
        """Take back what ``dump`` wrote; anything else is ignored, so that a damaged record never
        keeps a deployment from being served. Tokens that were out return at once."""
        try:
            dump = decoded(data, _Dump)
        except msgspec.DecodeError:
            return
        if dump.version != _VERSION:
            return
        self._breakers = dump.breakers
        for breaker in self._breakers.values():
            breaker.taken_s = None
        self._changed.update(dict.fromkeys(dump.breakers))
        self._was_one_record = True

    def _is_running(self, breaker: _Breaker, now_s: float) -> bool:
        # An end further away than the cap shows that the clock went back: the opening counts as over.
        return breaker.until_s is not None and now_s < breaker.until_s <= now_s + self._cap_s

    def _wants_probe(self, breaker: _Breaker, now_s: float) -> bool:
        if breaker.until_s is None or self._is_running(breaker, now_s):
            return False
        return not self._is_out(breaker, now_s)

    def _is_out(self, breaker: _Breaker, now_s: float) -> bool:
        taken = breaker.taken_s
        return taken is not None and taken <= now_s < taken + self.token_s

    def _due_s(self, breaker: _Breaker, now_s: float) -> float | None:
        if breaker.until_s is None:
            return None
        if self._is_running(breaker, now_s):
            return breaker.until_s
        if self._is_out(breaker, now_s) and breaker.taken_s is not None:
            return breaker.taken_s + self.token_s
        return now_s


def _join(mine: _Breaker, told: _Breaker) -> bool:
    """Count the failures of both; True where mine changed."""
    before = (mine.failures, mine.until_s)
    mine.failures = max(mine.failures, told.failures)
    mine.changed_s = max(mine.changed_s, told.changed_s)
    if told.until_s is not None and (mine.until_s is None or told.until_s > mine.until_s):
        mine.until_s, mine.taken_s = told.until_s, None
    return before != (mine.failures, mine.until_s)

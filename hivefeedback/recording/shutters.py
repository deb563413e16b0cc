"""What must not be served: open breakers and stopped rollouts, and who may probe."""

from __future__ import annotations

from collections import deque
from functools import partial

from hivefeedback.model import WeightsRefreshed
from hivefeedback.recording.parts import Parts

__all__ = ["Shutters"]

_LOOK_S = 1.0
"""How often it is looked whether somebody here has calls for what is half open."""


class Shutters:
    """Keeps the snapshot's breakers, probe tokens and stopped rollouts up to date."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self._probes: dict[str, deque[str]] = {}
        self._due_s: float | None = None

    def is_due(self, now_s: float) -> bool:
        """True where a breaker became half open or a token returned."""
        return self._due_s is not None and now_s >= self._due_s

    def set(self, now_s: float) -> None:
        """Serve the breakers of now: open ones out, one probe token for each half-open one."""
        p = self._p
        wanted = p.signals.shut_out
        for variant in p.breakers.half_open(now_s):
            if variant in wanted and p.breakers.take(variant, now_s):
                del wanted[variant]  # who has no further calls for it leaves the next token to others
                self._claim(variant, now_s)
        shut = p.breakers.open
        self._probes = {variant: tokens for variant, tokens in self._probes.items() if variant in shut}
        p.signals.shut_out = {variant: None for variant in wanted if variant in shut}
        before = p.refresher.snapshot.open_breakers
        if p.refresher.reopen(shut, self._probes, frozenset(p.harm.tripped)):
            p.events.tell(WeightsRefreshed(p.refresher.snapshot.weights_version, cause="shut"), now_s)
            for variant in sorted(shut ^ before):
                self._tell("breaker_open" if variant in shut else "breaker_closed", variant)
        due_s = p.breakers.next_due_s(now_s)
        self._due_s = due_s if due_s is None or due_s > now_s else now_s + _LOOK_S

    def _claim(self, variant: str, now_s: float) -> None:
        """One process probes; one that cannot ask the others does it too."""
        claim = partial(self._p.probes.claim, variant, now_s, self._p.breakers.token_s)
        self._p.ask(claim, partial(self._claimed, variant), partial(self._claimed, variant, True))

    def _claimed(self, variant: str, is_ours: bool) -> None:
        standing = self._p.breakers.standing(variant)
        if is_ours and standing is not None and standing[1] <= self._p.clock():  # else its story went on meanwhile
            self._probes[variant] = deque((variant,))
            self._p.signals.is_shut_dirty = True

    def _tell(self, word: str, variant: str) -> None:
        alarm = partial(self._p.events.alarm, word, variant)
        ask = partial(self._p.probes.is_news, variant, word)
        self._p.ask(ask, lambda is_news: alarm() if is_news else None, alarm)

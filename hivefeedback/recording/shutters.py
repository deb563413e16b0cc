"""What must not be served: open breakers and stopped rollouts, and who may probe."""

from __future__ import annotations

from collections import deque

from hivefeedback.model import WeightsRefreshed
from hivefeedback.recording.parts import Parts

__all__ = ["Shutters"]


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
        for variant in p.breakers.half_open(now_s):
            if p.breakers.take(variant, now_s):
                self._probes[variant] = deque((variant,))
        shut = p.breakers.open_at(now_s)
        self._probes = {variant: tokens for variant, tokens in self._probes.items() if variant in shut}
        before = p.refresher.snapshot.open_breakers
        if p.refresher.reopen(shut, self._probes, frozenset(p.harm.tripped)):
            p.events.tell(WeightsRefreshed(p.refresher.snapshot.weights_version, cause="shut"), now_s)
            for variant in sorted(shut ^ before):
                p.events.alarm("breaker_open" if variant in shut else "breaker_closed", variant)
        self._due_s = p.breakers.next_due_s(now_s)

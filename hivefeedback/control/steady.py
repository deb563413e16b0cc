"""Whether the wall clock can be trusted with what cannot be undone: dropping what is old.

A clock that is set months ahead by mistake makes everything old at once. So a jump is waited out: only
where the new time has held for an hour of the monotonic clock, something is dropped by it. A process which
begins with a wrong clock sees no jump: ``upkeep`` compares with when the store was last kept up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Steady"]

log = logging.getLogger(__name__)

TOLERATED_S: Final = 600.0
"""A clock that is put right, or summer time that is mistaken for a change of it, moves by less or is waited out."""
HOLD_S: Final = 3600.0


class Steady:
    """Follows both clocks of this process.

    Args:
        clock: Seconds since 1970 UTC.
        monotonic: Seconds that never jump.

    >>> wall, mono = [1000.0], [0.0]
    >>> steady = Steady(lambda: wall[0], lambda: mono[0])
    >>> wall[0] += 86400.0; steady.holds()
    False
    >>> wall[0] += HOLD_S; mono[0] += HOLD_S; steady.holds()
    True
    """

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._ahead_s = clock() - monotonic()
        self._trusted_from_s = float("-inf")

    def holds(self) -> bool:
        """True where the wall clock has not jumped for an hour."""
        now_s = self._monotonic()
        ahead_s = self._clock() - now_s
        jump_s = ahead_s - self._ahead_s
        self._ahead_s = ahead_s
        if abs(jump_s) > TOLERATED_S:
            self._trusted_from_s = now_s + HOLD_S
            log.warning(
                "the clock jumped by %.0f s; nothing is dropped for its age before it has held for an hour", jump_s
            )
        return now_s >= self._trusted_from_s

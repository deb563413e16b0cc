"""The clock that the application gives, and what is done where it answers nonsense."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from numbers import Real
from typing import Final, TypeGuard

from hivefeedback.errors import ConfigurationError

__all__ = ["sound_clock"]

log = logging.getLogger(__name__)

_LATEST_S: Final = 253_402_300_799.0
"""The end of the year 9999, beyond which no date can be written."""
_EXPECTED: Final = "expected a function that answers seconds since 1970, at most those of the year 9999"


def sound_clock(given: object) -> Callable[[], float]:
    """The machine's clock, or the given one behind a guard: it answers the last good time for a bad one.

    Args:
        given: A function that answers seconds since 1970 UTC, or None.

    Raises:
        ConfigurationError: It is no such function.

    >>> times = iter([5.0, float("nan"), 1e20, 7.0])
    >>> clock = sound_clock(lambda: next(times))  # asked once, to see whether it is one
    >>> clock(), clock(), clock()
    (5.0, 5.0, 7.0)
    """
    if given is None:
        return time.time
    if not callable(given):
        raise ConfigurationError(f"clock is {given!r}; {_EXPECTED}")
    try:
        now_s = given()
    except Exception as error:  # whatever the host's function raises; it would look like a store that is gone
        raise ConfigurationError(f"clock failed with {type(error).__name__}: {error}; {_EXPECTED}") from error
    if not _is_good(now_s):
        raise ConfigurationError(f"clock answered {now_s!r:.100}; {_EXPECTED}")
    return _Guarded(given, now_s)


def _is_good(now_s: object) -> TypeGuard[float]:
    if isinstance(now_s, bool) or not isinstance(now_s, Real):
        return False
    return 0.0 <= float(now_s) <= _LATEST_S


class _Guarded:
    """Asks the host's function, which may fail at any time."""

    def __init__(self, given: Callable[[], float], now_s: float) -> None:
        self._given, self._last_s, self._is_told = given, now_s, False

    def __call__(self) -> float:
        try:
            now_s = self._given()
        except Exception:  # noqa: BLE001  # the host's function, called from the host's own calls
            now_s = float("nan")
        if _is_good(now_s):
            self._last_s = now_s
        elif not self._is_told:
            self._is_told = True
            log.warning("the clock failed or answered nonsense; the last good time counts then (said once)")
        return self._last_s

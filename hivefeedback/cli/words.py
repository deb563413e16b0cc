"""Durations, times and numbers as people write and read them."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

__all__ = ["age", "amount", "clock_time", "count", "duration_s", "moment_s", "number", "percent", "plain"]

_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MAX_S: Final = 400 * 86400.0
"""Aggregates are kept for 400 days."""


def duration_s(text: str) -> float:
    """Seconds of a duration such as ``30s``, ``5m``, ``24h``, ``7d``, ``1h30m``; at most 400 days.

    Raises:
        argparse.ArgumentTypeError: It is none.

    >>> duration_s("24h"), duration_s("1h30m")
    (86400.0, 5400.0)
    """
    cleaned = text.strip().lower()
    if not cleaned or _DURATION.sub("", cleaned).strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; expected such as 30s, 5m, 24h or 7d")
    total = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION.findall(cleaned))
    if not 0 < total <= _MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range; expected more than 0 and at most 400d")
    return total


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Reads a finite number in [low, high].

    >>> number(0, 1)("0.5")
    0.5
    """
    expected = f"from {low:g} to {high:g}" if math.isfinite(high) else f"from {low:g} up"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {expected}")
        return value

    return read


def moment_s(text: str, now_s: float) -> float:
    """Seconds since 1970 UTC of a date, a time, or a duration ago.

    Raises:
        ValueError: It is none of these.

    >>> moment_s("1970-01-02", 0.0), moment_s("1h", 7200.0), moment_s("1970-01-01T01:00:00+01:00", 0.0)
    (86400.0, 3600.0, 0.0)
    """
    try:
        return now_s - duration_s(text)
    except argparse.ArgumentTypeError:
        pass
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time; expected such as 2026-01-31, 2026-01-31T12:00Z or 30d (ago)") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def clock_time(at_s: float) -> str:
    """A time in UTC, to the second; a question mark where no calendar has it.

    >>> clock_time(0.0)
    '1970-01-01 00:00:00'
    """
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "?"


def age(seconds: float) -> str:
    """A length of time in its largest unit.

    >>> age(90), age(7200), age(200000), age(0.4)
    ('1m', '2h', '2d', '0s')
    """
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def count(n: int) -> str:
    """A whole number with its thousands apart.

    >>> count(1234567)
    '1 234 567'
    """
    return f"{n:,}".replace(",", " ")


def percent(share: float | None) -> str:
    """A share in percent with one digit; ``-`` where nothing is known.

    >>> percent(0.9876), percent(None)
    ('98.8', '-')
    """
    return "-" if share is None else f"{100 * share:.1f}"


def amount(value: float | None) -> str:
    """A number with three significant digits, never in powers of ten where it can be helped.

    >>> amount(0.01234), amount(12.345), amount(98765.4), amount(0.0), amount(None)
    ('0.0123', '12.3', '98 765', '0', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return count(round(value))
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits}f}" if digits <= 9 else f"{value:.2e}"


def plain(text: str, *, is_block: bool = False) -> str:
    """Text that cannot command a terminal: control characters and marks of writing direction escaped.

    Args:
        text: Anything, such as an id from somebody's log.
        is_block: Keep line breaks and tabs.

    >>> plain("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """

    def escaped(match: re.Match[str]) -> str:
        found = match.group()
        if is_block and found in "\n\t":
            return found
        return f"\\x{ord(found):02x}" if ord(found) < 256 else f"\\u{ord(found):04x}"

    return _CONTROL.sub(escaped, text)

"""Time buckets: minutes become hours after 2 h, hours become days after 7 days, days go after 400."""

from __future__ import annotations

from msgspec import Struct

from hivefeedback.stats import BUCKET_S

__all__ = ["DAY_S", "Horizon", "buckets_of", "is_read"]

HOUR_S, DAY_S = 3600, 86_400
KEEP_MINUTES_S, KEEP_HOURS_S, KEEP_DAYS_S = 2 * HOUR_S, 7 * DAY_S, 400 * DAY_S


class Horizon(Struct, frozen=True, array_like=True):
    """How far compaction has come: before ``hours_before`` there are no new minutes, before
    ``days_before`` no new hours, before ``gone_before`` nothing.

    It follows the clock, back as well: after a clock that was wrong for a while, new minutes are
    minutes again. A narrow bucket inside a wide one harms nobody, each run is in one of them.
    """

    hours_before: int = 0
    days_before: int = 0
    gone_before: int = 0

    @classmethod
    def at(cls, now_s: float) -> Horizon:
        """The horizon at a time.

        >>> Horizon.at(10 * 86_400.0)
        Horizon(hours_before=856800, days_before=259200, gone_before=0)
        """
        return cls(
            max(0, int((now_s - KEEP_MINUTES_S) // HOUR_S) * HOUR_S),
            max(0, int((now_s - KEEP_HOURS_S) // DAY_S) * DAY_S),
            max(0, int((now_s - KEEP_DAYS_S) // DAY_S) * DAY_S),
        )

    def bucket(self, minute: int) -> tuple[int, int]:
        """(start, width) of the bucket that a minute belongs to now."""
        if minute < self.days_before:
            return minute // DAY_S * DAY_S, DAY_S
        if minute < self.hours_before:
            return minute // HOUR_S * HOUR_S, HOUR_S
        return minute, BUCKET_S


def buckets_of(minute: int) -> tuple[tuple[int, int], ...]:
    """(start, width) of each bucket that a minute may lie in, the narrow ones first.

    >>> buckets_of(3660)
    ((3660, 60), (3600, 3600), (0, 86400))
    """
    return tuple((minute // width * width, width) for width in (BUCKET_S, HOUR_S, DAY_S))


def is_read(start_s: int, width_s: int, from_s: float, to_s: float) -> bool:
    """True where a window reads a bucket: minutes that begin in it, wider ones that overlap it."""
    if width_s <= BUCKET_S:
        return from_s <= start_s < to_s
    return start_s < to_s and start_s + width_s > from_s

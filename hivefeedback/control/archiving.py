"""Keeps the log within its age and its size; what leaves it is archived first, where an archive is set.

Events go page by page: read, written to the archive and synced, dropped from the log. Exactly what was
read is dropped, so that an event that comes meanwhile is not lost, however old it says it is. Whoever is
killed on the way leaves at most one page in both places, and the next one to archive does not keep that
page twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from hivefeedback.control.context import Context
from hivefeedback.errors import StoreError
from hivefeedback.hooks import Archive, TrimmedLog
from hivefeedback.model import Event

__all__ = ["shorten_log"]

log = logging.getLogger(__name__)

PAGE = 20_000
"""Events in one segment of the archive: some 10 MB of JSON, half a second of work."""
PAGES = 5
"""Segments in one turn, which has other things to do; a turn a minute archives 140 million events a day."""
_Page = Callable[[TrimmedLog], Sequence[tuple[int, Event]]]


def shorten_log(ctx: Context, now_s: float, leads: Callable[[], bool]) -> bool:
    """Drop what is too old or too much; False where more is left than one turn has time for.

    ``leads`` renews the lease and is asked before each page; where that is lost, nothing more goes.
    What cannot be archived stays in the log: that is logged, and tried again in an hour.
    """
    before_s, events = now_s - ctx.options.retain_events_s, ctx.store.log
    if isinstance(events, TrimmedLog):
        return _by_pages(ctx, events, before_s, leads)
    if ctx.archive is not None:
        log.warning("store %s cannot drop exactly what was archived, so nothing leaves its log", _kind(ctx))
        return True
    if ctx.options.retain_events_n is not None:
        log.warning("store %s cannot bound its log by a number; it is bounded by age alone", _kind(ctx))
    events.retain(before_s=before_s)
    return True


def _by_pages(ctx: Context, events: TrimmedLog, before_s: float, leads: Callable[[], bool]) -> bool:
    n_most = ctx.options.retain_events_n

    def too_old(log_: TrimmedLog) -> Sequence[tuple[int, Event]]:
        return log_.older(before_s=before_s, limit=PAGE)

    def too_many(log_: TrimmedLog) -> Sequence[tuple[int, Event]]:
        excess = log_.count() - n_most if n_most is not None else 0
        return log_.read(limit=min(excess, PAGE)) if excess > 0 else ()

    if ctx.archive is None:
        events.retain(before_s=before_s)
        return _move(events, too_many, None, PAGES, leads) > 0
    try:
        left = _move(events, too_old, ctx.archive, PAGES, leads)
        return left > 0 and _move(events, too_many, ctx.archive, left, leads) > 0
    except StoreError as error:
        log.error("events that are due to leave the log stay there, since they could not be archived: %s", error)
        return True


def _move(events: TrimmedLog, page_of: _Page, archive: Archive | None, n_pages: int, leads: Callable[[], bool]) -> int:
    """Let pages leave the log; answers how many more there would have been time for."""
    while n_pages > 0:
        if not leads():
            return 0
        if archive is None:
            page = page_of(events)
            events.drop(page)
        else:
            with archive.alone():  # an erasure finds each event in the one place or in the other
                page = page_of(events)
                archive.write([event for _, event in page])
                events.drop(page)
                archive.settle()
        if len(page) < PAGE:
            break
        n_pages -= 1
    return n_pages


def _kind(ctx: Context) -> str:
    return ctx.store.url.partition("://")[0]

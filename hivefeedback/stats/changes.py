"""What changed in the aggregates since somebody last looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hivefeedback.stats.delta import Exemplar
from hivefeedback.stats.view import Slice

__all__ = ["Changes"]


class Changes(Struct, frozen=True, kw_only=True):
    """How to bring a copy of the aggregates up to date; in the order of the arguments.

    Args:
        mark: Where the copy stands afterwards; give it back the next time.
        is_whole: True where the copy has to be emptied first: everything of the window follows.
        hours_before_s: Buckets narrower than an hour that begin before are gone; 0: none.
        days_before_s: The same for buckets narrower than a day.
        replaced: Cells as they are now, in place of what was known of their bucket and key; may be
            an iterator, to be read once.
        added: Cells to be added to what is known of their bucket and key.
        newest: Newest runs by (deployment, operation), in place of what was known.
        newer: Runs to be added to those.
    """

    mark: str
    is_whole: bool
    hours_before_s: int = 0
    days_before_s: int = 0
    replaced: Iterable[Slice] = ()
    added: Iterable[Slice] = ()
    newest: Mapping[tuple[str, str], Sequence[Exemplar]] = {}
    newer: Mapping[tuple[str, str], Sequence[Exemplar]] = {}

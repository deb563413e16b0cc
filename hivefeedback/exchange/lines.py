"""The lines of an export: JSON, one thing each, told apart by ``kind``."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Raw, Struct

from hivefeedback.model import Configuration, JournalEntry
from hivefeedback.stats import Cell, CellKey, Exemplar

__all__ = [
    "KINDS",
    "VERSION",
    "CellLine",
    "CheckpointLine",
    "EndLine",
    "EntryLine",
    "EventLine",
    "HeadLine",
    "Kind",
    "Line",
    "NewestLine",
    "RecordLine",
    "SaltLine",
    "Sum",
    "TextLine",
    "kind_of",
]

VERSION: Final = 1
"""Of the container. What is in it has versions of its own: events say theirs."""

Kind = Literal["salt", "text", "entry", "checkpoint", "cell", "newest", "record", "event"]
KINDS: Final[tuple[Kind, ...]] = ("salt", "text", "entry", "checkpoint", "cell", "newest", "record", "event")
"""In the order in which they follow each other: what a half-carried store can least do without comes first."""


class HeadLine(Struct, tag_field="kind", tag="hivefeedback-export", kw_only=True):
    """The first line.

    Args:
        version: Of the container.
        made_at_s: When it was made, seconds since 1970 UTC.
        store: Scheme of the store that it was made from; no address, which may hold a password.
        by: Version of hivefeedback.
    """

    version: int
    made_at_s: float
    store: str
    by: str


class SaltLine(Struct, tag_field="kind", tag="salt"):
    """What the hashes of texts are salted with."""

    salt: str


class TextLine(Struct, tag_field="kind", tag="text"):
    """A text beside the journal."""

    hash: str
    text: str


class EntryLine(Struct, tag_field="kind", tag="entry"):
    """An entry of the journal."""

    entry: JournalEntry


class CheckpointLine(Struct, tag_field="kind", tag="checkpoint"):
    """The fold of the journal up to its version."""

    config: Configuration


class CellLine(Struct, tag_field="kind", tag="cell"):
    """Aggregates of one key and time bucket."""

    start_s: int
    width_s: int
    key: CellKey
    cell: Cell


class NewestLine(Struct, tag_field="kind", tag="newest"):
    """The newest runs of a (deployment, operation)."""

    deployment: str
    operation: str
    runs: list[Exemplar]


class RecordLine(Struct, tag_field="kind", tag="record"):
    """A small record; its version begins anew where it is carried to."""

    namespace: str
    key: str
    value: bytes
    expires_at_s: float | None = None


class EventLine(Struct, tag_field="kind", tag="event"):
    """An event of the log; ``n`` counts them from 1, so that the sum is also one of their order."""

    n: int
    event: Raw


class Sum(Struct, array_like=True):
    """How many lines of a kind there are, and the sum of their SHA-256 modulo 2²⁵⁶, in hexadecimal digits.

    A sum and no hash of the whole: two stores tell their cells in different orders.
    """

    n: int = 0
    digits: str = "0"

    def plus(self, n: int, total: int) -> Sum:
        """With further lines."""
        return Sum(self.n + n, f"{(int(self.digits, 16) + total) % (1 << 256):x}")


class EndLine(Struct, tag_field="kind", tag="end"):
    """The last line: the sum of each kind, and a SHA-256 of everything before it."""

    sums: dict[Kind, Sum]
    all: str


Line = SaltLine | TextLine | EntryLine | CheckpointLine | CellLine | NewestLine | RecordLine | EventLine


_KINDS: Final[dict[type, Kind]] = {
    SaltLine: "salt",
    TextLine: "text",
    EntryLine: "entry",
    CheckpointLine: "checkpoint",
    CellLine: "cell",
    NewestLine: "newest",
    RecordLine: "record",
    EventLine: "event",
}


def kind_of(line: Line) -> Kind:
    """Which of ``KINDS`` a line is."""
    return _KINDS[line.__class__]

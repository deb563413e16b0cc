"""Rules that hold for every store, whatever it keeps its data in."""

from __future__ import annotations

from dataclasses import replace

from hivefeedback.errors import ClosedError, ConflictError, StoreUnreachableError
from hivefeedback.hooks import Record
from hivefeedback.model import JournalEntry
from hivefeedback_stores.codec import finite
from hivefeedback_stores.erasure import Join
from hivefeedback_stores.lease import Heartbeat

__all__ = ["appended", "check_version", "closed", "is_live", "joins_of", "read_only_error", "released"]


def joins_of(trace_id: str, decision_id: str, response_id: str, session_id: str) -> list[tuple[Join, str]]:
    """The joins that were given, the strongest first."""
    pairs: list[tuple[Join, str]] = [
        ("trace_id", trace_id),
        ("decision_id", decision_id),
        ("response_id", response_id),
        ("session_id", session_id),
    ]
    return [(join, value) for join, value in pairs if value]


def appended(entry: JournalEntry, expected_head: int, head: int, present: Heartbeat) -> JournalEntry:
    """The entry as the journal keeps it, after compare-and-set and fencing.

    Raises:
        ConflictError: Somebody appended first, or a newer leader is there.
    """
    if head != expected_head:
        raise ConflictError(f"the journal's head is {head}, expected {expected_head}; read it again and retry")
    if 0 < entry.token < present.token:
        raise ConflictError(
            f"the entry's fencing token {entry.token} is older than {present.token}; "
            f"{present.holder or 'another process'!r} leads now"
        )
    return finite(replace(entry, seq=head + 1))


def released(heartbeat: Heartbeat) -> Heartbeat:
    """The heartbeat that nobody holds; the token stays, so that the next holder's is larger."""
    return Heartbeat("", heartbeat.token, heartbeat.beat + 1, 0.0)


def check_version(record: Record, present: Record | None, expected: int | None) -> None:
    """Compare-and-set of a record.

    Raises:
        ConflictError: ``expected`` is given and is not the present version.
    """
    version = present.version if present else 0
    if expected is not None and expected != version:
        raise ConflictError(
            f"record {record.namespace!r}/{record.key!r} has version {version}, expected {expected}; read and retry"
        )


def is_live(record: Record, now_s: float) -> bool:
    """False where the record has expired."""
    return record.expires_at_s is None or record.expires_at_s > now_s


def closed(url: str) -> ClosedError:
    """The error of a store that is used after ``close``."""
    return ClosedError(f"store {url} was closed; open it again")


def read_only_error(url: str) -> StoreUnreachableError:
    """The error of a write to a store that was opened for reading."""
    return StoreUnreachableError(f"store {url} is open for reading only; open it without read_only")

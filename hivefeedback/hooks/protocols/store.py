"""What a store implements: log, aggregates, journal, configuration, state; and an archive of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from msgspec import Struct

from hivefeedback.model import (
    Configuration,
    Event,
    JournalEntry,
)
from hivefeedback.stats import Changes, Delta, View

__all__ = [
    "Aggregates",
    "Archive",
    "ArchiveFactory",
    "CarriedJournal",
    "Commit",
    "Config",
    "EventLog",
    "FollowedAggregates",
    "Journal",
    "Lease",
    "ListedState",
    "Record",
    "Selector",
    "State",
    "Store",
    "StoreFactory",
    "TrimmedLog",
    "WatchedJournal",
]


class Record(Struct, frozen=True):
    """A small record of ``State``.

    Args:
        namespace, key: Its name.
        value: Its content, usually JSON.
        version: Grows by 1 with each put, from 1; 0 where there is none yet.
        expires_at_s: When it vanishes, by the store's clock; None: never.
    """

    namespace: str
    key: str
    value: bytes
    version: int = 0
    expires_at_s: float | None = None


class Commit(Struct, frozen=True):
    """Everything that one producer adds at once; a store applies all of it or nothing.

    Args:
        producer, epoch: Who.
        number: Grows by 1 with each commit of (producer, epoch), from 1. A number that was
            applied already is skipped without an error: repeats are harmless.
        events: For the log, in order of ``seq``.
        delta: For the aggregates.
        records: For ``State``, last writer wins; ``version`` is ignored.
    """

    producer: str
    epoch: int
    number: int
    events: Sequence[Event]
    delta: Delta
    records: Sequence[Record] = ()


class Selector(Struct, frozen=True):
    """What to erase; all given parts must hold. ``user`` is the HMAC as stored."""

    deployment: str | None = None
    agent: str | None = None
    session: str | None = None
    user: str | None = None
    before_s: float | None = None


class Lease(Struct, frozen=True):
    """The right to write the turn's entries; ``token`` grows with each new holder."""

    holder: str
    token: int
    length_s: float


class EventLog(Protocol):
    """The events, in the order in which they were committed."""

    def read(self, *, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        """Events behind a position, each with its own; positions grow, gaps are allowed."""

    def find(self, event_id: str) -> Event | None:
        """The newest event of that id (a run's, a decision's), or None."""

    def find_run(
        self, *, trace_id: str = "", decision_id: str = "", response_id: str = "", session_id: str = ""
    ) -> Event | None:
        """The run that feedback by one of these belongs to: the root run of a trace (without
        parent; else its first), the newest of a decision by a model (else by whatever agent), the
        newest of a session, the one of a response."""

    def said_of(self, run: Event) -> Sequence[Event]:
        """Feedback and scores that belong to a run, by the same rules, in the order of the log."""

    def count(self) -> int:
        """How many events are stored."""

    def erase(self, selector: Selector) -> int:
        """Remove matching events and their feedback, take back from the aggregates what they had
        added and from the exemplars what names them; answers how many events went."""

    def retain(self, *, before_s: float) -> int:
        """Drop events older than that; aggregates stay. Answers how many went."""


@runtime_checkable
class TrimmedLog(EventLog, Protocol):
    """A log from which exactly those events can be dropped that were archived.

    Optional: without it the log is bounded by age alone, and nothing leaves it where an archive is set.
    """

    def older(self, *, before_s: float, after: int = 0, limit: int = 10_000) -> Sequence[tuple[int, Event]]:
        """Events behind a position that are older than a time, in order; as ``read`` answers them."""

    def drop(self, placed: Sequence[tuple[int, Event]]) -> int:
        """Drop events that this log has answered; aggregates stay. Answers how many were still there.
        Events that were committed meanwhile stay, whatever their time."""


class Aggregates(Protocol):
    """Cells by key and time bucket: minutes, after 2 h hours, after 7 days days (UTC)."""

    def read(self, *, from_s: float, to_s: float) -> View:
        """Every bucket that begins in the window, at the resolution that is still there, and the
        newest exemplars."""

    def compact(self, *, now_s: float) -> None:
        """Merge old buckets into wider ones; drop those older than 400 days."""


@runtime_checkable
class FollowedAggregates(Aggregates, Protocol):
    """Aggregates that can say what changed in them.

    Optional: with it a process takes in what all processes committed without reading its windows
    anew, so that a question costs milliseconds and not a second; without it ``read`` is asked.
    """

    def changes(self, *, after: str, from_s: float) -> Changes:
        """What changed since a mark, for a copy that holds the buckets that end after ``from_s``.

        Args:
            after: The mark of the changes that were taken in last; empty: of none.
            from_s: Seconds since 1970 UTC; buckets that ended before need not be told.

        Returns:
            Everything of the window where the mark is not known (any more), and after an erasure.
        """


class Journal(Protocol):
    """The append-only list of what happened to the configuration."""

    def head(self) -> int:
        """Sequence number of the last entry; 0 for an empty journal. Cheap: polled each second."""

    def read(self, *, after: int = 0) -> Sequence[JournalEntry]:
        """Entries with a larger sequence number, in order."""

    def append(self, entry: JournalEntry, *, expected_head: int) -> JournalEntry:
        """Append if the head is still ``expected_head``; answers the entry with its ``seq``.
        Durable when it returns.

        Raises:
            ConflictError: Somebody appended first, or ``entry.token`` is not 0 and smaller than
                the newest lease token (fenced).
        """

    def put_body(self, text: str) -> str:
        """Store a text (≤ 256 KiB) beside the journal; answers its salted content hash."""

    def body(self, content_hash: str) -> str | None:
        """The text, or None where it was erased or never there."""

    def erase_body(self, content_hash: str) -> bool:
        """Forget a text; the entries that name it stay."""


@runtime_checkable
class CarriedJournal(Journal, Protocol):
    """A journal whose texts can be carried to another store under the names that entries know them by.

    Optional: the texts of a journal without it stay where they are when a store is exported.
    """

    def salt(self) -> str:
        """What the hashes of texts are salted with."""

    def bodies(self) -> Iterable[tuple[str, str]]:
        """All texts, each with its hash."""

    def adopt(self, salt: str, bodies: Iterable[tuple[str, str]]) -> None:
        """Take over the salt and texts of another journal; a repeat changes nothing.

        Raises:
            ConflictError: There are texts here under another salt.
        """


@runtime_checkable
class WatchedJournal(Journal, Protocol):
    """A journal that says by itself that it has grown.

    Optional: with it a process learns of a change within milliseconds; without it, and whenever a word
    gets lost, at its next look (``config_poll_s``).
    """

    def watch(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Have ``on_change`` called soon after entries were appended by anybody, on a thread of the store's.

        Args:
            on_change: Returns at once and does not raise. It may be called without need, and once for
                several entries; after an interruption it is called when watching has begun again.

        Returns:
            Ends the watching; never waits for the store. It ends with the store as well.
        """


class Config(Protocol):
    """A checkpoint of the journal's fold, and the lease of the one leader."""

    def load(self) -> Configuration | None:
        """The newest checkpoint; ``version`` says which entry it includes."""

    def save(self, config: Configuration) -> None:
        """Keep a checkpoint; an older one never replaces a newer one."""

    def acquire(self, holder: str, *, length_s: float) -> Lease | None:
        """Take or renew the lease; None while another holder's heartbeat still moves. Judged by
        the store's clock, or by a heartbeat that has not moved for its length on the observer's
        monotonic clock; a new holder gets a larger token."""

    def release(self, holder: str) -> None:
        """Give the lease back, if it is held by this holder."""


class State(Protocol):
    """Small records by (namespace, key), with version, compare-and-set and expiry."""

    def get(self, namespace: str, key: str) -> Record | None:
        """The record, or None where there is none or it expired."""

    def put(self, record: Record, *, expected: int | None = None) -> Record:
        """Write a record; answers it with its new version.

        Raises:
            ConflictError: ``expected`` is given and is not the present version (0: must not be
                there).
        """

    def delete(self, namespace: str, key: str) -> bool:
        """Remove a record; False where there was none."""

    def list(self, namespace: str, *, prefix: str = "") -> Sequence[Record]:
        """Records of a namespace in order of key."""


@runtime_checkable
class ListedState(State, Protocol):
    """Records whose namespaces can be told. Optional: a store without it is exported without records."""

    def namespaces(self) -> Sequence[str]:
        """Namespaces that hold a record, in order."""


class Store(Protocol):
    """Everything that is kept. Safe to call from any thread.

    Raises from any method: StoreUnreachableError, StoreCorruptError, StoreVersionError.
    """

    url: str
    commit_every_s: float
    """How long the recorder may gather before a commit (0.1; the JSON store 1)."""
    log: EventLog
    aggregates: Aggregates
    journal: Journal
    config: Config
    state: State

    def commit(self, commit: Commit) -> None:
        """Apply a commit, all or nothing, once."""

    def check(self) -> Sequence[str]:
        """Sentences about what is wrong with the stored data; empty: nothing was found."""

    def close(self) -> None:
        """Let go of files and connections; further calls raise ClosedError."""


class StoreFactory(Protocol):
    """Opens the store that a URL of its scheme names."""

    def __call__(self, url: str, *, read_only: bool = False) -> Store:
        """Open it.

        Raises:
            StoreUnreachableError: It cannot be opened; the message names it and the remedy.
        """


class Archive(EventLog, Protocol):
    """Where events go that leave the log; one writer at a time, readable as a log.

    ``find`` and the like look through everything: an archive is for reading from end to end.
    """

    def alone(self) -> AbstractContextManager[None]:
        """Keeps every other writer away, of other processes too, while the block runs.

        Raises:
            StoreUnreachableError: Another one is at work for too long.
        """

    def write(self, events: Sequence[Event]) -> None:
        """Keep events; on the disk when it returns. Those that an interrupted writer kept before
        they left the log are not kept twice.

        Raises:
            StoreUnreachableError: They could not be written; nothing of them counts.
        """

    def settle(self) -> None:
        """Everything that was written has left the log."""

    def check(self) -> Sequence[str]:
        """Sentences about what is wrong with the archive; empty: every sum is right."""


class ArchiveFactory(Protocol):
    """Opens the archive in a folder, which is made where it is missing."""

    def __call__(self, folder: str) -> Archive:
        """Open it.

        Raises:
            MissingExtraError: The format needs an extra.
            StoreUnreachableError, StoreCorruptError, StoreVersionError: It cannot be opened.
        """

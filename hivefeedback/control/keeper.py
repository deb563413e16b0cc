"""Holds the fold of the journal, and appends by compare-and-set."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from hivefeedback.errors import ConflictError, InvalidInputError, StoreError
from hivefeedback.hooks import Store
from hivefeedback.model import Configuration, JournalEntry, Ledger, Patch, decoded, fold, inverse, patched

__all__ = ["Build", "JournalKeeper"]

log = logging.getLogger(__name__)

Build = Callable[[Configuration, Ledger], JournalEntry | None]
"""Makes the next entry from the newest state, or None where nothing is left to do."""

MAX_TRIES = 1000
"""Each lost try means that another writer got on; so many in a row means a broken store."""


class JournalKeeper:
    """The configuration, the ledger and the texts that this process knows.

    Safe to call from any thread: readers take a reference, writers hold a lock.

    Args:
        store: Where the journal lies.
        checkpoint_every: Entries after which a checkpoint of the configuration is saved. 100
            entries fold in about a millisecond, so a start stays quick.
    """

    def __init__(self, store: Store, *, checkpoint_every: int = 100) -> None:
        self.n_erasures = 0
        """Erasures that were seen since the start."""
        self._store = store
        self._checkpoint_every = checkpoint_every
        self._lock = threading.RLock()
        self._config = Configuration()
        self._ledger: Ledger | None = None
        self._bodies: dict[str, str] = {}
        self._bodies_of: Configuration | None = None
        checkpoint = store.config.load()
        if checkpoint is not None and checkpoint.version <= store.journal.head():
            self._config = checkpoint
        self._saved_version = self._config.version
        self.refresh()

    @property
    def configuration(self) -> Configuration:
        """The configuration as of the last refresh."""
        return self._config

    @property
    def ledger(self) -> Ledger:
        """The life of every mutation as of the last refresh; read at first use, since a process
        that only serves does not need it."""
        ledger = self._ledger
        if ledger is None:
            with self._lock:
                version = self._config.version
                entries = [e for e in self._store.journal.read() if e.seq <= version]
                _, undos = _folded(Configuration(), entries)
                ledger = self._ledger = _with_undos(Ledger().after(entries), undos)
        return ledger

    def refresh(self) -> bool:
        """Take in what others appended; True if there was anything. Cheap where there was not."""
        if self._store.journal.head() == self._config.version:
            return False
        with self._lock:
            head = self._store.journal.head()  # anew, since another thread may have appended meanwhile
            if head < self._config.version:  # the store was put back to an older state
                self._config, self._ledger, self._saved_version = Configuration(), None, 0
            return self._take(self._store.journal.read(after=self._config.version))

    def append(self, build: Build, *, token: int = 0) -> JournalEntry | None:
        """Append what ``build`` makes of the newest state; it is asked again if another writer
        was faster, so it must decide from its arguments alone.

        Args:
            build: Makes the entry; called under the lock.
            token: Fencing token of the lease that the entry needs; 0: none.

        Returns:
            The entry as stored, or None where ``build`` had nothing to append.

        Raises:
            ConflictError: A newer leader has taken over (fenced).
            InvalidInputError: No process could read the entry; nothing was written.
        """
        with self._lock:
            for _ in range(MAX_TRIES):
                self.refresh()
                entry = build(self._config, self.ledger)
                if entry is None:
                    return None
                try:
                    fenced = replace(entry, token=token)
                    _check_readable(fenced)
                    stored = self._store.journal.append(fenced, expected_head=self._config.version)
                except ConflictError:
                    if not self.refresh() and token:
                        raise  # the head stands still, so it was the token
                    continue
                self._take((stored,))
                return stored
        raise ConflictError(f"the journal's head moved {MAX_TRIES} times in a row; try again")

    def put_body(self, text: str) -> str:
        """Store a text beside the journal; answers its hash, empty for an empty text."""
        return self._store.journal.put_body(text) if text else ""

    def body(self, content_hash: str) -> str:
        """A text by its hash; empty where there is none (any more)."""
        return (self._store.journal.body(content_hash) or "") if content_hash else ""

    def bodies(self) -> Mapping[str, str]:
        """Texts by hash of the prompts that are served, by the configuration or by a rollout."""
        with self._lock:
            if self._bodies_of is not self._config:
                texts = {h: self._bodies.get(h) or self._store.journal.body(h) for h in _bodies_used(self._config)}
                self._bodies = {h: text for h, text in texts.items() if text is not None}
                self._bodies_of = self._config
            return self._bodies

    def _take(self, entries: Sequence[JournalEntry]) -> bool:
        if not entries:
            return False
        config, undos = _folded(self._config, entries)
        if self._ledger is not None:
            self._ledger = _with_undos(self._ledger.after(entries), undos)
        n_erased = sum(e.state == "erased" for e in entries)
        if n_erased:
            self._bodies = {}
            self.n_erasures += n_erased
        self._config = config
        if config.version - self._saved_version >= self._checkpoint_every:
            self._save(config)
        return True

    def _save(self, config: Configuration) -> None:
        try:
            self._store.config.save(config)
        except StoreError as error:  # the journal holds; without a checkpoint the next start folds more
            log.warning("the checkpoint of configuration %d could not be saved: %s", config.version, error)
        self._saved_version = config.version


def _check_readable(entry: JournalEntry) -> None:
    """Refuse an entry with a value of a wrong type, such as a plugin may bring: it would stop every
    process that reads the journal. Numbers aside, since stores make those finite."""
    plain = replace(entry, numbers={}, verdicts=tuple(replace(v, numbers={}) for v in entry.verdicts))
    try:
        decoded(msgspec.json.encode(plain), JournalEntry)
    except (UnicodeEncodeError, OverflowError):
        return  # the store says so
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        about = f"{entry.state} of {entry.mutation_id or 'the configuration'}"
        raise InvalidInputError(f"the journal cannot keep {about}: {error}") from error


def _folded(config: Configuration, entries: Iterable[JournalEntry]) -> tuple[Configuration, dict[str, Patch]]:
    """The configuration after the entries, and the way back from each promotion among them."""
    undos: dict[str, Patch] = {}
    for entry in entries:
        if entry.state == "promoted":
            undos[entry.mutation_id] = inverse(config, entry.patch)
        config = fold(config, entry)
    return config, undos


def _with_undos(ledger: Ledger, undos: Mapping[str, Patch]) -> Ledger:
    known = {k: replace(ledger.lives[k], undo=undo) for k, undo in undos.items() if k in ledger.lives}
    return Ledger(lives={**ledger.lives, **known}) if known else ledger


def _bodies_used(config: Configuration) -> set[str]:
    arms = [config, *(patched(config, r.patch) for r in config.rollouts.values())]
    return {p.body for arm in arms for p in arm.prompts.values() if p.body}

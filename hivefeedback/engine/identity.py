"""Who a process is in the log: producer, epoch and the ids made from them."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from hivefeedback.errors import ConflictError
from hivefeedback.hooks import Record, Store
from hivefeedback.recording import Counters, Intake

__all__ = ["Identity", "new_identity", "stored_user", "user_key"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Producer and epoch; ids made from them and a number are unique in the store."""

    producer: str
    epoch: int

    @property
    def prefix(self) -> str:
        """What comes before the number in an id."""
        return f"{self.producer}-{self.epoch}-"


def new_identity(store: Store, *, is_deterministic: bool) -> Identity:
    """A process is a new producer. With a given clock the producer is always ``local`` and the
    epoch counts the starts on this store, so that the same calls make the same ids."""
    if not is_deterministic:
        return Identity(f"{os.getpid():x}{secrets.token_hex(5)}", 1)
    while True:
        record = store.state.get("producer", "local")
        epoch = int(record.value) + 1 if record else 1
        try:
            new = Record("producer", "local", str(epoch).encode())
            store.state.put(new, expected=record.version if record else 0)
        except ConflictError:
            continue
        return Identity("local", epoch)


def user_key(store: Store) -> bytes:
    """The store's own key, under which user ids are hashed; made once."""
    record = store.state.get("store", "user_key")
    if record is None:
        try:
            record = store.state.put(Record("store", "user_key", secrets.token_hex(32).encode()), expected=0)
        except ConflictError:
            record = store.state.get("store", "user_key")
    return record.value if record else b""


def stored_user(store: Store, user_id: str) -> str:
    """A user id as this store keeps it."""
    return Intake(Counters(), user_key=user_key(store), max_comment_bytes=0).hash_user(user_id)

"""What Redis says, in our words: which server, what happened, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hivefeedback.errors import (
    ConflictError,
    HiveFeedbackError,
    InvalidInputError,
    StoreCorruptError,
    StoreError,
    StoreUnreachableError,
    StoreVersionError,
)

__all__ = ["EmptiedError", "readable", "translated"]

_KEPT = "a process that had reached it keeps in memory for a while what is not committed"
_SAID = {
    "NOAUTH": "it asks for a password; write it into the URL: redis://user:password@host",
    "WRONGPASS": "it refuses the user or the password; check both in the URL",
    "NOPERM": "the user may not do what a store needs; allow it: ACL SETUSER name ~hive:* &hive:* +@all -@dangerous",
    "READONLY": "it is a replica, which takes no writes; name the master, or wait until the failover has ended",
    "OOM": f"its memory is full; raise maxmemory or shorten the log's retention, {_KEPT}",
    "MISCONF": f"it cannot write to its disk and takes no writes; see its log, {_KEPT}",
    "NOREPLICAS": f"it has too few replicas to take writes; {_KEPT}",
    "LOADING": "it is still loading its data; wait until it has",
    "BUSY": "another program's script keeps it busy; wait, or end that script",
    "MASTERDOWN": "it has lost its master; wait until the failover has ended",
    "CLUSTERDOWN": "the Cluster is down; see: redis-cli --cluster check host:port",
    "TRYAGAIN": "the store's slot is being moved to another node; wait until it has",
    "MOVED": "it is a node of a Cluster; write ?cluster=true behind the URL",
    "CROSSSLOT": "it is a node of a Cluster; write ?cluster=true behind the URL",
}
"""First words of refusals, and what to do about them."""
_WORDS = {
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "SlotNotCoveredError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
}
"""The client library has classes for some of them, and drops the word."""


class EmptiedError(StoreUnreachableError):
    """The store's keys are gone from a server that is there: it was restarted without what it had."""


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Raise ours where a value cannot be written as bytes; ``what`` names it."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{what} holds a lone surrogate, which no store can keep; replace it") from error
    except OverflowError as error:
        raise InvalidInputError(f"{what} holds a number that does not fit into 64 bits: {error}") from error


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Raise ours from what the client library raises in the block; ``shown`` names the server."""
    from redis import exceptions

    try:
        yield
    except exceptions.AuthenticationError as error:
        is_without = "required" in str(error) or "HELLO must be called" in str(error)
        word = "NOAUTH" if is_without else "WRONGPASS"
        raise StoreUnreachableError(f"{shown}: {_SAID[word]} ({error})") from error
    except exceptions.ResponseError as error:
        raise _refused(shown, error) from error
    except exceptions.DataError as error:
        raise InvalidInputError(f"a value cannot be sent to {shown}: {error}") from error
    except (exceptions.RedisError, exceptions.RedisClusterException) as error:
        raise _unreachable(shown, error) from error
    except (OSError, ValueError) as error:  # a host without an address; an option that is no number
        raise _unreachable(shown, error) from error


def _refused(shown: str, error: Exception) -> HiveFeedbackError:
    said = str(error)
    word, _, rest = said.partition(" ")
    if word == "HIVE_EMPTY":
        return EmptiedError(f"{shown} holds no store; was it restarted without its data?")
    if word == "HIVE_FENCED":
        return ConflictError(f"{shown}: another process leads now; this one's upkeep is refused")
    if word == "HIVE_FOREIGN":
        return StoreCorruptError(
            f"{shown} holds a key {rest!r} that this store did not write: another program uses it, or the rest of "
            "the store was evicted; name another store (?name=...), and set maxmemory-policy to noeviction"
        )
    if word == "HIVE_NEWER":
        return StoreVersionError(
            f"{shown} was written by a newer hivefeedback (schema {rest}); upgrade hivefeedback, or name another store"
        )
    word = "NOAUTH" if "unauthenticated" in said else _WORDS.get(type(error).__name__, word)
    if word in _SAID:
        return StoreUnreachableError(f"{shown}: {_SAID[word]} ({said})")
    if "out of range" in said or "SELECT is not allowed" in said:
        return StoreUnreachableError(f"{shown}: the database behind the host is not there ({said}); check the URL")
    return StoreError(f"{shown}: {said}")


def _unreachable(shown: str, error: Exception) -> StoreUnreachableError:
    said = str(error)
    if "Cluster mode is not enabled" in said or "cluster support disabled" in said:
        return StoreUnreachableError(f"{shown} is no Cluster; leave ?cluster=true away")
    word = _WORDS.get(type(error).__name__)
    if word is not None:
        return StoreUnreachableError(f"{shown}: {_SAID[word]} ({said})")
    return StoreUnreachableError(
        f"{shown} cannot be reached ({said}); check that Redis runs there and the URL's host and port, {_KEPT}"
    )

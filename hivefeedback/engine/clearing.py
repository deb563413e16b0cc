"""A person closes a breaker before its time; who did it and why is kept beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from hivefeedback.errors import UnknownNameError
from hivefeedback.hooks import Record, State
from hivefeedback.model import decoded
from hivefeedback.queries import Shut
from hivefeedback.recording import Breakers

__all__ = ["CLEARED", "Cleared", "check_shut", "cleared_of", "note_cleared", "shut_of"]

CLEARED: Final = "breaker_cleared"
"""Namespace of the records: the newest clearing of each deployment."""
_MAX_WHY = 1000


class Cleared(Struct, frozen=True, kw_only=True):
    """One clearing.

    Args:
        deployment: Whose breaker.
        at_s: When, seconds since 1970 UTC.
        by, why: Who did it, and the reason.
        failures: Counted failures in a row by then.
    """

    deployment: str
    at_s: float
    by: str
    why: str
    failures: int


def shut_of(breakers: Breakers, variants: Iterable[str]) -> dict[str, Shut]:
    """What is known of those of the variants that are open or half open."""
    known = {name: breakers.standing(name) for name in variants}
    return {name: Shut(failures=b[0], until_s=b[1]) for name, b in known.items() if b is not None}


def check_shut(deployment_id: str, shut: dict[str, Shut]) -> Shut:
    """The open breaker of a deployment.

    Raises:
        UnknownNameError: It is closed; the message lists those that are open.
    """
    found = shut.get(deployment_id)
    if found is None:
        raise UnknownNameError("blacklisted deployment", deployment_id, sorted(shut))
    return found


def note_cleared(state: State, cleared: Cleared) -> None:
    """Keep who cleared a breaker and why."""
    kept = msgspec.structs.replace(cleared, by=cleared.by[:_MAX_WHY], why=cleared.why[:_MAX_WHY])
    state.put(Record(CLEARED, cleared.deployment, msgspec.json.encode(kept)))


def cleared_of(state: State) -> list[Cleared]:
    """The newest clearing of each deployment, the newest last; what cannot be read is left out."""
    found = []
    for record in state.list(CLEARED):
        try:
            found.append(decoded(record.value, Cleared))
        except msgspec.DecodeError:
            continue
    return sorted(found, key=lambda c: c.at_s)

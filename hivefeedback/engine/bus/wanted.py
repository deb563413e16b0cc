"""Which events a subscriber wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hivefeedback.errors import InvalidInputError
from hivefeedback.model import Control, Event, check_kinds, kind_of

__all__ = ["Wanted", "Where", "wanted"]

Where = Callable[[Event], object]
"""Answers something true for the events that are wanted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is given must hold; see ``wanted``."""

    kinds: frozenset[str]
    deployment: str | None = None
    operation: str | None = None
    where: Where | None = None

    def has(self, event: Event) -> bool:
        """True for an event that is wanted; raises what ``where`` raises."""
        body = event.body
        if self.kinds and not (kind_of(event) in self.kinds or (isinstance(body, Control) and "control" in self.kinds)):
            return False
        if self.deployment is not None and getattr(body, "deployment", None) != self.deployment:
            return False
        if self.operation is not None and not _is_below(getattr(body, "operation", None), self.operation):
            return False
        return self.where is None or bool(self.where(event))


def wanted(
    kinds: object = (), deployment: str | None = None, operation: str | None = None, where: Where | None = None
) -> Wanted:
    """A checked choice of events.

    Args:
        kinds: Words of ``hivefeedback.model.KINDS``; empty: all.
        deployment: Only events that name this deployment.
        operation: Only events of this operation and those below it.
        where: Asked last, on the subscriber's thread.

    Raises:
        InvalidInputError: There is no such kind, or ``where`` cannot be called.
    """
    if where is not None and not callable(where):
        raise InvalidInputError(f"where is {where!r:.100}; expected something that is called with an event")
    for name, given in (("deployment", deployment), ("operation", operation)):
        if given is not None and not isinstance(given, str):
            raise InvalidInputError(f"{name} is {given!r:.100}; expected a text, or None for all")
    return Wanted(check_kinds(kinds), deployment, operation, where)


def _is_below(path: object, prefix: str) -> bool:
    return isinstance(path, str) and (not prefix or path == prefix or path.startswith(f"{prefix}/"))

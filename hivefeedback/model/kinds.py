"""What an event is about, as one word: by it subscribers choose, and the reference lists them."""

from __future__ import annotations

from typing import Final, get_args

from hivefeedback.errors import InvalidInputError
from hivefeedback.model.event import Body, Control, Event, What

__all__ = ["BODY_KINDS", "CONTROL_KINDS", "KINDS", "check_kinds", "kind_of"]

BODY_KINDS: Final[dict[str, type]] = {str(cls.__struct_config__.tag): cls for cls in get_args(Body)}
"""Kinds of event by their word on the wire: ``decision``, ``run``, ``feedback``, ``score``, ``control``."""
CONTROL_KINDS: Final[dict[str, type]] = {str(cls.__struct_config__.tag): cls for cls in get_args(What)}
"""What a control event may hold, such as ``alarm`` or ``system_sample``."""
KINDS: Final[tuple[str, ...]] = (*BODY_KINDS, *CONTROL_KINDS)
"""All of them. A control event has two: ``control``, and what it holds."""


def kind_of(event: Event) -> str:
    """The most exact kind of an event.

    >>> from hivefeedback.model import Alarm, Run
    >>> [kind_of(Event("p", 1, 1, "x", 0.0, 0.0, body)) for body in (Run("a"), Control(Alarm("breaker", "a")))]
    ['run', 'alarm']
    """
    body = event.body
    return str((body.what if isinstance(body, Control) else body).__struct_config__.tag)


def check_kinds(kinds: object) -> frozenset[str]:
    """Kinds that somebody asked for; empty: all.

    Raises:
        InvalidInputError: There is no such kind; the message lists those that are.
    """
    given = kinds if isinstance(kinds, list | tuple | set | frozenset) else (kinds,)
    for kind in given:
        if kind not in KINDS:
            raise InvalidInputError(f"kind {kind!r} of event is not known; known: {', '.join(KINDS)}")
    return frozenset(str(kind) for kind in given)

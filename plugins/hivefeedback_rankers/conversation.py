"""Conversation types: the first part of an operation's path, and which deployments serve them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["CONVERSATION_TYPES", "conversation_type", "domain_of", "is_able"]

CONVERSATION_TYPES = ("text-to-text", "text-to-image", "text-to-audio", "text-to-video")


def conversation_type(operation: str) -> str:
    """The known conversation type that an operation begins with; empty where it has none.

    >>> conversation_type("text-to-image/poster"), conversation_type("medical")
    ('text-to-image', '')
    """
    first = operation.partition("/")[0]
    return first if first in CONVERSATION_TYPES else ""


def domain_of(operation: str) -> str:
    """The prefix that names an operation's domain; one without a conversation type is a domain itself.

    >>> domain_of("text-to-text/medical/triage"), domain_of("text-to-text"), domain_of("medical")
    ('text-to-text/medical', 'text-to-text', 'medical')
    """
    if not conversation_type(operation):
        return operation
    return "/".join(operation.split("/", 2)[:2])


def is_able(tags: Iterable[str], operation: str) -> bool:
    """False where tags name conversation types, but not the operation's.

    >>> is_able(("text-to-image",), "text-to-text/chat"), is_able(("eu",), "text-to-text/chat")
    (False, True)
    """
    asked = conversation_type(operation)
    named = {tag for tag in tags if tag in CONVERSATION_TYPES}
    return not asked or not named or asked in named

"""What an agent remembers: items as small records, their texts beside the journal.

Importance follows Park et al., "Generative Agents" (UIST 2023): it decays with the time since an
item was last of use, and what is recalled is ranked by relevance and importance together.
"""

from __future__ import annotations

import re
from math import exp2, log2
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from hivefeedback.errors import InvalidInputError, StoreCorruptError
from hivefeedback.model.decoding import decoded

__all__ = [
    "HALF_LIFE_S",
    "MAX_MEMORY_BYTES",
    "MEMORY",
    "PRUNED",
    "MemoryItem",
    "PrunedItem",
    "agent_prefix",
    "importance_at",
    "memory_body",
    "memory_text",
    "read_item",
    "read_pruned",
]

MEMORY: Final = "memory"
PRUNED: Final = "memory_pruned"
"""Namespaces of ``State``: what is remembered, and what had to go but can come back by an undo."""
MAX_MEMORY_BYTES: Final = 16 * 1024
"""Longest text of an item: what is remembered is put into prompts, beside other things."""
HALF_LIFE_S: Final = 30 * 86400.0
"""Time without use in which importance halves: what nobody needed for a season hardly counts."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class MemoryItem(Struct, frozen=True, omit_defaults=True):
    """One thing that an agent remembers.

    Args:
        item_id: Id of the mutation that added it.
        agent: Who remembers it.
        body: Hash of its text, which lies beside the journal.
        importance: Of the fresh item, 0–1.
        created_at_s: When it was added, seconds since 1970 UTC.
        n_used: How often it was recalled.
        used_at_s: When it was recalled last; 0: never.
        sources: Ids of the feedback that it was made from.
    """

    item_id: str
    agent: str
    body: str
    importance: float = 0.5
    created_at_s: float = 0.0
    n_used: int = 0
    used_at_s: float = 0.0
    sources: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its key in ``State``."""
        return agent_prefix(self.agent) + self.item_id


class PrunedItem(Struct, frozen=True):
    """An item that is not remembered any more.

    Args:
        item: As it was.
        by: Id of the mutation that it had to give way to, or that took it out.
        at_s: When, seconds since 1970 UTC.
    """

    item: MemoryItem
    by: str
    at_s: float


def agent_prefix(agent: str) -> str:
    """What the keys of an agent's records begin with; no other agent's do.

    >>> agent_prefix("team/x"), agent_prefix("team")
    ('team%2Fx/', 'team/')
    """
    return quote(agent, safe="", errors="replace") + "/"


def importance_at(item: MemoryItem, now_s: float) -> float:
    """Importance by now, 0–1: importance · 2^(−age / 30 days) · (1 + log2(1 + uses) / 4), at most 1.

    The age counts from the last use, so that what is needed stays; sixteen uses about double it.

    >>> fresh = MemoryItem("m-1", "x", "h", importance=0.5, created_at_s=0.0)
    >>> importance_at(fresh, 0.0), importance_at(fresh, HALF_LIFE_S)
    (0.5, 0.25)
    >>> importance_at(MemoryItem("m-1", "x", "h", importance=0.4, n_used=15), 0.0)
    0.8
    """
    age_s = max(0.0, now_s - max(item.created_at_s, item.used_at_s))
    used = 1.0 + log2(1 + max(0, item.n_used)) / 4.0
    return min(1.0, item.importance * exp2(-age_s / HALF_LIFE_S) * used)


def memory_body(agent: str, text: str) -> str:
    """What is stored beside the journal for an item. It names the agent, so that two agents with the
    same words do not share a text, and one can be erased without the other.

    Raises:
        InvalidInputError: It is no text that can be remembered.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidInputError(f"what agent {agent!r} should remember is {text!r:.100}; expected a text")
    if len(text.encode("utf-8", "replace")) > MAX_MEMORY_BYTES:
        raise InvalidInputError(
            f"what agent {agent!r} should remember is longer than {MAX_MEMORY_BYTES // 1024} KiB; shorten it"
        )
    if _CONTROL.search(text):
        raise InvalidInputError(f"what agent {agent!r} should remember holds a control character; remove it")
    clean = text.strip().encode("utf-8", "replace").decode("utf-8")
    return msgspec.json.encode({"agent": agent, "text": clean}).decode()


def memory_text(body: str) -> str:
    """The text of a stored item; a body that is none is a text itself."""
    try:
        stored = msgspec.json.decode(body.encode("utf-8", "replace"), type=dict[str, str])
    except msgspec.MsgspecError:
        return body
    return stored.get("text", body)


def read_item(value: bytes) -> MemoryItem:
    """An item from its record. Raises StoreCorruptError where it is none."""
    try:
        return decoded(value, MemoryItem)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreCorruptError(f"a memory item cannot be read: {error}") from error


def read_pruned(value: bytes) -> PrunedItem:
    """A pruned item from its record. Raises StoreCorruptError where it is none."""
    try:
        return decoded(value, PrunedItem)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreCorruptError(f"a pruned memory item cannot be read: {error}") from error

"""Ids as they are kept: any text of the host's, within a bound."""

from __future__ import annotations

import hashlib

__all__ = ["MAX_ID", "clean_id"]

MAX_ID = 512
"""Longer ids are cut and closed with a hash, alike everywhere, so that they still join."""


def clean_id(value: object) -> str:
    """An id as it is stored: any script, valid Unicode, at most 512 characters.

    >>> clean_id("gpt-4o"), clean_id(7), len(clean_id("x" * 9999))
    ('gpt-4o', '7', 512)
    """
    text = value if isinstance(value, str) else ("" if value is None else str(value))
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) > MAX_ID:
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        text = f"{text[: MAX_ID - 33]}~{digest}"
    return text

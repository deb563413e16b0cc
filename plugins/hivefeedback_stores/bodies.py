"""Texts beside the journal, under a content hash that is salted with the store's own salt.

Without the salt a hash of a short text (a comment, a reason) could be guessed and looked up after
the text itself was erased.
"""

from __future__ import annotations

import hashlib
import secrets

from hivefeedback.errors import ConflictError, InvalidInputError

__all__ = ["MAX_BODY_BYTES", "check_adopted", "hash_of", "new_salt"]

MAX_BODY_BYTES = 256 * 1024


def new_salt() -> str:
    """A salt, made once for each store."""
    return secrets.token_hex(16)


def check_adopted(salt: str, present: str) -> None:
    """Texts of another journal keep their hashes only under their own salt.

    Raises:
        ConflictError: There are texts here under another one.
    """
    if salt != present:
        raise ConflictError("the journal has texts of its own under another salt; name a store that is empty")


def hash_of(text: str, salt: str) -> str:
    """The name under which a text is kept (40 hex digits).

    Raises:
        InvalidInputError: More than 256 KiB, or no Unicode.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError("a text beside the journal holds a lone surrogate; replace it") from error
    if len(data) > MAX_BODY_BYTES:
        raise InvalidInputError(
            f"a text beside the journal has {len(data)} bytes; at most {MAX_BODY_BYTES} are kept, shorten it"
        )
    return hashlib.blake2b(data, digest_size=20, key=salt.encode()).hexdigest()

"""Archived events as lines of JSON under gzip: the same JSON as in the log, one event a line.

Any tool reads it: ``zcat events-*.jsonl.gz | jq .body.deployment``. A blank line is an event that was erased.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

from hivefeedback.errors import StoreCorruptError
from hivefeedback.model import decode_event
from hivefeedback_stores.codec import event_bytes
from hivefeedback_stores.erasure import Placed

__all__ = ["JsonLines"]


class JsonLines:
    """JSON lines under gzip."""

    suffix = ".jsonl.gz"

    def pack(self, first: int, placed: Sequence[Placed]) -> bytes:
        lines: list[bytes] = []
        for position, event in placed:
            lines += [b""] * (position - first - len(lines))
            lines.append(event_bytes(event))
        return gzip.compress(b"".join(line + b"\n" for line in lines), 6, mtime=0)

    def unpack(self, first: int, data: bytes) -> list[Placed]:
        try:
            lines = gzip.decompress(data).split(b"\n")
        except (OSError, EOFError, zlib.error) as error:
            raise StoreCorruptError(f"archived events from position {first} on: {error}") from error
        return [(position, decode_event(line)) for position, line in enumerate(lines, first) if line]

"""Archived events as Parquet, for tools that ask questions of many (extra ``parquet``)::

    FeedbackLoop(archive="/var/lib/hive-archive", archive_format="parquet")

What is asked for often has a column of its own; ``event`` is the whole event as JSON, from which it is read back.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from hivefeedback.errors import MissingExtraError, StoreCorruptError
from hivefeedback.model import DecisionRecord, Event, Feedback, Run, Score, decode_event
from hivefeedback_stores.codec import event_bytes
from hivefeedback_stores.erasure import Placed

__all__ = ["Parquet"]

_TYPES: dict[type, str] = {DecisionRecord: "decision", Run: "run", Feedback: "feedback", Score: "score"}


class Parquet:
    """Parquet with zstd.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    suffix = ".parquet"

    def __init__(self) -> None:
        if find_spec("pyarrow") is None:
            raise MissingExtraError("an archive in Parquet", "parquet")

    def pack(self, first: int, placed: Sequence[Placed]) -> bytes:
        import pyarrow as pa  # type: ignore[import-untyped]  # it brings no types
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # as above

        columns: dict[str, tuple[Any, list[Any]]] = {
            "position": (pa.int64(), [position for position, _ in placed]),
            "event_id": (pa.string(), [e.event_id for _, e in placed]),
            "type": (pa.string(), [_TYPES.get(e.body.__class__, "control") for _, e in placed]),
            "event_time_s": (pa.float64(), [e.event_time_s for _, e in placed]),
            "deployment": (pa.string(), [_of(e, "deployment") for _, e in placed]),
            "operation": (pa.string(), [_of(e, "operation") for _, e in placed]),
            "outcome": (pa.string(), [_of(e, "outcome") for _, e in placed]),
            "event": (pa.string(), [event_bytes(e).decode() for _, e in placed]),
        }
        arrays = {name: pa.array(values, type=kind) for name, (kind, values) in columns.items()}
        into = io.BytesIO()
        pq.write_table(pa.table(arrays), into, compression="zstd")
        return into.getvalue()

    def unpack(self, first: int, data: bytes) -> list[Placed]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(data), columns=["position", "event"])
        except (pa.ArrowException, OSError) as error:
            raise StoreCorruptError(f"archived events from position {first} on: {error}") from error
        rows = zip(table["position"].to_pylist(), table["event"].to_pylist(), strict=True)
        return [(position, decode_event(event)) for position, event in rows]


def _of(event: Event, name: str) -> str | None:
    value = getattr(event.body, name, None)
    return str(value) if value else None
